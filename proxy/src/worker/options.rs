//! What workers are started with: who the proxy is, where it may bind, and where its numbers and logs go.

use std::sync::Arc;

use mesh_ir::{Capture, Direction, HostView, ProxyKind};

use crate::dns::Lookup;
use crate::http1::HeadLimits;
use crate::telemetry::Reporter;
use crate::telemetry::metrics::{Metrics, OwnMetadata, Peer};

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
    /// What is different where the proxy runs.
    pub view: Arc<HostView>,
    /// Finds the addresses of host names.
    pub lookup: Arc<Lookup>,
    /// Namespace of the workload, whose services it knows by their names alone.
    pub namespace: Arc<str>,
    /// The proxy's own service cluster, in descriptors of rate limits.
    pub service_cluster: Arc<str>,
    /// Who the proxy speaks for, in metrics.
    pub identity: Option<Arc<Peer>>,
    /// What it tells other proxies of that.
    pub metadata: Option<Arc<OwnMetadata>>,
    /// Where workers count.
    pub metrics: Arc<Metrics>,
    /// Opens logs and what is sent to collectors.
    pub reporter: Arc<Reporter>,
}

// === impl Options ===

impl Options {
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
}
