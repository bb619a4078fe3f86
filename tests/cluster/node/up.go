package node

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// How long the whole may take before it counts as failed.
const upLimit = 3 * time.Minute

// Up brings the cluster up: up --dir DIR [--pause IMAGE.tar]. It prints the path of a kubeconfig on stdout, and what it does on stderr. A
// cluster that runs is left as it is.
func Up(args []string) error {
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	dir := flags.String("dir", "", "the cluster's directory")
	pause := flags.String("pause", "", "archive of the image that holds pods' namespaces")
	if err := flags.Parse(args); err != nil {
		return err
	}
	d, err := absolute(*dir)
	if err != nil {
		return err
	}
	if _, found := d.running(); found {
		fmt.Fprintln(os.Stderr, "the cluster is up already")
		fmt.Println(d.kubeconfig())
		return nil
	}
	if err := check(); err != nil {
		return err
	}
	// What an earlier cluster has left.
	if err := Down([]string{"--dir", string(d)}); err != nil {
		return err
	}
	if err := start(d, *pause); err != nil {
		return err
	}
	fmt.Println(d.kubeconfig())
	return nil
}

func absolute(dir string) (directory, error) {
	if dir == "" {
		return "", errors.New("--dir is needed")
	}
	path, err := filepath.Abs(dir)
	return directory(path), err
}

// What must be there beside this program.
func check() error {
	if os.Geteuid() != 0 {
		return errors.New("a cluster needs root: its kubelet mounts and makes control groups")
	}
	var missing []string
	for _, program := range []string{"containerd", "runc", "iptables", "mount", "ctr"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, program)
		}
	}
	if _, err := os.Stat("/usr/lib/cni/bridge"); err != nil {
		missing = append(missing, "/usr/lib/cni/bridge")
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s missing; on Debian: apt-get install -y containerd runc containernetworking-plugins iptables conntrack",
			strings.Join(missing, ", "))
	}
	return nil
}

func start(d directory, pause string) error {
	// The API server is reached from the machine by a port of its loopback interface; the socket goes along into the cluster's namespace.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	socket, err := listener.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	defer socket.Close()
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	defer reader.Close()
	if err := os.MkdirAll(d.path("logs"), 0o755); err != nil {
		return err
	}
	log, err := os.Create(d.path("logs", "node.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	port := listener.Addr().(*net.TCPAddr).Port
	inside := exec.Command("/proc/self/exe", "inside", string(d), strconv.Itoa(port), pause)
	inside.Args[0] = "cluster"
	inside.Stdout, inside.Stderr = log, log
	inside.ExtraFiles = []*os.File{socket, writer}
	inside.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}
	if err := inside.Start(); err != nil {
		return fmt.Errorf("failed to make namespaces: %w", err)
	}
	writer.Close()
	pid := inside.Process.Pid
	if err := write(d.path("pid"), fmt.Sprintf("%d %s\n", pid, startOf(pid)), 0o644); err != nil {
		return err
	}
	if err := follow(reader); err != nil {
		_ = inside.Process.Kill()
		_ = inside.Wait()
		return fmt.Errorf("%w; see %s", err, d.path("logs"))
	}
	return inside.Process.Release()
}

// Prints what is done and how long each step took, until the cluster is up.
func follow(steps *os.File) error {
	_ = steps.SetReadDeadline(time.Now().Add(upLimit))
	begin, last := time.Now(), time.Now()
	lines := bufio.NewScanner(steps)
	for lines.Scan() {
		kind, text, _ := strings.Cut(lines.Text(), " ")
		switch kind {
		case "done":
			fmt.Fprintf(os.Stderr, "✔ %-44s %6.1f s\n", text, time.Since(last).Seconds())
			last = time.Now()
		case "failed":
			return errors.New(text)
		case "up":
			fmt.Fprintf(os.Stderr, "✔ %-44s %6.1f s\n", "the cluster is up", time.Since(begin).Seconds())
			return nil
		}
	}
	return errors.New("the cluster ended, or took too long, before it was up")
}
