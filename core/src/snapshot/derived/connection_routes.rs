//! TLSRoutes and TCPRoutes as VirtualServices.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Deriver;
use super::backends::{Backend, Referrer};
use super::parents::{Parents, RouteKind};
use crate::model::gateway_api::{BackendRef, ParentReference};
use crate::resource::{Kind, Object, Resource};

/// What TLSRoutes and TCPRoutes stand for.
pub(super) fn derive(deriver: &Deriver<'_>) -> Vec<Arc<Resource>> {
    let mut made = Vec::new();
    for resource in deriver.accepted(Kind::TlsRoute) {
        if let Object::TlsRoute(spec) = &resource.object {
            let route = RouteKind {
                key: &resource.key,
                kind: "TLSRoute",
                hosts: spec.hostnames.iter().map(|host| &**host).collect(),
            };
            let backends = spec.rules.iter().map(|rule| &rule.backend_refs[..]);
            let backends: Vec<_> = backends.collect();
            made.extend(virtual_services(
                deriver,
                (resource, &route),
                &spec.parent_refs,
                &backends,
            ));
        }
    }
    for resource in deriver.accepted(Kind::TcpRoute) {
        if let Object::TcpRoute(spec) = &resource.object {
            let route = RouteKind {
                key: &resource.key,
                kind: "TCPRoute",
                hosts: Vec::new(),
            };
            let backends = spec.rules.iter().map(|rule| &rule.backend_refs[..]);
            let backends: Vec<_> = backends.collect();
            made.extend(virtual_services(
                deriver,
                (resource, &route),
                &spec.parent_refs,
                &backends,
            ));
        }
    }
    made
}

fn virtual_services(
    deriver: &Deriver<'_>,
    (resource, route): (&Resource, &RouteKind<'_>),
    parents: &[ParentReference],
    rules: &[&[BackendRef]],
) -> Vec<Arc<Resource>> {
    let is_tls = route.kind == "TLSRoute";
    let field = if is_tls { "tls" } else { "tcp" };
    let targets = Parents::of(deriver, parents, route).targets(deriver, route);
    let made = targets.iter().enumerate().filter_map(|(index, target)| {
        let rules = rules.iter().filter_map(|backends| {
            let destinations = destinations(deriver, backends, route.referrer());
            // Connections that no backend takes are closed, as without a route.
            (!destinations.is_empty()).then(|| match is_tls {
                true => json!({"match": [{"sniHosts": target.hosts}], "route": destinations}),
                false => json!({"route": destinations}),
            })
        });
        let rules: Vec<Value> = rules.collect();
        let part = format!("{}-{index}", route.kind.to_ascii_lowercase());
        target.virtual_service(resource, &part, field, &rules)
    });
    made.collect()
}

fn destinations(deriver: &Deriver<'_>, backends: &[BackendRef], from: Referrer<'_>) -> Vec<Value> {
    let made = backends.iter();
    made.filter_map(|backend| Backend::from(backend).weighted(backend.weight, deriver, from))
        .collect()
}
