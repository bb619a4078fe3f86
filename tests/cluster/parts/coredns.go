package parts

import (
	"errors"
	"os"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/hosts"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/loop"
	_ "github.com/coredns/coredns/plugin/ready"
)

// CoreDNS runs with the plugins of a cluster only: coredns COREFILE.
func CoreDNS(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: coredns COREFILE")
	}
	dnsserver.Directives = []string{"bind", "errors", "health", "ready", "hosts", "kubernetes", "cache", "loop"}
	os.Args = []string{"coredns", "-conf", args[0], "-quiet"}
	coremain.Run()
	return nil
}
