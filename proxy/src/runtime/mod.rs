//! A [`ProxyConfig`](mesh_ir::ProxyConfig) compiled for speed: names are resolved to positions, routes to tables, endpoints to what may
//! be chosen. Immutable; workers see a new one all at once.
//!
//! ```text
//! ProxyConfig --compile--> Runtime: listener --chain--> routes --route--> cluster --> endpoints
//!     ^                       |
//!     +-- unchanged parts are taken over from the runtime before, and so are the addresses that names were resolved to
//! ```

mod cluster;
mod compile;
mod listener;
mod membership;
mod names;
mod routes;
mod unsupported;

use std::net::SocketAddr;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::tls::TlsConfigs;

pub use cluster::{Cluster, Resolved, Source, Transport};
pub use compile::{ApplyError, Compiler};
pub use listener::{Chain, ChainTls, Http, Listener, Looks, Network, Tcp};
pub use membership::Membership;
pub use routes::{Routes, check_substitutions};
pub use unsupported::check as check_supported;

/// Position of a cluster in its runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterId(u32);

/// Everything that workers go by.
#[derive(Debug, Default)]
pub struct Runtime {
    /// Grows with every configuration.
    pub generation: u64,
    listeners: FxHashMap<Arc<str>, Arc<Listener>>,
    /// Listeners without a socket of their own, by the destinations that they take.
    destinations: FxHashMap<SocketAddr, Arc<Listener>>,
    clusters: Vec<Arc<Cluster>>,
    cluster_ids: FxHashMap<Arc<str>, ClusterId>,
    routes: FxHashMap<Arc<str>, Arc<Routes>>,
    names: Arc<names::Names>,
    tls: TlsConfigs,
}

// === impl Runtime ===

impl Runtime {
    /// The listener of a name.
    pub fn listener(&self, name: &str) -> Option<&Arc<Listener>> {
        self.listeners.get(name)
    }

    /// All listeners.
    pub fn listeners(&self) -> impl Iterator<Item = &Arc<Listener>> {
        self.listeners.values()
    }

    /// The listener that lends its chains to connections to this destination: of the very address, or of its port.
    pub fn destination(&self, destination: SocketAddr) -> Option<&Arc<Listener>> {
        let any = match destination {
            SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        let port = destination.port();
        self.destinations
            .get(&destination)
            .or_else(|| self.destinations.get(&SocketAddr::new(any, port)))
            .or_else(|| {
                let any = std::net::Ipv4Addr::UNSPECIFIED.into();
                self.destinations.get(&SocketAddr::new(any, port))
            })
    }

    /// Whether connections may belong to chains here that another runtime does not have.
    pub fn has_more_chains_than(&self, other: &Runtime) -> bool {
        self.listeners.values().any(|listener| {
            let now = other.listener(&listener.config.name);
            now.is_none_or(|now| !now.has_chains_of(listener))
        })
    }

    /// The cluster at a position.
    pub fn cluster(&self, id: ClusterId) -> Option<&Arc<Cluster>> {
        self.clusters.get(id.index())
    }

    /// All clusters, sorted by name.
    pub fn clusters(&self) -> &[Arc<Cluster>] {
        &self.clusters
    }

    /// The position of a cluster.
    pub fn cluster_id(&self, name: &str) -> Option<ClusterId> {
        self.cluster_ids.get(name).copied()
    }

    /// Addresses of a lower-case host name that the control plane knows.
    pub fn addresses(&self, host: &str) -> Option<&[std::net::IpAddr]> {
        self.names.get(host)
    }
}

// === impl ClusterId ===

impl ClusterId {
    /// Position in [`Runtime::clusters`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}
