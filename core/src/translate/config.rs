//! Joins the parts of one proxy's configuration.

use std::sync::Arc;

use mesh_ir::{ProxyConfig, ProxyKind, ProxyScope};

use super::cache::TranslationCache;
use super::gateway::{self, GatewayKey, GatewayPart};
use super::http_server::HttpServerSettings;
use super::inbound::{self, Inbound, InboundKey};
use super::outbound::{self, Outbound, OutboundKey};
use crate::diag::Diagnostic;
use crate::snapshot::Snapshot;

/// The parts of one configuration.
pub(super) struct ProxyResources {
    outbound: Arc<Outbound>,
    own: LocalResources,
}

/// What a proxy has of its own, apart from the outbound part.
pub(super) struct LocalResources {
    inbound: Inbound,
    gateway: GatewayPart,
}

// === impl ProxyResources ===

impl ProxyResources {
    pub(super) fn translate(
        snapshot: &Snapshot,
        cache: &TranslationCache,
        scope: &ProxyScope,
        outbound: impl FnOnce(&OutboundKey) -> Arc<Outbound>,
    ) -> Self {
        Self {
            outbound: outbound(&OutboundKey::of(snapshot, scope)),
            own: LocalResources::translate(snapshot, cache, scope),
        }
    }

    /// The whole configuration. The outbound lists are sorted already, so that the few others are put in their places.
    pub(super) fn join(&self) -> ProxyConfig {
        let Self {
            outbound,
            own: LocalResources { inbound, gateway },
        } = self;
        let own_listeners = inbound.listeners.iter().chain(&gateway.listeners);
        ProxyConfig {
            listeners: merged(&outbound.listeners, own_listeners, |listener| {
                &*listener.name
            }),
            routes: merged(&outbound.routes, gateway.routes.iter(), |routes| {
                &*routes.name
            }),
            clusters: merged(&outbound.clusters, inbound.clusters.iter(), |cluster| {
                &*cluster.name
            }),
            endpoints: outbound.endpoints.clone(),
            secrets: Vec::new(),
            names: outbound.names.clone(),
        }
    }

    pub(super) fn diagnostics(&self) -> Vec<Diagnostic> {
        let mut diagnostics = self.outbound.diagnostics.clone();
        diagnostics.extend(self.own.gateway.diagnostics.iter().cloned());
        diagnostics
    }
}

// === impl LocalResources ===

impl LocalResources {
    pub(super) fn translate(
        snapshot: &Snapshot,
        cache: &TranslationCache,
        scope: &ProxyScope,
    ) -> Self {
        match scope.kind {
            ProxyKind::Gateway => Self {
                inbound: Inbound::default(),
                gateway: gateway::gateway(snapshot, cache, &GatewayKey::of(scope)),
            },
            ProxyKind::Sidecar => {
                let mut inbound = inbound::inbound(snapshot, &InboundKey::of(scope));
                let mesh = snapshot.mesh();
                let captured = outbound::virtual_outbound(
                    &scope.capture,
                    mesh.outbound_mode(),
                    HttpServerSettings::of(mesh).access_log.as_ref(),
                );
                inbound.listeners.push(Arc::new(captured));
                Self {
                    inbound,
                    gateway: GatewayPart::default(),
                }
            }
        }
    }

    pub(super) fn into_config(self) -> ProxyConfig {
        let Self { inbound, gateway } = self;
        let mut listeners = inbound.listeners;
        listeners.extend(gateway.listeners);
        ProxyConfig {
            listeners,
            routes: gateway.routes,
            clusters: inbound.clusters,
            ..ProxyConfig::default()
        }
    }
}

/// A sorted list with more values in their places; values whose name is taken replace the older ones.
fn merged<'a, T: 'a>(
    sorted: &[Arc<T>],
    more: impl Iterator<Item = &'a Arc<T>>,
    name: impl Fn(&T) -> &str,
) -> Vec<Arc<T>> {
    let mut more: Vec<&Arc<T>> = more.collect();
    more.sort_by(|a, b| name(a).cmp(name(b)));
    let mut all = Vec::with_capacity(sorted.len() + more.len());
    let mut rest = sorted;
    for value in more {
        let position = rest.partition_point(|known| name(known) < name(value));
        let (before, after) = rest.split_at(position);
        all.extend_from_slice(before);
        all.push(value.clone());
        rest = match after.split_first() {
            Some((same, after)) if name(same) == name(value) => after,
            _ => after,
        };
    }
    all.extend_from_slice(rest);
    all
}
