//! Where routes send requests.

use serde_json::{Value, json};

use super::Deriver;
use crate::model::gateway_api::{
    BackendObjectReference, BackendRef, Group, GrpcBackendRef, HttpBackendRef, KindName, Namespace,
    ObjectName,
};
use crate::resource::{Kind, Object};

/// A reference to a backend, whichever kind of route has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backend<'a> {
    pub(super) group: Option<&'a Group>,
    pub(super) kind: Option<&'a KindName>,
    pub(super) name: &'a ObjectName,
    pub(super) namespace: Option<&'a Namespace>,
    pub(super) port: Option<i32>,
}

/// The route that refers to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Referrer<'a> {
    pub(super) namespace: &'a str,
    pub(super) kind: &'static str,
}

/// The kinds of references differ in what they have beside the backend.
macro_rules! references {
    ($($reference:ty),*) => {
        $(impl<'a> From<&'a $reference> for Backend<'a> {
            fn from(reference: &'a $reference) -> Self {
                Self {
                    group: reference.group.as_ref(),
                    kind: reference.kind.as_ref(),
                    name: &reference.name,
                    namespace: reference.namespace.as_ref(),
                    port: reference.port,
                }
            }
        })*
    };
}

references!(
    BackendObjectReference,
    BackendRef,
    HttpBackendRef,
    GrpcBackendRef
);

// === impl Backend ===

impl Backend<'_> {
    /// The destination with its share; none without a share, or if there is no destination.
    pub(super) fn weighted(
        self,
        weight: Option<i32>,
        deriver: &Deriver<'_>,
        from: Referrer<'_>,
    ) -> Option<Value> {
        let weight = weight.unwrap_or(1);
        let destination = (weight > 0).then(|| self.destination(deriver, from))??;
        Some(json!({"destination": destination, "weight": weight}))
    }

    /// The destination; none if it is no Service, or one of another namespace that no ReferenceGrant there lets the route refer to.
    pub(super) fn destination(self, deriver: &Deriver<'_>, from: Referrer<'_>) -> Option<Value> {
        let group = self.group.map_or("", |group| &**group);
        let kind = self.kind.map_or("Service", |kind| &**kind);
        let namespace = self.namespace.map_or(from.namespace, |own| &**own);
        let port = self.port?;
        let host = match (group, kind) {
            ("", "Service") => deriver.service_host(self.name, namespace),
            ("networking.istio.io", "Hostname") => self.name.to_string(),
            _ => return None,
        };
        let granted = namespace == from.namespace || granted(deriver, namespace, self.name, from);
        granted.then(|| json!({"host": host, "port": {"number": port}}))
    }
}

/// Whether a namespace lets routes of another refer to one of its Services.
fn granted(deriver: &Deriver<'_>, namespace: &str, service: &str, from: Referrer<'_>) -> bool {
    let grants = deriver.objects.within(Kind::ReferenceGrant, namespace);
    let mut grants = grants.filter_map(|grant| match &grant.object {
        Object::ReferenceGrant(grant) => Some(grant),
        _ => None,
    });
    grants.any(|grant| {
        let mut sources = grant.from.iter();
        let mut targets = grant.to.iter();
        sources.any(|source| {
            &*source.group == "gateway.networking.k8s.io"
                && &*source.kind == from.kind
                && &*source.namespace == from.namespace
        }) && targets.any(|target| {
            let named = target.name.as_deref();
            target.group.is_empty()
                && &*target.kind == "Service"
                && named.is_none_or(|name| name == service)
        })
    })
}
