package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"time"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"
)

// How long each program may take until it answers.
const startLimit = time.Minute

func (c *cluster) etcd() error {
	if err := c.run("etcd", c.path("etcd"), etcdURL); err != nil {
		return err
	}
	return wait(startLimit, func() error { return answers(etcdURL + "/health") })
}

// Whether a URL answers 200. It is the cluster's own, whoever signed for it.
func answers(url string) error {
	client := http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
	}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}

func (c *cluster) apiServer() error {
	pki := func(file string) string { return c.path("pki", file) }
	err := c.run("kube-apiserver",
		"--etcd-servers="+etcdURL,
		"--bind-address=0.0.0.0",
		"--secure-port="+apiPort,
		"--advertise-address="+nodeAddress,
		"--service-cluster-ip-range="+services,
		"--tls-cert-file="+pki("apiserver.crt"),
		"--tls-private-key-file="+pki("apiserver.key"),
		"--client-ca-file="+pki("ca.crt"),
		"--kubelet-client-certificate="+pki("kubelet-client.crt"),
		"--kubelet-client-key="+pki("kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc."+domain,
		"--service-account-key-file="+pki("sa.pub"),
		"--service-account-signing-key-file="+pki("sa.key"),
		"--token-auth-file="+pki("tokens.csv"),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged",
		"--profiling=false")
	if err != nil {
		return err
	}
	url := "https://" + nodeAddress + ":" + apiPort + "/readyz"
	return wait(startLimit, func() error { return answers(url) })
}

const containerdConfig = `version = 2
root = %q
state = %q
[grpc]
address = %q
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = %q
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = %q
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.internal.v1.opt"]
path = %q
`

const networkConfig = `{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": %q, "rangeStart": "10.244.0.10"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}
]}
`

// PauseImage is the image that holds a pod's namespaces.
const PauseImage = "docker.io/meshctl/pause:test"

func (c *cluster) containerd() error {
	network := fmt.Sprintf(networkConfig, podNetwork)
	if err := write(c.path("cni", "10-pods.conflist"), network, 0o644); err != nil {
		return err
	}
	config := fmt.Sprintf(containerdConfig, c.path("containerd"), c.path("run", "containerd"), c.socket(), PauseImage, c.path("cni"), c.path("opt"))
	if err := write(c.path("containerd.toml"), config, 0o644); err != nil {
		return err
	}
	if err := c.run("containerd", "--config", c.path("containerd.toml")); err != nil {
		return err
	}
	ctr := func(words ...string) error {
		_, err := output("ctr", append([]string{"--address", c.socket(), "--namespace", "k8s.io"}, words...)...)
		return err
	}
	if err := wait(startLimit, func() error { return ctr("version") }); err != nil {
		return err
	}
	return ctr("images", "import", c.pause)
}

const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: %q}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
cgroupRoot: %q
containerRuntimeEndpoint: %q
clusterDNS: [%q]
clusterDomain: %q
enforceNodeAllocatable: []
evictionHard: {}
failCgroupV1: false
failSwapOn: false
resolvConf: %q
imageGCHighThresholdPercent: 100
maxPods: 200
registerNode: true
serializeImagePulls: false
`

const proxyConfig = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clusterCIDR: %q
hostnameOverride: %q
clientConnection: {kubeconfig: %q}
conntrack: {maxPerCore: 0}
iptables: {minSyncPeriod: 100ms}
`

func (c *cluster) rest() error {
	of := func(name string) string { return c.path("kubeconfigs", name) }
	if err := write(c.path("resolv.conf"), "", 0o644); err != nil {
		return err
	}
	kubelet := fmt.Sprintf(kubeletConfig, c.path("pki", "ca.crt"), "/"+c.controlGroup(), "unix://"+c.socket(), dnsAddress, domain, c.path("resolv.conf"))
	if err := write(c.path("kubelet.yaml"), kubelet, 0o644); err != nil {
		return err
	}
	proxy := fmt.Sprintf(proxyConfig, podNetwork, nodeName, of("kube-proxy"))
	if err := write(c.path("kube-proxy.yaml"), proxy, 0o644); err != nil {
		return err
	}
	return errors.Join(
		c.run("kube-controller-manager",
			"--kubeconfig="+of("controller-manager"),
			"--service-account-private-key-file="+c.path("pki", "sa.key"),
			"--root-ca-file="+c.path("pki", "ca.crt"),
			"--use-service-account-credentials",
			"--leader-elect=false"),
		c.run("kube-scheduler", "--kubeconfig="+of("scheduler"), "--leader-elect=false"),
		c.run("kubelet",
			"--config="+c.path("kubelet.yaml"),
			"--kubeconfig="+of("kubelet"),
			"--hostname-override="+nodeName,
			"--node-ip="+nodeAddress),
		c.run("kube-proxy", "--config="+c.path("kube-proxy.yaml")))
}

const corefile = `. {
    bind %s
    errors
    kubernetes %s in-addr.arpa ip6.arpa {
        kubeconfig %s
        pods insecure
        ttl 5
    }
    cache 5
}
`

// CoreDNS runs beside the node's other programs; its Service is like any cluster's.
func (c *cluster) dns() error {
	file := fmt.Sprintf(corefile, nodeAddress, domain, c.path("kubeconfigs", "coredns"))
	if err := write(c.path("Corefile"), file, 0o644); err != nil {
		return err
	}
	if err := c.run("coredns", c.path("Corefile")); err != nil {
		return err
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	name := meta.ObjectMeta{Name: "kube-dns", Namespace: "kube-system", Labels: map[string]string{"k8s-app": "kube-dns"}}
	service := core.Service{ObjectMeta: name, Spec: core.ServiceSpec{
		ClusterIP: dnsAddress,
		Ports: []core.ServicePort{
			{Name: "dns", Protocol: core.ProtocolUDP, Port: 53},
			{Name: "dns-tcp", Protocol: core.ProtocolTCP, Port: 53},
		},
	}}
	create := meta.CreateOptions{}
	return wait(startLimit, func() error {
		_, err := client.CoreV1().Services("kube-system").Create(context.Background(), &service, create)
		if err != nil {
			return err
		}
		slice := discovery.EndpointSlice{
			ObjectMeta: meta.ObjectMeta{Name: "kube-dns", Namespace: "kube-system", Labels: map[string]string{
				discovery.LabelServiceName: "kube-dns",
				discovery.LabelManagedBy:   "tests",
			}},
			AddressType: discovery.AddressTypeIPv4,
			Endpoints:   []discovery.Endpoint{{Addresses: []string{nodeAddress}}},
			Ports: []discovery.EndpointPort{
				{Name: ptr.To("dns"), Protocol: ptr.To(core.ProtocolUDP), Port: ptr.To[int32](53)},
				{Name: ptr.To("dns-tcp"), Protocol: ptr.To(core.ProtocolTCP), Port: ptr.To[int32](53)},
			},
		}
		_, err = client.DiscoveryV1().EndpointSlices("kube-system").Create(context.Background(), &slice, create)
		return err
	})
}

func (c *cluster) client() (*kubernetes.Clientset, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.path("kubeconfigs", "admin"))
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

// The cluster is up when pods can be made: the node is ready, and there is the account that pods run as.
func (c *cluster) ready() error {
	client, err := c.client()
	if err != nil {
		return err
	}
	return wait(startLimit, func() error {
		_, err := client.CoreV1().ServiceAccounts("default").Get(context.Background(), "default", meta.GetOptions{})
		if err != nil {
			return err
		}
		node, err := client.CoreV1().Nodes().Get(context.Background(), nodeName, meta.GetOptions{})
		if err != nil {
			return err
		}
		for _, condition := range node.Status.Conditions {
			if condition.Type == core.NodeReady && condition.Status == core.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("conditions: %v", node.Status.Conditions)
	})
}
