// Package node brings up a Kubernetes cluster of one node, and takes it down.
//
//	up --clone--> inside: first process of namespaces of its own (processes, network, mounts)
//	                 |- etcd, kube-apiserver, kube-controller-manager, kube-scheduler, containerd, kubelet, kube-proxy, coredns
//	                 '- relay: a port on the machine's loopback --> the API server
//
// The end of the first process is the end of all: the kernel kills the others, and interfaces, packet filters and mounts go with their
// namespaces. What is left are control groups and a directory.
package node

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Addresses of the cluster, in a network namespace that nothing else is in.
const (
	nodeName    = "node"
	nodeAddress = "10.244.0.1"
	podNetwork  = "10.244.0.0/24"
	services    = "10.96.0.0/16"
	apiAddress  = "10.96.0.1"
	dnsAddress  = "10.96.0.10"
	apiPort     = "6443"
	etcdURL     = "http://127.0.0.1:2379"
	domain      = "cluster.local"
)

// A cluster's directory.
type directory string

func (d directory) path(parts ...string) string {
	return filepath.Join(append([]string{string(d)}, parts...)...)
}

func (d directory) kubeconfig() string { return d.path("kubeconfig") }

// The socket of the cluster's own containerd.
func (d directory) socket() string { return d.path("run", "containerd.sock") }

// The control group that all of the cluster's pods are in.
func (d directory) controlGroup() string {
	return "meshctl-" + strings.Trim(strings.ReplaceAll(string(d), "/", "-"), "-")
}

// The first process, if the cluster runs. A number alone could be another process's by now; when it began tells.
func (d directory) running() (pid int, found bool) {
	text, err := os.ReadFile(d.path("pid"))
	if err != nil {
		return 0, false
	}
	number, start, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	pid, err = strconv.Atoi(number)
	if err != nil || start == "" {
		return 0, false
	}
	return pid, startOf(pid) == start
}

// When a process began, in the kernel's words; empty if there is none.
func startOf(pid int) string {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return ""
	}
	_, fields, _ := strings.Cut(string(text), ") ")
	words := strings.Fields(fields)
	if len(words) < 20 || words[0] == "Z" {
		return ""
	}
	return words[19]
}

func write(path, text string, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), mode)
}
