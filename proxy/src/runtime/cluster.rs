//! Clusters with the endpoints that may be chosen.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use mesh_ir::{ClusterKind, EndpointHealth, Endpoints, Workload};

/// A cluster.
#[derive(Debug)]
pub struct Cluster {
    /// As configured.
    pub config: Arc<mesh_ir::Cluster>,
    /// Where its endpoints come from.
    pub source: Source,
}

/// Where endpoints come from.
#[derive(Debug)]
pub enum Source {
    /// The control plane.
    Known {
        /// As they were told; none if nothing was told yet.
        told: Option<Arc<Endpoints>>,
        /// Those that may be chosen.
        eligible: Vec<Endpoint>,
    },
    /// Names.
    Dns(Arc<Resolved>),
    /// Each connection's original destination.
    OriginalDestination,
}

/// One address that may be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Address.
    pub address: SocketAddr,
    /// Relative weight, at least 1.
    pub weight: u32,
    /// What runs there.
    pub workload: Option<Workload>,
}

/// The addresses of host names; the same as long as the cluster's names are.
#[derive(Debug)]
pub struct Resolved {
    /// The names with their ports.
    pub hosts: Vec<(Arc<str>, u16)>,
    addresses: ArcSwap<Vec<SocketAddr>>,
}

// === impl Cluster ===

impl Cluster {
    /// A cluster of its own, whose endpoints are part of it.
    #[cfg(test)]
    pub fn of(config: mesh_ir::Cluster) -> Self {
        Self::new(Arc::new(config), None, None)
    }

    pub(super) fn new(
        config: Arc<mesh_ir::Cluster>,
        told: Option<Arc<Endpoints>>,
        before: Option<&Cluster>,
    ) -> Self {
        let source = match &config.kind {
            ClusterKind::Eds => Source::known(told),
            ClusterKind::Static(endpoints) => Source::known(Some(endpoints.clone())),
            ClusterKind::StrictDns(hosts) => {
                Source::Dns(match before.map(|before| &before.source) {
                    Some(Source::Dns(resolved)) if resolved.hosts == *hosts => resolved.clone(),
                    _ => Arc::new(Resolved::new(hosts.clone())),
                })
            }
            ClusterKind::OriginalDestination => Source::OriginalDestination,
        };
        Self { config, source }
    }

    /// Whether this is what the parts would be compiled to.
    pub(super) fn is_of(
        &self,
        config: &Arc<mesh_ir::Cluster>,
        told: Option<&Arc<Endpoints>>,
    ) -> bool {
        let same = Arc::ptr_eq(&self.config, config) || self.config == *config;
        same && match (&self.source, &config.kind) {
            (Source::Known { told: mine, .. }, ClusterKind::Eds) => match (mine, told) {
                (Some(mine), Some(told)) => Arc::ptr_eq(mine, told) || mine == told,
                (None, None) => true,
                _ => false,
            },
            _ => true,
        }
    }

    /// Name.
    pub fn name(&self) -> &Arc<str> {
        &self.config.name
    }
}

// === impl Source ===

impl Source {
    fn known(told: Option<Arc<Endpoints>>) -> Self {
        let eligible = told.as_deref().map(eligible).unwrap_or_default();
        Self::Known { told, eligible }
    }
}

/// The healthy endpoints of the first priority that has any.
fn eligible(endpoints: &Endpoints) -> Vec<Endpoint> {
    let healthy = || {
        endpoints.localities.iter().flat_map(|locality| {
            let healthy =
                |endpoint: &&mesh_ir::Endpoint| endpoint.health == EndpointHealth::Healthy;
            let priority = locality.priority;
            locality
                .endpoints
                .iter()
                .filter(healthy)
                .map(move |endpoint| (priority, endpoint))
        })
    };
    let Some(first) = healthy().map(|(priority, _)| priority).min() else {
        return Vec::new();
    };
    healthy()
        .filter(|(priority, _)| *priority == first)
        .map(|(_, endpoint)| Endpoint {
            address: endpoint.address,
            weight: endpoint.weight.max(1),
            workload: endpoint.workload.clone(),
        })
        .collect()
}

// === impl Resolved ===

impl Resolved {
    /// Names that have no addresses yet.
    pub fn new(hosts: Vec<(Arc<str>, u16)>) -> Self {
        Self {
            hosts,
            addresses: ArcSwap::default(),
        }
    }

    /// The addresses as of now.
    pub fn addresses(&self) -> Arc<Vec<SocketAddr>> {
        self.addresses.load_full()
    }

    /// Takes in what the names were resolved to. The value stays the same one if nothing has changed.
    pub fn store(&self, addresses: Vec<SocketAddr>) {
        if **self.addresses.load() != addresses {
            self.addresses.store(Arc::new(addresses));
        }
    }
}
