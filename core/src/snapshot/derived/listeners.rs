//! The listeners of the Gateway API's Gateways, each as a Gateway of Istio's with one server.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::certificates;
use super::gateway_listeners::{GatewayListener, of_gateway};
use super::{Deriver, derived};
use crate::model::gateway_api::{GatewaySpec, TlsModeType};
use crate::resource::{Kind, Object, Resource};
use crate::snapshot::GATEWAY_LABEL;
use crate::source::{Derivation, Origin};

/// The Gateways that listeners stand for.
pub(super) fn derive(deriver: &Deriver<'_>) -> Vec<Arc<Resource>> {
    deriver
        .served_gateways()
        .flat_map(|(resource, spec)| {
            let pods = pods(deriver, resource, spec);
            let listeners = of_gateway(deriver, resource, spec).into_iter();
            listeners
                .filter(|listener| listener.fault.is_none())
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
                let names = certificates::of_listener(deriver, listener).ok();
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
        listener.source,
        Kind::Gateway,
        (listener.namespace(), name),
        Object::Gateway(Arc::new(spec)),
    );
    if !is_namespaced {
        return Some(made);
    }
    let mut made = Arc::unwrap_or_clone(made);
    made.origin = Origin::Derived(Arc::new(Derivation {
        source: listener.source.origin.clone(),
        pods_of: Some(listener.gateway.key.namespace.clone()),
        is_legacy: false,
    }));
    Some(Arc::new(made))
}
