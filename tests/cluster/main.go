// The programs of a Kubernetes cluster in one binary, which is what its name says (argv[0]), or its first argument:
//
//	kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl   Kubernetes' own
//	etcd coredns                                                                      what they need
//	up down                                                                           a cluster of one node made of them (package node)
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	"meshctl/tests/cluster/node"
	"meshctl/tests/cluster/parts"
)

// Each command is made when it is called for: the programs' flags would be in each other's way.
var programs = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllers.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
	"kube-proxy":              proxy.NewProxyCommand,
	"kubectl":                 kubectl.NewDefaultKubectlCommand,
}

var own = map[string]func([]string) error{
	"etcd":    parts.Etcd,
	"coredns": parts.CoreDNS,
	"up":      node.Up,
	"inside":  node.Inside,
	"down":    node.Down,
	"load":    node.Load,
}

func main() {
	name := filepath.Base(os.Args[0])
	if !known(name) && len(os.Args) > 1 {
		os.Args = os.Args[1:]
		name = os.Args[0]
	}
	if run, found := own[name]; found {
		if err := run(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
		return
	}
	command, found := programs[name]
	if !found {
		fmt.Fprintf(os.Stderr, "error: there is no program %s\n", name)
		os.Exit(64)
	}
	os.Exit(cli.Run(command()))
}

func known(name string) bool {
	_, isProgram := programs[name]
	_, isOwn := own[name]
	return isProgram || isOwn
}
