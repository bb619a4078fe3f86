//! The listeners of the Gateway API's Gateways, each as a Gateway of Istio's with one server.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::parents::{GatewayListener, is_gateway_ours};
use super::{Deriver, derived};
use crate::model::gateway_api::{GatewaySpec, SecretObjectReference, TlsModeType};
use crate::resource::{Kind, Object, Resource};
use crate::source::{Derivation, Origin};

/// The label of a gateway's pods.
const GATEWAY_LABEL: &str = "gateway.networking.k8s.io/gateway-name";

/// The Gateways that listeners stand for.
pub(super) fn derive(deriver: &Deriver<'_>) -> Vec<Arc<Resource>> {
    let gateways = deriver.accepted(Kind::KubernetesGateway);
    let gateways = gateways.filter_map(|resource| match &resource.object {
        Object::KubernetesGateway(spec) => Some((resource, spec)),
        _ => None,
    });
    gateways
        .filter(|(_, spec)| is_gateway_ours(deriver, spec))
        .flat_map(|(resource, spec)| {
            let pods = pods(deriver, resource, spec);
            GatewayListener::all(resource, spec)
                .filter_map(move |listener| gateway(deriver, &listener, pods.clone()))
        })
        .collect()
}

/// The pods of a gateway: their labels, and whether they are in its own namespace.
type Pods = (BTreeMap<String, String>, bool);

/// A gateway that names the Service of a gateway that is there already (an address of the type Hostname) has its pods; another one has
/// pods of its own.
fn pods(deriver: &Deriver<'_>, resource: &Resource, spec: &GatewaySpec) -> Pods {
    let own = &resource.key.namespace;
    let named = spec.addresses.iter().find_map(|address| {
        let is_host = address.kind.as_deref() == Some("Hostname");
        address.value.as_deref().filter(|_| is_host)
    });
    let service = named.and_then(|host| {
        let mut parts = host.split('.');
        let (name, namespace) = (parts.next()?, parts.next().unwrap_or(own));
        let found = deriver.objects.find(Kind::Service, namespace, name)?;
        match &found.object {
            Object::Service(service) => service.spec.as_ref()?.selector.clone(),
            _ => None,
        }
    });
    match service {
        Some(selector) => (selector, false),
        None => {
            let label = (GATEWAY_LABEL.to_owned(), resource.key.name.to_string());
            ([label].into(), true)
        }
    }
}

fn gateway(
    deriver: &Deriver<'_>,
    listener: &GatewayListener<'_>,
    (selector, is_namespaced): Pods,
) -> Option<Arc<Resource>> {
    let spec = listener.listener;
    let protocol = match &*spec.protocol {
        "HTTP" => "HTTP",
        "HTTPS" => "HTTPS",
        "TLS" => "TLS",
        "TCP" => "TCP",
        _ => return None,
    };
    let host = spec.hostname.as_deref().unwrap_or("*");
    let hosts = listener.allowed_namespaces(deriver).into_iter();
    let hosts: Vec<String> = hosts
        .map(|namespace| format!("{namespace}/{host}"))
        .collect();
    let name = listener.derived_name();
    let mut server = json!({
        "port": {"number": spec.port, "protocol": protocol, "name": &*spec.name},
        "hosts": hosts,
    });
    if let Some(tls) = &spec.tls {
        let tls = match tls.mode.unwrap_or(TlsModeType::Terminate) {
            TlsModeType::Passthrough => json!({"mode": "PASSTHROUGH"}),
            TlsModeType::Terminate => {
                let names = tls.certificate_refs.iter();
                let names: Option<Vec<&str>> = names
                    .map(|reference| secret(reference, listener.namespace()))
                    .collect();
                match names.as_deref() {
                    Some([name]) => json!({"mode": "SIMPLE", "credentialName": name}),
                    Some([_, ..]) => json!({"mode": "SIMPLE", "credentialNames": names}),
                    // Without a certificate that it may have, the listener is left out.
                    Some([]) | None => return None,
                }
            }
        };
        server["tls"] = tls;
    }
    let servers: [Value; 1] = [server];
    let spec = json!({"selector": selector, "servers": servers});
    let spec = serde_json::from_value(spec).ok()?;
    let made = derived(
        listener.resource,
        Kind::Gateway,
        (listener.namespace(), name),
        Object::Gateway(Arc::new(spec)),
    );
    if !is_namespaced {
        return Some(made);
    }
    let mut made = Arc::unwrap_or_clone(made);
    made.origin = Origin::Derived(Arc::new(Derivation {
        source: listener.resource.origin.clone(),
        pods_of: Some(listener.namespace().into()),
        is_legacy: false,
    }));
    Some(Arc::new(made))
}

/// The Secret that a listener names, which must be in the namespace of its Gateway.
fn secret<'a>(reference: &'a SecretObjectReference, namespace: &str) -> Option<&'a str> {
    let group = reference.group.as_deref().unwrap_or_default();
    let kind = reference.kind.as_deref().unwrap_or("Secret");
    let own = reference
        .namespace
        .as_deref()
        .is_none_or(|named| named == namespace);
    (group.is_empty() && kind == "Secret" && own).then_some(&*reference.name)
}
