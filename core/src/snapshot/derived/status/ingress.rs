//! Ingresses: the addresses under which clients reach the gateway that obeys them.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use super::service;
use crate::resource::{Kind, Object, Resource};
use crate::snapshot::derived::{Deriver, ingress};

/// The Service of the gateway, unless the mesh's settings name another.
const SERVICE: &str = "istio-ingressgateway";

pub(super) fn all<'a>(deriver: &Deriver<'a>) -> Vec<(&'a Arc<Resource>, Value)> {
    let named = deriver.mesh.ingress_service.as_deref();
    let name = named.filter(|name| !name.is_empty()).unwrap_or(SERVICE);
    let service = service::find(deriver, &deriver.root, name);
    let addresses: Vec<Value> = service.map(addresses).unwrap_or_default();
    let ingresses = deriver.objects.of(Kind::Ingress).iter();
    ingresses
        .filter(|resource| match &resource.object {
            Object::Ingress(spec) => ingress::is_ours(deriver, resource, spec),
            _ => false,
        })
        .map(|resource| (resource, json!({"loadBalancer": {"ingress": addresses}})))
        .collect()
}

/// What a Service is reached by from outside.
fn addresses(service: &Service) -> Vec<Value> {
    let spec = service.spec.as_ref();
    if let Some(host) = spec.and_then(|spec| spec.external_name.as_deref()) {
        return vec![json!({"hostname": host})];
    }
    let status = service.status.as_ref();
    let balancer = status.and_then(|status| status.load_balancer.as_ref());
    let entries = balancer.and_then(|balancer| balancer.ingress.as_deref());
    let entries = entries.unwrap_or(&[]).iter();
    let entries = entries.filter_map(|entry| match (&entry.ip, &entry.hostname) {
        (Some(ip), _) => Some(json!({"ip": ip})),
        (None, Some(host)) => Some(json!({"hostname": host})),
        (None, None) => None,
    });
    let external = spec.and_then(|spec| spec.external_ips.as_deref());
    let external = external.unwrap_or(&[]).iter().map(|ip| json!({"ip": ip}));
    entries.chain(external).collect()
}
