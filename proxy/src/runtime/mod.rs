//! A [`ProxyConfig`](mesh_ir::ProxyConfig) compiled for speed: names are resolved to positions, routes to tables, endpoints to what may
//! be chosen. Immutable; workers see a new one all at once.
//!
//! ```text
//! ProxyConfig --compile--> Runtime: listener --chain--> routes --route--> cluster --> endpoints
//!     ^                       |
//!     +-- unchanged parts are taken over from the runtime before, and so are the addresses that names were resolved to
//! ```

mod cluster;
mod clusters;
mod compile;
mod listener;
mod membership;
mod names;
mod routes;
mod unsupported;

use std::net::SocketAddr;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::rate_limit::Limiter;
use crate::tls::TlsConfigs;
use clusters::Clusters;

pub use cluster::{Cluster, Resolved, Source, Transport};
pub use clusters::{ClusterId, ClusterIds};
pub use compile::{ApplyError, Compiler};
pub use listener::{Chain, ChainTls, Http, Listener, Looks, Network, Tcp};
pub use membership::Membership;
pub use routes::{RouteLimits, Routes, check_substitutions};
pub use unsupported::check as check_supported;

/// Everything that workers go by.
#[derive(Debug, Default)]
pub struct Runtime {
    /// Grows with every configuration.
    pub generation: u64,
    listeners: FxHashMap<Arc<str>, Arc<Listener>>,
    /// Listeners without a socket of their own, by the destinations that they take.
    destinations: FxHashMap<SocketAddr, Arc<Listener>>,
    clusters: Arc<Clusters>,
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
        self.clusters.list.get(id.index())
    }

    /// The cluster of a name.
    pub fn cluster_named(&self, name: &str) -> Option<&Arc<Cluster>> {
        self.cluster(self.cluster_id(name)?)
    }

    /// All clusters, sorted by name.
    pub fn clusters(&self) -> &[Arc<Cluster>] {
        &self.clusters.list
    }

    /// The clusters whose endpoints are host names, with what those are resolved to.
    pub fn named_clusters(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<Resolved>)> {
        self.clusters.named.iter().filter_map(|cluster| {
            let Source::Dns(resolved, _) = &cluster.source else {
                return None;
            };
            Some((cluster.name(), resolved))
        })
    }

    /// The limits of rates of all servers and routes.
    pub fn limiters(&self) -> impl Iterator<Item = &Arc<Limiter>> {
        let servers = self.listeners.values();
        let servers = servers.flat_map(|listener| listener.limits(None));
        let servers = servers.flat_map(|limits| limits.all().of(false));
        servers.chain(self.routes.values().flat_map(|routes| routes.limiters()))
    }

    /// The position of a cluster.
    pub fn cluster_id(&self, name: &str) -> Option<ClusterId> {
        self.clusters.ids.get(name).copied()
    }

    /// Addresses of a lower-case host name that the control plane knows.
    pub fn addresses(&self, host: &str) -> Option<&Arc<[std::net::IpAddr]>> {
        self.names.get(host)
    }
}

#[cfg(test)]
mod tests;
