package node

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// Load takes images into the cluster: load --dir DIR ARCHIVE.tar...
func Load(args []string) error {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	dir := flags.String("dir", "", "the cluster's directory")
	if err := flags.Parse(args); err != nil {
		return err
	}
	d, err := absolute(*dir)
	if err != nil {
		return err
	}
	pid, found := d.running()
	if !found {
		return errors.New("the cluster is not up; run tests/cluster/up")
	}
	for _, archive := range flags.Args() {
		path, err := filepath.Abs(archive)
		if err != nil {
			return err
		}
		// In the cluster's mounts, where containerd unpacks.
		_, err = output("nsenter", "--mount", "--target", strconv.Itoa(pid), "ctr", "--address", d.socket(), "--namespace", "k8s.io",
			"images", "import", path)
		if err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, "✔ loaded", archive)
	}
	return nil
}
