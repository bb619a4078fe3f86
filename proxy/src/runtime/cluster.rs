//! Clusters with the endpoints that may be chosen.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use mesh_ir::{ClusterKind, EndpointHealth, Endpoints, UpstreamTls, Workload};

use crate::tls::ClientSide;

/// A cluster.
#[derive(Debug)]
pub struct Cluster {
    /// As configured.
    pub config: Arc<mesh_ir::Cluster>,
    /// Where its endpoints come from.
    pub source: Source,
    transport: Transport,
    /// Whether only endpoints that offer the mesh's own TLS are spoken to in it.
    where_offered: bool,
}

/// Whether and how TLS is spoken.
#[derive(Clone, Debug)]
pub enum Transport {
    /// It is not.
    Plaintext,
    /// By these settings.
    Tls(Arc<ClientSide>),
    /// It should be, and cannot, for this reason. Nothing is sent in plaintext instead.
    NotReady(Arc<str>),
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
    /// Whether it accepts the mesh's own TLS.
    pub offers_mtls: bool,
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
        Self::new(Arc::new(config), None, Transport::Plaintext, None)
    }

    pub(super) fn new(
        config: Arc<mesh_ir::Cluster>,
        told: Option<Arc<Endpoints>>,
        transport: Transport,
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
        Self {
            where_offered: matches!(config.client.tls, UpstreamTls::WhereOffered(_)),
            config,
            source,
            transport,
        }
    }

    /// Whether and how TLS is spoken to an endpoint.
    #[inline]
    pub fn transport(&self, offers_mtls: bool) -> &Transport {
        if self.where_offered && !offers_mtls {
            return &Transport::Plaintext;
        }
        &self.transport
    }

    /// Whether this is what the parts would be compiled to.
    pub(super) fn is_of(
        &self,
        config: &Arc<mesh_ir::Cluster>,
        told: Option<&Arc<Endpoints>>,
        transport: &Transport,
    ) -> bool {
        let same = Arc::ptr_eq(&self.config, config) || self.config == *config;
        same && self.transport.is(transport)
            && match (&self.source, &config.kind) {
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

// === impl Transport ===

impl Transport {
    /// Whether connections that were made by one may be used by the other.
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plaintext, Self::Plaintext) => true,
            (Self::Tls(one), Self::Tls(other)) => Arc::ptr_eq(one, other),
            (Self::NotReady(one), Self::NotReady(other)) => one == other,
            _ => false,
        }
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
            offers_mtls: endpoint.offers_mtls,
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
