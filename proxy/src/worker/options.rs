//! What workers are started with: who the proxy is, where it may bind, and where its numbers and logs go.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use mesh_ir::{Capture, Direction, ProxyKind};

use crate::http1::HeadLimits;
use crate::telemetry::Reporter;
use crate::telemetry::metrics::{Metrics, Peer};

/// What does not change while the workers run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Sidecar or gateway.
    pub kind: ProxyKind,
    /// How traffic reaches the proxy.
    pub capture: Capture,
    /// Number of workers, at least 1.
    pub concurrency: usize,
    /// Most connections of clients at once.
    pub max_connections: usize,
    /// Where listeners bind that ask for every address (`MESH_BIND_ADDRESS`); none is every address.
    pub bind_address: Option<IpAddr>,
    /// Added to ports below 1024 when binding and connecting to addresses of the sandbox (`MESH_LOW_PORT_OFFSET`); 0 in a cluster.
    pub low_port_offset: u16,
    /// Namespace of the workload, whose services it knows by their names alone.
    pub namespace: Arc<str>,
    /// The proxy's own service cluster, in descriptors of rate limits.
    pub service_cluster: Arc<str>,
    /// Who the proxy speaks for, in metrics.
    pub identity: Option<Arc<Peer>>,
    /// Where workers count.
    pub metrics: Arc<Metrics>,
    /// Opens logs and what is sent to collectors.
    pub reporter: Arc<Reporter>,
    /// Where files are found that the configuration names; `/` in a pod.
    pub root: PathBuf,
    /// Host names that the sandbox knows (`MESH_HOSTS`), asked before DNS.
    pub hosts: Option<PathBuf>,
}

// === impl Options ===

impl Options {
    /// Where a file is that the configuration names.
    pub fn in_root(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// What the heads of requests may have: those of a sidecar's own workload are the first of the mesh, behind them come gateways, and last
    /// the sidecars of other workloads.
    pub fn request_limits(&self, direction: Direction) -> HeadLimits {
        HeadLimits::behind(match (self.kind, direction) {
            (ProxyKind::Sidecar, Direction::Outbound) => 0,
            (ProxyKind::Gateway, _) => 1,
            (ProxyKind::Sidecar, Direction::Inbound) => 2,
        })
    }

    /// What the heads of their answers may have, which go the other way.
    pub fn response_limits(&self, direction: Direction) -> HeadLimits {
        HeadLimits::behind(match (self.kind, direction) {
            (ProxyKind::Sidecar, Direction::Inbound) => 0,
            (ProxyKind::Gateway, _) => 1,
            (ProxyKind::Sidecar, Direction::Outbound) => 2,
        })
    }

    /// The socket's address for a listener's.
    pub fn to_bind(&self, address: SocketAddr) -> SocketAddr {
        let bind = self.bind_address.filter(|_| address.ip().is_unspecified());
        self.at_socket(SocketAddr::new(
            bind.unwrap_or(address.ip()),
            address.port(),
        ))
    }

    /// The socket's address for an address of the mesh.
    pub fn at_socket(&self, address: SocketAddr) -> SocketAddr {
        let mut address = address;
        if address.port() < 1024 && address.port() != 0 && address.ip().is_loopback() {
            address.set_port(address.port().saturating_add(self.low_port_offset));
        }
        address
    }
}
