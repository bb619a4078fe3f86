//! What the clients of one namespace see of a snapshot: services by host, rules by host, destination rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_ir::RetryPolicy;

use super::cache::TranslationCache;
use super::http_server::HttpServerSettings;
use super::naming::outbound_cluster;
use super::rules::{ClientContext, CompiledRules, Destination, default_retry};
use crate::diag::{Diagnostic, FieldPath};
use crate::snapshot::{
    EffectiveDestinationRule, HostMap, MESH_GATEWAY, MeshService, Snapshot, report,
};

/// What the clients of one namespace with some labels see.
pub(super) struct View<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) cache: &'a TranslationCache,
    pub(super) namespace: &'a str,
    pub(super) labels: &'a BTreeMap<String, String>,
    pub(super) domain: &'a str,
    /// What memory within a snapshot must distinguish beside a service and its rules.
    pub(super) key: ViewKey,
    /// Sorted by host, one for each.
    pub(super) services: Vec<Arc<MeshService>>,
    pub(super) http_server: HttpServerSettings,
    pub(super) default_retry: Option<RetryPolicy>,
    mesh_gateway: [Arc<str>; 1],
}

/// Clients of one audience see the same services under the same domain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ViewKey {
    /// DNS domain of the clients.
    domain: Arc<str>,
    /// Empty if all services of the snapshot are seen.
    namespace: Arc<str>,
}

/// The rules that sidecars apply, by host: of several objects for one host the first candidate counts.
#[derive(Default)]
pub(super) struct MeshRules {
    pub(super) by_host: HostMap<Arc<CompiledRules>>,
    /// In the order of candidates.
    pub(super) all: Vec<Arc<CompiledRules>>,
    pub(super) diagnostics: Vec<Diagnostic>,
}

// === impl View ===

impl<'a> View<'a> {
    pub(super) fn new(
        snapshot: &'a Snapshot,
        cache: &'a TranslationCache,
        namespace: &'a str,
        labels: &'a BTreeMap<String, String>,
        domain: &'a str,
    ) -> Self {
        let mesh = snapshot.mesh();
        let services = snapshot.services_visible_from(namespace);
        let sees_all = services.len() == snapshot.services().len();
        Self {
            key: ViewKey {
                domain: domain.into(),
                namespace: if sees_all { "" } else { namespace }.into(),
            },
            snapshot,
            cache,
            namespace,
            labels,
            domain,
            services,
            http_server: HttpServerSettings::of(mesh),
            default_retry: default_retry(mesh),
            mesh_gateway: [MESH_GATEWAY.into()],
        }
    }

    /// The clients of this view, as rules see them.
    pub(super) fn client_context(&self, port: u16) -> ClientContext<'_> {
        ClientContext {
            gateways: &self.mesh_gateway,
            namespace: self.namespace,
            labels: self.labels,
            port,
        }
    }

    pub(super) fn service(&self, host: &str) -> Option<&Arc<MeshService>> {
        let exact = self
            .services
            .binary_search_by(|service| (*service.host).cmp(host))
            .ok()
            .and_then(|position| self.services.get(position));
        exact.or_else(|| self.snapshot.find_service(host, self.namespace))
    }

    pub(super) fn destination_rule(
        &self,
        service: &MeshService,
    ) -> Option<Arc<EffectiveDestinationRule>> {
        self.snapshot.destination_rule_for(
            &service.host,
            self.namespace,
            self.labels,
            &service.namespace,
        )
    }

    /// The cluster of a destination: its own port, or the only one of the service, or the port of the request.
    pub(super) fn cluster(&self, destination: &Destination, port: u16) -> Arc<str> {
        let only = || {
            let service = self.service(&destination.host)?;
            match service.ports.as_slice() {
                [only] => Some(only.port),
                _ => None,
            }
        };
        let port = destination.port.or_else(only).unwrap_or(port);
        outbound_cluster(port, &destination.subset, &destination.host)
    }

    /// The rules that sidecars of this view apply.
    pub(super) fn mesh_rules(&self) -> MeshRules {
        let mut rules = MeshRules::default();
        for source in self.snapshot.virtual_services_visible_from(self.namespace) {
            if !source.is_for_mesh() {
                continue;
            }
            let compiled = self.cache.rules(self.snapshot, &source);
            rules
                .diagnostics
                .extend(compiled.diagnostics.iter().cloned());
            for (index, host) in source.hosts.iter().enumerate() {
                let winner = rules.by_host.entry(host, || compiled.clone());
                if Arc::ptr_eq(&winner.source, &source) {
                    continue;
                }
                let message = format!(
                    "host {host} is routed by the {} already; this object has no effect for it in sidecars",
                    winner.source.resource.key
                );
                let path = FieldPath::parse("spec.hosts").index(index);
                rules
                    .diagnostics
                    .push(report::conflict(&source.resource, path, message));
            }
            rules.all.push(compiled);
        }
        rules
    }
}
