//! The outbound side of sidecars: listeners by port, routes by host, clusters and endpoints of every service that the namespace
//! sees. Nothing here depends on one proxy's address or full labels, so that all proxies of a namespace share it; and what namespaces
//! have alike, which is nearly everything, lies below once for all of them.

mod clusters;
mod endpoints;
mod findings;
mod fixed;
mod index;
mod listeners;
mod names;
mod routes;
mod slots;
mod tables;
mod unit;

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_ir::{ProxyKind, ProxyScope, ProxyTables};

pub(super) use endpoints::endpoint;
pub(super) use fixed::{passthrough, virtual_outbound};

use super::cache::TranslationCache;
use super::locality::ClientTopology;
use super::view::View;
use crate::diag::Diagnostic;
use crate::snapshot::{Difference, NODE_LABEL, Snapshot, with_topology_labels};
use tables::Side;

/// All that the outbound part depends on beside the snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OutboundKey {
    /// Sidecar or gateway.
    pub kind: ProxyKind,
    /// Namespace of the clients.
    pub namespace: String,
    /// Labels of the clients, as far as any rule looks at them.
    pub labels: BTreeMap<String, String>,
    /// DNS domain of the clients.
    pub dns_domain: String,
    /// Where the clients are; none where no rule asks.
    pub topology: Option<ClientTopology>,
    /// Whether proxies resolve names for the clients.
    pub captures_dns: bool,
}

/// What the part depends on that lies below every namespace's.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey {
    /// Sidecar or gateway.
    pub kind: ProxyKind,
    /// DNS domain of the clients.
    pub dns_domain: String,
    /// Whether proxies resolve names for the clients.
    pub captures_dns: bool,
}

/// What clients of whom nothing is known see of a snapshot: what lies below every namespace's outbound part.
#[derive(Debug)]
pub struct Public(Side);

/// The outbound part of a configuration: listeners by port, or by address and port; routes by port, or by host and port; clusters of
/// services and subsets, and the fixed ones; endpoints of the clusters that discover them; names of the services with addresses.
#[derive(Debug)]
pub struct Outbound {
    /// The public layers with those of the namespace over them.
    pub tables: ProxyTables,
    side: Side,
    public: Arc<Public>,
}

// === impl OutboundKey ===

impl OutboundKey {
    /// The part of a scope that matters.
    pub fn of(snapshot: &Snapshot, scope: &ProxyScope) -> Self {
        Self {
            kind: scope.kind,
            namespace: scope.namespace.clone(),
            labels: scope
                .labels
                .iter()
                .filter(|(key, value)| snapshot.is_relevant_label(key, value))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
            dns_domain: scope.dns_domain.clone(),
            topology: topology(snapshot, scope),
            captures_dns: scope.captures_dns && scope.kind == ProxyKind::Sidecar,
        }
    }

    /// What lies below.
    pub fn public(&self) -> PublicKey {
        PublicKey {
            kind: self.kind,
            dns_domain: self.dns_domain.clone(),
            captures_dns: self.captures_dns,
        }
    }

    fn view<'a>(&'a self, snapshot: &'a Snapshot, cache: &'a TranslationCache) -> View<'a> {
        let Self {
            kind: _,
            namespace,
            labels,
            dns_domain,
            topology,
            captures_dns,
        } = self;
        let mut view = View::new(snapshot, cache, namespace, labels, dns_domain);
        view.topology = topology.as_ref();
        view.captures_dns = *captures_dns;
        view
    }
}

/// Where a client is, as far as some rule looks at it. What a proxy says itself counts before what is known of its pod.
fn topology(snapshot: &Snapshot, scope: &ProxyScope) -> Option<ClientTopology> {
    if !snapshot.topology_matters() {
        return None;
    }
    let known = || snapshot.locality_at(scope.address?);
    let locality = scope.locality.clone().or_else(known).unwrap_or_default();
    let mut labels =
        with_topology_labels(&scope.labels, &locality, &scope.cluster_id, &scope.network);
    if let Some(node) = scope.address.and_then(|address| snapshot.node_at(address)) {
        labels.insert(NODE_LABEL.to_owned(), node.to_owned());
    }
    let keys = snapshot.failover_labels();
    labels.retain(|key, _| keys.contains(key.as_str()));
    let topology = ClientTopology { locality, labels };
    (topology != ClientTopology::default()).then_some(topology)
}

// === impl Public ===

impl Public {
    /// From nothing.
    pub(super) fn new(
        snapshot: &Snapshot,
        cache: &TranslationCache,
        PublicKey {
            kind,
            dns_domain,
            captures_dns,
        }: &PublicKey,
    ) -> Self {
        let (kind, nobody) = (*kind, BTreeMap::new());
        let mut view = View::new(snapshot, cache, "", &nobody, dns_domain);
        view.captures_dns = *captures_dns;
        Self(Side::public(&view, kind))
    }

    /// For a newer snapshot, which differs as it is said.
    pub(super) fn next(
        &self,
        snapshot: &Snapshot,
        cache: &TranslationCache,
        PublicKey {
            kind,
            dns_domain,
            captures_dns,
        }: &PublicKey,
        difference: &Difference,
    ) -> Self {
        let (kind, nobody) = (*kind, BTreeMap::new());
        let mut view = View::new(snapshot, cache, "", &nobody, dns_domain);
        view.captures_dns = *captures_dns;
        Self(self.0.next(&view, kind, None, difference))
    }
}

// === impl Outbound ===

impl Outbound {
    /// The outbound part for a key over the public one of the same snapshot, kind and domain. Gateways have only clusters, endpoints
    /// and names here; their listeners and routes are their own.
    pub(super) fn new(
        snapshot: &Snapshot,
        cache: &TranslationCache,
        key: &OutboundKey,
        public: &Arc<Public>,
    ) -> Self {
        let side = Side::over(&key.view(snapshot, cache), key.kind, &public.0);
        Self::of(side, public)
    }

    /// For a newer snapshot, which differs as it is said; `public` is made from the public part that is below this one.
    pub(super) fn next(
        &self,
        snapshot: &Snapshot,
        cache: &TranslationCache,
        key: &OutboundKey,
        (public, difference): (&Arc<Public>, &Difference),
    ) -> Self {
        let view = key.view(snapshot, cache);
        let side = self.side.next(&view, key.kind, Some(&public.0), difference);
        Self::of(side, public)
    }

    /// The tables as if nothing were shared: every host is looked at for this key. For tests of what is shared.
    #[cfg(test)]
    pub(super) fn alone(
        snapshot: &Snapshot,
        cache: &TranslationCache,
        key: &OutboundKey,
    ) -> ProxyTables {
        Side::public(&key.view(snapshot, cache), key.kind).tables(None)
    }

    fn of(side: Side, public: &Arc<Public>) -> Self {
        Self {
            tables: side.tables(Some(&public.0)),
            side,
            public: public.clone(),
        }
    }

    /// What is wrong with the rules.
    pub(super) fn findings(
        &self,
        snapshot: &Snapshot,
        cache: &TranslationCache,
        key: &OutboundKey,
    ) -> Vec<Diagnostic> {
        match key.kind {
            ProxyKind::Gateway => Vec::new(),
            ProxyKind::Sidecar => {
                let layered = self.side.layered(Some(&self.public.0));
                findings::findings(&key.view(snapshot, cache), layered)
            }
        }
    }
}
