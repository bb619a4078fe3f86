package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"strings"
	"time"
)

// Users of the API server, by the names of their kubeconfigs, with their groups.
var users = []struct{ file, user, groups string }{
	{"admin", "admin", "system:masters"},
	{"viewer", "viewer", "tests:viewers"},
	{"controller-manager", "system:kube-controller-manager", ""},
	{"scheduler", "system:kube-scheduler", ""},
	{"kubelet", "system:node:" + nodeName, "system:nodes"},
	{"kube-proxy", "system:kube-proxy", ""},
	{"coredns", "coredns", "system:masters"},
}

type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// Writes certificates, keys, tokens and kubeconfigs. All of them are of this cluster only and end with it.
func (c *cluster) credentials() error {
	ca, err := c.authority()
	if err != nil {
		return err
	}
	server := x509.Certificate{
		DNSNames:    []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + domain, "localhost"},
		IPAddresses: []net.IP{net.ParseIP(nodeAddress), net.ParseIP(apiAddress), net.ParseIP("127.0.0.1")},
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if err := c.issue(ca, "apiserver", server); err != nil {
		return err
	}
	// By this the API server gets logs and shells of the kubelet.
	client := x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver-kubelet-client", Organization: []string{"system:masters"}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if err := c.issue(ca, "kubelet-client", client); err != nil {
		return err
	}
	if err := c.serviceAccountKey(); err != nil {
		return err
	}
	return c.tokens()
}

func (c *cluster) authority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := lifetime(x509.Certificate{
		Subject:               pkix.Name{CommonName: "tests/cluster"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	})
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{certificate, key}, write(c.path("pki", "ca.crt"), block("CERTIFICATE", der), 0o644)
}

func lifetime(template x509.Certificate) x509.Certificate {
	template.SerialNumber, _ = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().Add(30 * 24 * time.Hour)
	return template
}

func (c *cluster) issue(ca *authority, name string, template x509.Certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template = lifetime(template)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, &template, ca.certificate, &key.PublicKey, ca.key)
	if err != nil {
		return err
	}
	if err := write(c.path("pki", name+".crt"), block("CERTIFICATE", der), 0o644); err != nil {
		return err
	}
	return c.writeKey(name, key)
}

func (c *cluster) writeKey(name string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return write(c.path("pki", name+".key"), block("EC PRIVATE KEY", der), 0o600)
}

func (c *cluster) serviceAccountKey() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	if err := write(c.path("pki", "sa.pub"), block("PUBLIC KEY", public), 0o644); err != nil {
		return err
	}
	return c.writeKey("sa", key)
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func (c *cluster) tokens() error {
	var table strings.Builder
	for _, user := range users {
		bytes := make([]byte, 16)
		if _, err := rand.Read(bytes); err != nil {
			return err
		}
		token := hex.EncodeToString(bytes)
		fmt.Fprintf(&table, "%s,%s,%s,%q\n", token, user.user, user.user, user.groups)
		inside := "https://" + net.JoinHostPort(nodeAddress, apiPort)
		if err := write(c.path("kubeconfigs", user.file), c.kubeconfigOf(user.user, token, inside), 0o600); err != nil {
			return err
		}
		if user.file == "admin" || user.file == "viewer" {
			path := c.kubeconfig()
			if user.file == "viewer" {
				path += "-viewer"
			}
			if err := write(path, c.kubeconfigOf(user.user, token, "https://127.0.0.1:"+c.port), 0o600); err != nil {
				return err
			}
		}
	}
	return write(c.path("pki", "tokens.csv"), table.String(), 0o600)
}

func (c *cluster) kubeconfigOf(user, token, server string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Config
clusters:
- name: tests
  cluster: {server: %q, certificate-authority: %q}
users:
- name: %q
  user: {token: %q}
contexts:
- name: tests
  context: {cluster: tests, user: %q}
current-context: tests
`, server, c.path("pki", "ca.crt"), user, token, user)
}
