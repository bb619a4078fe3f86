//! What a proxy has of its own.

use std::sync::Arc;

use mesh_ir::{ProxyConfig, ProxyKind, ProxyScope};

use super::cache::TranslationCache;
use super::gateway::{self, GatewayKey, GatewayPart};
use super::http_server::HttpServerSettings;
use super::inbound::{self, Inbound, InboundKey};
use super::outbound;
use crate::diag::Diagnostic;
use crate::snapshot::Snapshot;

/// What a proxy has of its own, apart from the outbound part.
pub(super) struct LocalResources {
    inbound: Inbound,
    gateway: GatewayPart,
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
                    &HttpServerSettings::of(snapshot, &scope.namespace, &scope.labels),
                );
                inbound.listeners.push(Arc::new(captured));
                Self {
                    inbound,
                    gateway: GatewayPart::default(),
                }
            }
        }
    }

    pub(super) fn diagnostics(&self) -> &[Diagnostic] {
        &self.gateway.diagnostics
    }

    pub(super) fn to_config(&self) -> ProxyConfig {
        let Self { inbound, gateway } = self;
        let listeners = inbound.listeners.iter().chain(&gateway.listeners);
        ProxyConfig {
            listeners: listeners.cloned().collect(),
            routes: gateway.routes.clone().into(),
            secrets: gateway.secrets.clone().into(),
            clusters: inbound.clusters.clone().into(),
            ..ProxyConfig::default()
        }
    }
}
