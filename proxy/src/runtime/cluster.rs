//! Clusters with the endpoints that may be chosen.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use mesh_ir::{ClusterKind, Endpoint, Endpoints, Locality, LocalityEndpoints, UpstreamTls};

use super::Membership;
use crate::health::Hosts;
use crate::limits::Usage;
use crate::tls::ClientSide;

/// A cluster.
#[derive(Debug)]
pub struct Cluster {
    /// As configured.
    pub config: Arc<mesh_ir::Cluster>,
    /// Where its endpoints come from.
    pub source: Source,
    /// What is known of its endpoints; the same from one configuration to the next.
    pub hosts: Arc<Hosts>,
    /// What is under way to them; the same, too.
    pub usage: Arc<Usage>,
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
    /// The control plane; none as long as it has told nothing.
    Known(Option<Arc<Membership>>),
    /// Names, with what was made of the addresses that they had last.
    Dns(Arc<Resolved>, ArcSwap<Membership>),
    /// Each connection's original destination.
    OriginalDestination,
}

/// The addresses of host names; the same as long as the cluster's names are.
#[derive(Debug)]
pub struct Resolved {
    /// The names with their ports.
    pub hosts: Vec<(Arc<str>, u16)>,
    endpoints: ArcSwap<Endpoints>,
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
        let hosts = before.map_or_else(Arc::default, |before| before.hosts.clone());
        let members = |endpoints| Arc::new(Membership::new(&config.client, endpoints, &hosts));
        let source = match &config.kind {
            ClusterKind::Eds => Source::Known(told.map(members)),
            ClusterKind::Static(endpoints) => Source::Known(Some(members(endpoints.clone()))),
            ClusterKind::StrictDns(names) => {
                let resolved = match before.map(|before| &before.source) {
                    Some(Source::Dns(resolved, _)) if resolved.hosts == *names => resolved.clone(),
                    _ => Arc::new(Resolved::new(names.clone())),
                };
                let membership = members(resolved.endpoints());
                Source::Dns(resolved, ArcSwap::new(membership))
            }
            ClusterKind::OriginalDestination => Source::OriginalDestination,
        };
        Self {
            where_offered: matches!(config.client.tls, UpstreamTls::WhereOffered(_)),
            config,
            source,
            hosts,
            usage: before.map_or_else(Arc::default, |before| before.usage.clone()),
            transport,
        }
    }

    /// Its endpoints as of now.
    pub fn members(&self) -> Option<Arc<Membership>> {
        match &self.source {
            Source::Known(membership) => membership.clone(),
            Source::Dns(resolved, last) => {
                let last_known = last.load_full();
                let endpoints = resolved.endpoints();
                if Arc::ptr_eq(last_known.endpoints(), &endpoints) {
                    return Some(last_known);
                }
                let fresh = Membership::new(&self.config.client, endpoints, &self.hosts);
                let fresh = Arc::new(fresh);
                last.store(fresh.clone());
                Some(fresh)
            }
            Source::OriginalDestination => None,
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
                (Source::Known(mine), ClusterKind::Eds) => match (mine, told) {
                    (Some(mine), Some(told)) => {
                        let mine = mine.endpoints();
                        Arc::ptr_eq(mine, told) || mine == told
                    }
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

// === impl Resolved ===

impl Resolved {
    /// Names that have no addresses yet.
    pub fn new(hosts: Vec<(Arc<str>, u16)>) -> Self {
        Self {
            hosts,
            endpoints: ArcSwap::new(Arc::new(endpoints_at(&[]))),
        }
    }

    /// The endpoints as of now, all alike.
    pub fn endpoints(&self) -> Arc<Endpoints> {
        self.endpoints.load_full()
    }

    /// Takes in what the names were resolved to. The value stays the same one if nothing has changed.
    pub fn store(&self, addresses: &[SocketAddr]) {
        let endpoints = endpoints_at(addresses);
        if **self.endpoints.load() != endpoints {
            self.endpoints.store(Arc::new(endpoints));
        }
    }
}

fn endpoints_at(addresses: &[SocketAddr]) -> Endpoints {
    let endpoints = addresses.iter().copied().map(Endpoint::new).collect();
    Endpoints {
        cluster: "".into(),
        localities: vec![LocalityEndpoints::new(Locality::default(), endpoints)],
    }
}
