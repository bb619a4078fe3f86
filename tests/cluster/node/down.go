package node

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// How long the kernel may take to end a cluster.
const downLimit = 30 * time.Second

// Down takes a cluster down, whatever state it is in: down --dir DIR. Nothing stays behind; of a cluster that is not there, nothing happens.
func Down(args []string) error {
	flags := flag.NewFlagSet("down", flag.ContinueOnError)
	dir := flags.String("dir", "", "the cluster's directory")
	if err := flags.Parse(args); err != nil {
		return err
	}
	d, err := absolute(*dir)
	if err != nil {
		return err
	}
	if pid, found := d.running(); found {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			return err
		}
	}
	if err := removeControlGroups(d.controlGroup()); err != nil {
		return err
	}
	return os.RemoveAll(string(d))
}

// Removes the cluster's control groups once their last process has gone, the innermost first.
func removeControlGroups(name string) error {
	deadline := time.Now().Add(downLimit)
	for _, root := range controlGroupRoots() {
		top := filepath.Join(root, name)
		for {
			var groups []string
			_ = filepath.WalkDir(top, func(path string, entry os.DirEntry, err error) error {
				if err == nil && entry.IsDir() {
					groups = append(groups, path)
				}
				return nil
			})
			var failed error
			for i := len(groups) - 1; i >= 0; i-- {
				if err := syscall.Rmdir(groups[i]); err != nil && !errors.Is(err, syscall.ENOENT) {
					failed = err
				}
			}
			if failed == nil {
				break
			}
			if time.Now().After(deadline) {
				return errors.Join(errors.New("failed to remove the control group "+top), failed)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nil
}

// Where control groups are mounted: one hierarchy of version 2, or one for each controller of version 1.
func controlGroupRoots() []string {
	text, _ := os.ReadFile("/proc/self/mounts")
	var roots []string
	for _, line := range strings.Split(string(text), "\n") {
		fields := strings.Fields(line)
		if len(fields) > 2 && strings.HasPrefix(fields[2], "cgroup") {
			roots = append(roots, fields[1])
		}
	}
	return roots
}
