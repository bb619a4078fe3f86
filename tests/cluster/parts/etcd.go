// Package parts runs the programs that a cluster needs beside Kubernetes' own.
package parts

import (
	"errors"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// Etcd runs a member of its own: etcd DIRECTORY CLIENT-URL. Nothing is written through to the disk: a test's cluster does not outlive
// the machine.
func Etcd(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: etcd DIRECTORY CLIENT-URL")
	}
	clients, err := url.Parse(args[1])
	if err != nil {
		return err
	}
	config := embed.NewConfig()
	config.Dir = args[0]
	config.ListenClientUrls = []url.URL{*clients}
	config.AdvertiseClientUrls = []url.URL{*clients}
	// Nobody else is a member; the address is only part of the member's name.
	peer := url.URL{Scheme: "http", Host: "127.0.0.1:2380"}
	config.ListenPeerUrls = []url.URL{peer}
	config.AdvertisePeerUrls = []url.URL{peer}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.UnsafeNoFsync = true
	config.LogLevel = "warn"
	server, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	defer server.Close()
	select {
	case <-server.Server.ReadyNotify():
	case <-time.After(time.Minute):
		return errors.New("etcd was not ready within a minute")
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	select {
	case <-stop:
		return nil
	case err := <-server.Err():
		return err
	}
}
