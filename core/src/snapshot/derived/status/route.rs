//! Routes: which of their parents take them, and whether their backends are there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::condition::{Condition, conditions};
use super::{errors, generation, joined, service};
use crate::diag::NO_EFFECT;
use crate::model::gateway_api::{
    BackendRef, GrpcRouteRule, Hostname, HttpRouteRule, ParentReference,
};
use crate::resource::{Kind, Object, Resource, ResourceKey};
use crate::snapshot::derived::Deriver;
use crate::snapshot::derived::backends::Backend;
use crate::snapshot::derived::classes::CONTROLLER;
use crate::snapshot::derived::parents::{Parent, Refusal, RouteKind};

/// The kinds of routes, also those that nothing takes.
const KINDS: [Kind; 5] = [
    Kind::HttpRoute,
    Kind::GrpcRoute,
    Kind::TlsRoute,
    Kind::TcpRoute,
    Kind::UdpRoute,
];

/// What routes have been taken.
#[derive(Debug, Default)]
pub(super) struct Attached {
    /// How many, by what lists the listener and the listener's name.
    counts: BTreeMap<(ResourceKey, String), usize>,
    /// The Gateways that lead to a Service, by its namespace and name.
    gateways: BTreeMap<(String, String), BTreeSet<ResourceKey>>,
}

/// A route of any kind.
struct Route<'a> {
    resource: &'a Arc<Resource>,
    kind: RouteKind<'a>,
    parents: &'a [ParentReference],
    backends: Vec<Backend<'a>>,
}

/// The status of each route, and counts those that listeners have taken.
pub(super) fn all<'a>(
    deriver: &Deriver<'a>,
    attached: &mut Attached,
) -> Vec<(&'a Arc<Resource>, Value)> {
    let mut all = Vec::new();
    for kind in KINDS {
        for resource in deriver.objects.of(kind) {
            if let Some(route) = Route::of(resource) {
                all.push((resource, route.status(deriver, attached)));
            }
        }
    }
    all
}

// === impl Attached ===

impl Attached {
    /// How many routes a listener has taken.
    pub(super) fn count(&self, source: &Resource, listener: &str) -> usize {
        let key = (source.key.clone(), listener.to_owned());
        self.counts.get(&key).copied().unwrap_or_default()
    }

    /// The Gateways that lead to a Service.
    pub(super) fn gateways_of(
        &self,
        namespace: &str,
        service: &str,
    ) -> impl Iterator<Item = &ResourceKey> {
        let key = (namespace.to_owned(), service.to_owned());
        self.gateways.get(&key).into_iter().flatten()
    }
}

// === impl Route ===

impl<'a> Route<'a> {
    fn of(resource: &'a Arc<Resource>) -> Option<Self> {
        let none: &[Hostname] = &[];
        let plain = |all: &'a [BackendRef]| all.iter().map(Backend::from);
        let (kind, parents, hosts, backends) = match &resource.object {
            Object::HttpRoute(spec) => {
                let rules = spec.rules.iter().flat_map(of_http).collect();
                ("HTTPRoute", &spec.parent_refs, &spec.hostnames[..], rules)
            }
            Object::GrpcRoute(spec) => {
                let rules = spec.rules.iter().flat_map(of_grpc).collect();
                ("GRPCRoute", &spec.parent_refs, &spec.hostnames[..], rules)
            }
            Object::TlsRoute(spec) => {
                let rules = spec.rules.iter();
                let rules = rules.flat_map(|rule| plain(&rule.backend_refs)).collect();
                ("TLSRoute", &spec.parent_refs, &spec.hostnames[..], rules)
            }
            Object::TcpRoute(spec) | Object::UdpRoute(spec) => {
                let rules = spec.rules.iter();
                let rules = rules.flat_map(|rule| plain(&rule.backend_refs)).collect();
                (resource.key.kind.name(), &spec.parent_refs, none, rules)
            }
            _ => return None,
        };
        Some(Self {
            resource,
            kind: RouteKind {
                key: &resource.key,
                kind,
                hosts: hosts.iter().map(|host| &**host).collect(),
            },
            parents,
            backends,
        })
    }

    fn status(&self, deriver: &Deriver<'a>, attached: &mut Attached) -> Value {
        let generation = generation(self.resource);
        let references = Condition::of("ResolvedRefs", self.references(deriver));
        let mut listeners = BTreeMap::new();
        let mut parents: Vec<Value> = Vec::new();
        for reference in self.parents {
            let Some(parent) = Parent::of(deriver, reference, &self.kind) else {
                continue;
            };
            let taken = self.accept(deriver, &parent, reference);
            if let (Ok(_), Parent::Gateway { resource, .. }) = (&taken, &parent) {
                for backend in &self.backends {
                    let namespace = backend.namespace.map(|namespace| &**namespace);
                    let namespace = namespace.unwrap_or(&self.kind.key.namespace);
                    let service = (namespace.to_owned(), backend.name.to_string());
                    let gateways = attached.gateways.entry(service).or_default();
                    gateways.insert(resource.key.clone());
                }
            }
            if let Ok(taken) = &taken {
                listeners.extend(taken.iter().map(|key| (key.clone(), ())));
            }
            let accepted = taken.map(|_| "The route is in force");
            let mut all = vec![Condition::of("Accepted", accepted), references.clone()];
            all.extend(self.partly());
            parents.push(json!({
                "parentRef": serde_json::to_value(reference).unwrap_or_default(),
                "controllerName": CONTROLLER,
                "conditions": conditions(generation, all),
            }));
        }
        for key in listeners.into_keys() {
            *attached.counts.entry(key).or_default() += 1;
        }
        json!({"parents": parents})
    }

    /// The listeners that take the route, or why none does.
    fn accept(
        &self,
        deriver: &Deriver<'a>,
        parent: &Parent<'a>,
        reference: &'a ParentReference,
    ) -> Result<Vec<(ResourceKey, String)>, (&'static str, String)> {
        if self.resource.is_refused() {
            return Err(("UnsupportedValue", errors(self.resource)));
        }
        if let Parent::Service { namespace, name } = parent {
            if service::find(deriver, namespace, name).is_none() {
                let message = format!("there is no Service {name} in {namespace}");
                return Err(("NoMatchingParent", message));
            }
            return match self.kind.kind {
                "UDPRoute" => Err(("NotAllowedByListeners", UDP.to_owned())),
                _ => Ok(Vec::new()),
            };
        }
        let taken = parent.attach(deriver, reference, &self.kind);
        let taken = taken.map_err(|refusal| self.explain(refusal, reference))?;
        let taken = taken.iter();
        Ok(taken
            .map(|one| (one.source.key.clone(), one.listener.name.to_string()))
            .collect())
    }

    fn explain(&self, refusal: Refusal, reference: &ParentReference) -> (&'static str, String) {
        let parent = &*reference.name;
        match refusal {
            Refusal::NoMatchingParent => {
                let named = reference.section_name.as_deref();
                let named = named.map_or_else(String::new, |name| format!(" {name}"));
                let port = reference.port;
                let port = port.map_or_else(String::new, |port| format!(" at port {port}"));
                let message = format!("{parent} has no listener{named}{port}");
                ("NoMatchingParent", message)
            }
            Refusal::NotAllowedByListeners if self.kind.kind == "UDPRoute" => {
                ("NotAllowedByListeners", UDP.to_owned())
            }
            Refusal::NotAllowedByListeners => {
                let message = format!(
                    "no listener of {parent} takes a {} of the namespace {}; its allowedRoutes say which",
                    self.kind.kind, self.kind.key.namespace
                );
                ("NotAllowedByListeners", message)
            }
            Refusal::NoMatchingListenerHostname => {
                let message = format!(
                    "no listener of {parent} has one of the hosts {}",
                    self.kind.hosts.join(", ")
                );
                ("NoMatchingListenerHostname", message)
            }
        }
    }

    /// Whether the backends are there and may be used.
    fn references(&self, deriver: &Deriver<'_>) -> Result<&'static str, (&'static str, String)> {
        let from = self.kind.referrer();
        let mut all = self.backends.iter();
        all.try_for_each(|backend| backend.check(deriver, from))?;
        Ok("All backends are there")
    }

    /// Whether a part is left out since it is not supported.
    fn partly(&self) -> Option<Condition> {
        let findings = self.resource.findings.iter();
        let idle = joined(findings.filter(|finding| finding.code == NO_EFFECT));
        (!idle.is_empty()).then(|| Condition::yes("PartiallyInvalid", "UnsupportedValue", &idle))
    }
}

const UDP: &str = "UDP is not supported: no listener takes UDPRoutes";

fn of_http(rule: &HttpRouteRule) -> impl Iterator<Item = Backend<'_>> {
    let mirrors = rule.filters.iter();
    let mirrors = mirrors.filter_map(|filter| filter.request_mirror.as_ref());
    let mirrors = mirrors.map(|mirror| Backend::from(&mirror.backend_ref));
    rule.backend_refs.iter().map(Backend::from).chain(mirrors)
}

fn of_grpc(rule: &GrpcRouteRule) -> impl Iterator<Item = Backend<'_>> {
    let mirrors = rule.filters.iter();
    let mirrors = mirrors.filter_map(|filter| filter.request_mirror.as_ref());
    let mirrors = mirrors.map(|mirror| Backend::from(&mirror.backend_ref));
    rule.backend_refs.iter().map(Backend::from).chain(mirrors)
}
