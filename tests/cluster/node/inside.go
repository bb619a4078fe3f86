package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
)

// Inside runs the cluster, as the first process of its namespaces: inside DIR PORT PAUSE-ARCHIVE. Descriptor 3 is the socket that the API
// server is reached by from outside, 4 is where progress goes.
func Inside(args []string) error {
	if len(args) != 3 || os.Getpid() != 1 {
		return errors.New("only `up` runs this")
	}
	progress := os.NewFile(4, "progress")
	c := cluster{directory: directory(args[0]), port: args[1], pause: args[2], progress: progress}
	if err := c.bringUp(); err != nil {
		fmt.Fprintln(progress, "failed", strings.ReplaceAll(err.Error(), "\n", " "))
		return err
	}
	fmt.Fprintln(progress, "up")
	progress.Close()
	// All orphans of the cluster come to its first process.
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return err
		default:
			if name, found := c.programs[pid]; found {
				return fmt.Errorf("%s ended: exit code %d, signal %d", name, status.ExitStatus(), status.Signal())
			}
		}
	}
}

type cluster struct {
	directory
	port     string
	pause    string
	progress io.Writer
	programs map[int]string
}

func (c *cluster) bringUp() error {
	c.programs = map[int]string{}
	steps := []struct {
		name string
		run  func() error
	}{
		{"namespaces, bridge, certificates", c.prepare},
		{"etcd", c.etcd},
		{"kube-apiserver", c.apiServer},
		{"containerd", c.containerd},
		{"controllers, scheduler, kubelet, kube-proxy", c.rest},
		{"DNS", c.dns},
		{"node is ready", c.ready},
	}
	for _, step := range steps {
		if err := step.run(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Fprintln(c.progress, "done", step.name)
	}
	return nil
}

func (c *cluster) prepare() error {
	// Mounts inside are not seen outside; but those of the kubelet are seen in containers that ask for it.
	for _, flags := range []uintptr{syscall.MS_REC | syscall.MS_PRIVATE, syscall.MS_REC | syscall.MS_SHARED} {
		if err := syscall.Mount("", "/", "", flags, ""); err != nil {
			return err
		}
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return err
	}
	// What programs keep at fixed places stays in the cluster's directory.
	for from, to := range map[string]string{c.path("lib"): "/var/lib", c.path("log"): "/var/log"} {
		if err := os.MkdirAll(from, 0o755); err != nil {
			return err
		}
		if err := syscall.Mount(from, to, "", syscall.MS_BIND, ""); err != nil {
			return err
		}
	}
	if err := syscall.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	if err := syscall.Sethostname([]byte(nodeName)); err != nil {
		return err
	}
	if err := network(); err != nil {
		return err
	}
	for _, root := range controlGroupRoots() {
		if err := os.MkdirAll(filepath.Join(root, c.controlGroup()), 0o755); err != nil {
			return err
		}
	}
	if err := c.credentials(); err != nil {
		return err
	}
	socket, err := net.FileListener(os.NewFile(3, "api"))
	if err != nil {
		return err
	}
	go relay(socket, net.JoinHostPort(nodeAddress, apiPort))
	return nil
}

// The node's address is that of the pods' bridge, which must be there before the first pod.
func network() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return err
	}
	attributes := netlink.NewLinkAttrs()
	attributes.Name = "cni0"
	bridge := &netlink.Bridge{LinkAttrs: attributes}
	if err := netlink.LinkAdd(bridge); err != nil {
		return err
	}
	address, err := netlink.ParseAddr(nodeAddress + "/24")
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(bridge, address); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(bridge); err != nil {
		return err
	}
	// The node's own programs reach Services too; the packet filter needs a route before it changes where they go.
	_, to, err := net.ParseCIDR(services)
	if err != nil {
		return err
	}
	route := netlink.Route{LinkIndex: bridge.Attrs().Index, Dst: to, Src: net.ParseIP(nodeAddress)}
	if err := netlink.RouteAdd(&route); err != nil {
		return err
	}
	for _, setting := range []string{"net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables"} {
		if err := os.WriteFile("/proc/sys/"+setting, []byte("1"), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Hands connections on.
func relay(from net.Listener, to string) {
	for {
		outer, err := from.Accept()
		if err != nil {
			return
		}
		go func() {
			defer outer.Close()
			inner, err := net.Dial("tcp", to)
			if err != nil {
				return
			}
			defer inner.Close()
			go func() {
				_, _ = io.Copy(inner, outer)
				_ = inner.(*net.TCPConn).CloseWrite()
			}()
			_, _ = io.Copy(outer, inner)
			_ = outer.(*net.TCPConn).CloseWrite()
		}()
	}
}

// Starts a program whose end is the end of the cluster. This binary is most of the programs.
func (c *cluster) run(name string, args ...string) error {
	log, err := os.Create(c.path("logs", name+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	path, err := exec.LookPath(name)
	if err != nil {
		path = "/proc/self/exe"
	}
	command := exec.Command(path, args...)
	command.Args[0] = name
	command.Dir = string(c.directory)
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		return err
	}
	c.programs[command.Process.Pid] = name
	return nil
}

// Runs a program to its end.
func output(name string, args ...string) (string, error) {
	var all bytes.Buffer
	command := exec.Command(name, args...)
	command.Stdout, command.Stderr = &all, &all
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, all.String())
	}
	return all.String(), nil
}

// Waits for a condition.
func wait(limit time.Duration, condition func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := condition()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %s: %w", limit, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
