//! What the clients of one namespace see of a snapshot: services by host, rules by host, destination rules.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use mesh_ir::{HashPolicy, RetryPolicy};

use super::cache::TranslationCache;
use super::consistent_hash;
use super::http_server::HttpServerSettings;
use super::locality::ClientTopology;
use super::naming::outbound_cluster;
use super::rules::{ClientContext, CompiledRules, Destination, default_retry};
use crate::diag::{Diagnostic, FieldPath};
use crate::snapshot::policy::EffectiveTrafficPolicy;
use crate::snapshot::{
    EffectiveDestinationRule, MESH_GATEWAY, MeshService, Snapshot, TrafficDistribution,
    is_wildcard, report,
};

/// What the clients of one namespace with some labels see. Clients of no namespace see what is public and nothing else.
pub(super) struct View<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) cache: &'a TranslationCache,
    pub(super) namespace: &'a str,
    pub(super) labels: &'a BTreeMap<String, String>,
    pub(super) domain: &'a str,
    /// Where the clients are; none where that does not matter, or is not known.
    pub(super) topology: Option<&'a ClientTopology>,
    /// Whether their proxies resolve names for the clients.
    pub(super) captures_dns: bool,
    pub(super) http_server: HttpServerSettings,
    pub(super) default_retry: Option<RetryPolicy>,
    mesh_gateway: [Arc<str>; 1],
    /// Hosts of which it was asked what services they have.
    reads: RefCell<BTreeSet<Arc<str>>>,
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
        Self {
            snapshot,
            cache,
            namespace,
            labels,
            domain,
            topology: None,
            captures_dns: false,
            http_server: HttpServerSettings::of(snapshot, namespace, labels),
            default_retry: default_retry(mesh),
            mesh_gateway: [MESH_GATEWAY.into()],
            reads: RefCell::default(),
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

    /// The addresses at which the clients reach a service, beside those of its instances.
    pub(super) fn addresses<'s>(&self, service: &'s MeshService) -> &'s [IpAddr] {
        if service.addresses.is_empty() && self.captures_dns {
            return &service.allocated;
        }
        &service.addresses
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

    /// Whether the endpoints of a service are preferred by where these clients are.
    pub(super) fn prefers_by_topology(&self, service: &MeshService) -> bool {
        let mesh = self.snapshot.mesh().locality_lb_setting();
        let rule = self.destination_rule(service);
        self.topology.is_some()
            && (mesh.has_shares()
                || service.distribution != TrafficDistribution::Any
                || rule.is_some_and(|rule| rule.looks_at_topology(self.snapshot.mesh())))
    }

    /// The cluster of a destination: its own port, or the only one of the service, or the port of the request.
    pub(super) fn cluster(&self, destination: &Destination, port: u16) -> Arc<str> {
        let service = self.service_of_destination(destination);
        // A service of a pattern has clusters of the pattern, which the destination may be one of.
        let host = match service {
            Some(service) if !is_wildcard(&service.host) => &service.host,
            _ => &destination.host,
        };
        let port = destination_port(destination, service).unwrap_or(port);
        outbound_cluster(port, &destination.subset, host)
    }

    /// The service of a destination; of one that only is another name, the service itself.
    fn service_of_destination(&self, destination: &Destination) -> Option<&'a Arc<MeshService>> {
        self.note_read(&destination.host);
        let service = self
            .snapshot
            .find_service(&destination.host, self.namespace)?;
        self.unaliased(service)
    }

    /// The service that another one is a name of, or else the service itself; none if it is not visible here.
    pub(super) fn unaliased(&self, service: &'a Arc<MeshService>) -> Option<&'a Arc<MeshService>> {
        let Some(host) = &service.alias_of else {
            return Some(service);
        };
        self.note_read(host);
        self.snapshot.service_of(host, self.namespace)
    }

    /// What of a request is hashed for the cluster of a destination, as the rule for its host says.
    pub(super) fn hash(&self, destination: &Destination, port: u16) -> Option<HashPolicy> {
        let service = self.service_of_destination(destination)?;
        let port = destination_port(destination, Some(service)).unwrap_or(port);
        let rule = self.destination_rule(service)?;
        hash_policy(&rule, &destination.subset, port)
    }

    /// The same for a service as a whole.
    pub(super) fn hash_for_service(&self, service: &MeshService, port: u16) -> Option<HashPolicy> {
        hash_policy(&*self.destination_rule(service)?, "", port)
    }

    /// The rules that sidecars apply to a host of a service.
    pub(super) fn rules_for(&self, host: &str) -> Option<Arc<CompiledRules>> {
        let source = self.snapshot.rules_for_host(host, self.namespace)?;
        Some(self.cache.rules(self.snapshot, source))
    }

    /// Notes that something depends on the services of a host, or of the hosts that a pattern covers.
    pub(super) fn note_read(&self, host: &Arc<str>) {
        self.reads.borrow_mut().insert(host.clone());
    }

    /// What was noted since the last call.
    pub(super) fn take_reads(&self) -> BTreeSet<Arc<str>> {
        self.reads.take()
    }

    /// What is wrong with the rules that sidecars of this view apply, in the order in which they win.
    pub(super) fn rule_findings(&self) -> Vec<Diagnostic> {
        let mut findings = Vec::new();
        for source in self.snapshot.virtual_services_visible_from(self.namespace) {
            if !source.is_for_mesh() {
                continue;
            }
            let compiled = self.cache.rules(self.snapshot, &source);
            findings.extend(compiled.diagnostics.iter().cloned());
            for (index, host) in source.hosts.iter().enumerate() {
                let winner = self.snapshot.rules_of_host(host, self.namespace);
                let Some(winner) = winner.filter(|winner| !Arc::ptr_eq(winner, &source)) else {
                    continue;
                };
                let message = format!(
                    "host {host} is routed by the {} already; this object has no effect for it in sidecars",
                    winner.resource.key
                );
                let path = FieldPath::parse("spec.hosts").index(index);
                findings.push(report::conflict(&source.resource, path, message));
            }
        }
        findings
    }
}

/// The port that a destination names, or the only one of its service.
fn destination_port(destination: &Destination, service: Option<&Arc<MeshService>>) -> Option<u16> {
    let only = || match service?.ports.as_slice() {
        [only] => Some(only.port),
        _ => None,
    };
    destination.port.or_else(only)
}

fn hash_policy(rule: &EffectiveDestinationRule, subset: &str, port: u16) -> Option<HashPolicy> {
    let subset = rule.subset(subset);
    let policy = EffectiveTrafficPolicy::effective(
        rule.traffic_policy.as_ref(),
        subset.and_then(|subset| subset.traffic_policy.as_ref()),
        port,
    );
    let hash = policy.load_balancer?.consistent_hash.as_ref()?;
    consistent_hash::policy(hash)
}
