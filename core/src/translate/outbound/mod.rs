//! The outbound side of sidecars: listeners by port, routes by host, clusters and endpoints of every service that the namespace
//! sees. Nothing here depends on one proxy's address or full labels, so that all proxies of a namespace share it.

mod clusters;
mod conflicts;
mod endpoints;
mod fixed;
mod listeners;
mod names;
mod routes;

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_ir::{Cluster, Endpoints, Listener, NameTable, ProxyKind, ProxyScope, RouteConfig};

pub(super) use clusters::{ClusterLists, ServiceClusters, ServiceInputs};
pub(super) use fixed::{passthrough, virtual_outbound};

use super::cache::TranslationCache;
use super::view::View;
use crate::diag::Diagnostic;
use crate::snapshot::Snapshot;

/// All that the outbound part depends on beside the snapshot. The locality is not among it: it does not matter before failover
/// between localities is asked for, which nothing acts on yet.
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
}

/// The outbound part of a configuration; every list is sorted by name.
#[derive(Clone, Debug, Default)]
pub struct Outbound {
    /// By port, or by address and port.
    pub listeners: Vec<Arc<Listener>>,
    /// By port, or by host and port.
    pub routes: Vec<Arc<RouteConfig>>,
    /// Of services and subsets, and the fixed ones.
    pub clusters: Vec<Arc<Cluster>>,
    /// Of the clusters that discover them.
    pub endpoints: Vec<Arc<Endpoints>>,
    /// Of the services with addresses.
    pub names: Arc<NameTable>,
    /// What is wrong with the rules.
    pub diagnostics: Vec<Diagnostic>,
}

// === impl OutboundKey ===

impl OutboundKey {
    /// The part of a scope that matters.
    pub fn of(snapshot: &Snapshot, scope: &ProxyScope) -> Self {
        let relevant = snapshot.relevant_labels();
        Self {
            kind: scope.kind,
            namespace: scope.namespace.clone(),
            labels: scope
                .labels
                .iter()
                .filter(|(key, _)| relevant.contains(*key))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
            dns_domain: scope.dns_domain.clone(),
        }
    }
}

/// The outbound part for a key. Gateways have only clusters, endpoints and names here; their listeners and routes are their own.
pub(super) fn outbound(
    snapshot: &Snapshot,
    cache: &TranslationCache,
    key: &OutboundKey,
) -> Outbound {
    let view = View::new(
        snapshot,
        cache,
        &key.namespace,
        &key.labels,
        &key.dns_domain,
    );
    let lists = clusters::clusters(&view, key.kind);
    let mut outbound = Outbound {
        clusters: lists.clusters.clone(),
        endpoints: lists.endpoints.clone(),
        names: Arc::new(names::name_table(&view)),
        ..Outbound::default()
    };
    if key.kind == ProxyKind::Sidecar {
        let mut rules = view.mesh_rules();
        outbound.diagnostics.append(&mut rules.diagnostics);
        let (slots, conflicts) = conflicts::slots(&view, &rules);
        outbound.diagnostics.extend(conflicts);
        outbound.routes = routes::routes(&view, &rules, &slots);
        outbound.listeners = listeners::listeners(&view, &slots);
    }
    outbound
}
