//! Objects that others stand for: a Kubernetes Ingress, and the Gateways and routes of the Gateway API, become Gateways and VirtualServices of
//! Istio's, under the names that Istio gives them, and are from then on treated like those.
//!
//! ```text
//! Ingress, IngressClass ---------------------------------+
//! GatewayClass, Gateway, *Route, ReferenceGrant, --------+--> derived objects --what has changed of them--> ChangeSet
//!   with the labels of Namespaces and ports of Services -+
//! ```
//!
//! All of them are derived again when an object changes that they are derived from; what comes out the same stays the very same.

mod attached;
pub(crate) mod backend_tls;
mod backends;
pub(crate) mod certificates;
pub(crate) mod classes;
mod connection_routes;
mod filters;
pub(crate) mod gateway_listeners;
mod grpc_routes;
mod http_routes;
mod ingress;
mod listeners;
mod merged;
mod parents;
mod requests;
mod selectors;
pub(super) mod status;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::objects::Objects;
use super::{ChangeSet, kubernetes};
use crate::model::MeshConfig;
use crate::model::gateway_api::GatewaySpec;
use crate::resource::{Kind, Meta, Object, Resource, ResourceKey};
use crate::source::{Derivation, Origin};

/// Kinds that become others.
const SOURCES: [Kind; 10] = [
    Kind::Ingress,
    Kind::IngressClass,
    Kind::GatewayClass,
    Kind::KubernetesGateway,
    Kind::ListenerSet,
    Kind::BackendTlsPolicy,
    Kind::HttpRoute,
    Kind::GrpcRoute,
    Kind::TlsRoute,
    Kind::TcpRoute,
];
/// Kinds that what is derived depends on as well.
const RELATED: [Kind; 3] = [Kind::Namespace, Kind::Service, Kind::ReferenceGrant];

/// What is derived, by the keys that it has as an object.
#[derive(Clone, Debug, Default)]
pub(super) struct Derived(BTreeMap<ResourceKey, Arc<Resource>>);

/// What objects are derived from.
pub(crate) struct Deriver<'a> {
    objects: &'a Objects,
    mesh: &'a MeshConfig,
    /// Namespace of the control plane.
    root: Arc<str>,
    domain: &'a str,
}

// === impl Derived ===

impl Derived {
    /// Brings what is derived up to date. Gives what has changed of it.
    pub(super) fn update(
        &mut self,
        changes: &ChangeSet,
        objects: &Objects,
        mesh: &MeshConfig,
        domain: &str,
    ) -> ChangeSet {
        let mut derived = ChangeSet::default();
        let changed = |kind: &Kind| changes.of(*kind).next().is_some();
        let there = |kind: &Kind| !objects.of(*kind).is_empty();
        let from_related = RELATED.iter().any(changed) && SOURCES.iter().any(there);
        if !from_related && !SOURCES.iter().any(changed) {
            return derived;
        }
        let deriver = Deriver::new(objects, mesh, domain);
        let mut routes = http_routes::read(&deriver);
        routes.extend(grpc_routes::read(&deriver));
        let all = ingress::derive(&deriver)
            .into_iter()
            .chain(listeners::derive(&deriver))
            .chain(merged::virtual_services(&deriver, routes))
            .chain(connection_routes::derive(&deriver))
            .chain(backend_tls::derive(&deriver));
        let mut before = std::mem::take(&mut self.0);
        for resource in all {
            let key = resource.key.clone();
            let known = before.remove(&key);
            let resource = match known {
                Some(known) if is_same(&known, &resource) => known,
                known => {
                    derived.record(&key, known, Some(resource.clone()));
                    resource
                }
            };
            self.0.insert(key, resource);
        }
        for (key, resource) in before {
            derived.record(&key, Some(resource), None);
        }
        derived
    }

    /// The derived objects of a kind.
    pub(super) fn of(&self, kind: Kind) -> impl Iterator<Item = &Arc<Resource>> {
        let all = self.0.values();
        all.filter(move |resource| resource.key.kind == kind)
    }
}

/// Whether a derived object is as it was.
fn is_same(one: &Resource, other: &Resource) -> bool {
    let same = match (&one.object, &other.object) {
        (Object::VirtualService(one), Object::VirtualService(other)) => one == other,
        (Object::Gateway(one), Object::Gateway(other)) => one == other,
        (Object::DestinationRule(one), Object::DestinationRule(other)) => one == other,
        _ => false,
    };
    same && one.meta == other.meta && one.origin == other.origin
}

/// A derived object of a namespace and name, as old as what it is derived from.
fn derived(
    source: &Resource,
    kind: Kind,
    (namespace, name): (&str, String),
    object: Object,
) -> Arc<Resource> {
    let derivation = Derivation {
        source: source.origin.clone(),
        pods_of: None,
        is_legacy: false,
    };
    Arc::new(Resource {
        key: ResourceKey {
            kind,
            namespace: namespace.into(),
            name: name.into(),
        },
        meta: Meta {
            created: source.meta.created,
            ..Meta::default()
        },
        object,
        raw: Arc::default(),
        origin: Origin::Derived(Arc::new(derivation)),
        findings: Vec::new(),
        malformed: false,
    })
}

// === impl Deriver ===

impl<'a> Deriver<'a> {
    pub(super) fn new(objects: &'a Objects, mesh: &'a MeshConfig, domain: &'a str) -> Self {
        Self {
            objects,
            mesh,
            root: mesh.root_namespace().into(),
            domain,
        }
    }

    /// The Gateways of the Gateway API that the mesh obeys.
    pub(crate) fn served_gateways(
        &self,
    ) -> impl Iterator<Item = (&'a Arc<Resource>, &'a Arc<GatewaySpec>)> {
        let all = self.accepted(Kind::KubernetesGateway);
        let all = all.filter_map(|resource| match &resource.object {
            Object::KubernetesGateway(spec) => Some((resource, spec)),
            _ => None,
        });
        all.filter(|(_, spec)| {
            let infrastructure = spec.infrastructure.as_ref();
            // What is asked for by parameters cannot be given.
            infrastructure.is_none_or(|all| all.parameters_ref.is_none())
                && classes::role(self, spec) == Some(classes::GatewayRole::Served)
        })
    }

    /// The objects of a kind that were not refused.
    fn accepted(&self, kind: Kind) -> impl Iterator<Item = &'a Arc<Resource>> + use<'a> {
        let all = self.objects.of(kind).iter();
        all.filter(|resource| !resource.is_refused())
    }

    /// The host of a Service.
    fn service_host(&self, name: &str, namespace: &str) -> String {
        kubernetes::service_host(name, namespace, self.domain).to_string()
    }

    /// The number of a Service's port by its name.
    fn named_port(&self, namespace: &str, service: &str, port: &str) -> Option<u16> {
        let found = self.objects.find(Kind::Service, namespace, service)?;
        let Object::Service(service) = &found.object else {
            return None;
        };
        let mut ports = service.spec.as_ref()?.ports.iter().flatten();
        let found = ports.find(|known| known.name.as_deref() == Some(port))?;
        u16::try_from(found.port).ok()
    }
}
