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
        let host = self.host(deriver, from).ok()?;
        let port = self.port?;
        Some(json!({"host": host, "port": {"number": port}}))
    }

    /// The host, or why the route may not have it: the reason and a sentence.
    fn host(
        self,
        deriver: &Deriver<'_>,
        from: Referrer<'_>,
    ) -> Result<String, (&'static str, String)> {
        let group = self.group.map_or("", |group| &**group);
        let kind = self.kind.map_or("Service", |kind| &**kind);
        let namespace = self.namespace.map_or(from.namespace, |own| &**own);
        let host = match (group, kind) {
            ("", "Service") => deriver.service_host(self.name, namespace),
            ("networking.istio.io", "Hostname") => self.name.to_string(),
            _ => {
                let message =
                    format!("backends are Services, or hosts of the mesh, not {kind} of {group:?}");
                return Err(("InvalidKind", message));
            }
        };
        if namespace != from.namespace && !granted(deriver, (namespace, "Service", self.name), from)
        {
            let message = format!(
                "no ReferenceGrant of {namespace} lets a {} of {} refer to the Service {} there",
                from.kind, from.namespace, &**self.name
            );
            return Err(("RefNotPermitted", message));
        }
        Ok(host)
    }

    /// Whether the backend is there and the route may have it; else the reason and a sentence.
    pub(super) fn check(
        self,
        deriver: &Deriver<'_>,
        from: Referrer<'_>,
    ) -> Result<(), (&'static str, String)> {
        self.host(deriver, from)?;
        if self.group.is_some_and(|group| !group.is_empty()) {
            return Ok(());
        }
        let namespace = self.namespace.map_or(from.namespace, |own| &**own);
        let missing = |what: String| Err(("BackendNotFound", what));
        let found = deriver.objects.find(Kind::Service, namespace, self.name);
        let Some(Object::Service(service)) = found.map(|found| &found.object) else {
            return missing(format!(
                "there is no Service {} in {namespace}",
                &**self.name
            ));
        };
        let spec = service.spec.as_ref();
        let mut ports = spec
            .and_then(|spec| spec.ports.as_deref())
            .unwrap_or(&[])
            .iter();
        match self.port {
            Some(port) if !ports.any(|known| known.port == port) => missing(format!(
                "the Service {} in {namespace} has no port {port}",
                &**self.name
            )),
            _ => Ok(()),
        }
    }
}

/// Whether a namespace lets objects of another refer to an object of its own: namespace, kind and name.
pub(super) fn granted(
    deriver: &Deriver<'_>,
    (namespace, kind, name): (&str, &str, &str),
    from: Referrer<'_>,
) -> bool {
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
                && &*target.kind == kind
                && named.is_none_or(|known| known == name)
        })
    })
}
