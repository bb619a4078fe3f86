//! The addresses of gateways: those of the Services in front of their pods.

use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use crate::resource::{Kind, Object};
use crate::snapshot::derived::Deriver;

/// A Service by namespace and name.
pub(crate) type ServiceName = (String, String);

/// The addresses under which clients reach Services, or why they reach none: the reason and a sentence. All ports must be there.
pub(super) fn addresses(
    deriver: &Deriver<'_>,
    services: &[ServiceName],
    ports: &[i32],
) -> (Vec<Value>, Result<(), (&'static str, String)>) {
    let mut all = Vec::new();
    let mut wrong = Ok(());
    for (namespace, name) in services {
        match of_service(deriver, namespace, name, ports) {
            Ok(addresses) => all.extend(addresses),
            Err((addresses, reason, message)) => {
                all.extend(addresses);
                wrong = wrong.and(Err((reason, message)));
            }
        }
    }
    all.dedup();
    (all, wrong)
}

type NotReady = (Vec<Value>, &'static str, String);

fn of_service(
    deriver: &Deriver<'_>,
    namespace: &str,
    name: &str,
    ports: &[i32],
) -> Result<Vec<Value>, NotReady> {
    let Some(service) = find(deriver, namespace, name) else {
        let message = format!("there is no Service {namespace}/{name} yet");
        return Err((Vec::new(), "AddressNotAssigned", message));
    };
    let spec = service.spec.as_ref();
    let addresses = match spec.and_then(|spec| spec.type_.as_deref()) {
        Some("LoadBalancer") => load_balancer(service),
        _ => vec![json!({"type": "Hostname", "value": deriver.service_host(name, namespace)})],
    };
    if addresses.is_empty() {
        let message =
            format!("the load balancer of the Service {namespace}/{name} has no address yet");
        return Err((addresses, "AddressNotAssigned", message));
    }
    let known = spec.and_then(|spec| spec.ports.as_deref()).unwrap_or(&[]);
    let missing = ports
        .iter()
        .find(|port| !known.iter().any(|known| known.port == **port));
    if let Some(port) = missing {
        let message = format!("the Service {namespace}/{name} has no port {port}");
        return Err((addresses, "AddressNotAssigned", message));
    }
    if !has_ready_endpoint(deriver, namespace, name) {
        let message = format!("no pod behind the Service {namespace}/{name} is ready");
        return Err((addresses, "Pending", message));
    }
    Ok(addresses)
}

pub(super) fn find<'a>(deriver: &Deriver<'a>, namespace: &str, name: &str) -> Option<&'a Service> {
    let found = deriver.objects.find(Kind::Service, namespace, name)?;
    match &found.object {
        Object::Service(service) => Some(service),
        _ => None,
    }
}

/// What the load balancer of a Service is reached by, as a Gateway's status has it.
fn load_balancer(service: &Service) -> Vec<Value> {
    let status = service.status.as_ref();
    let balancer = status.and_then(|status| status.load_balancer.as_ref());
    let entries = balancer.and_then(|balancer| balancer.ingress.as_deref());
    let entries = entries.unwrap_or(&[]).iter();
    entries
        .filter_map(|entry| match (&entry.ip, &entry.hostname) {
            (Some(ip), _) => Some(json!({"type": "IPAddress", "value": ip})),
            (None, Some(host)) => Some(json!({"type": "Hostname", "value": host})),
            (None, None) => None,
        })
        .collect()
}

fn has_ready_endpoint(deriver: &Deriver<'_>, namespace: &str, name: &str) -> bool {
    let slices = deriver.objects.within(Kind::EndpointSlice, namespace);
    let mut of_service = slices.filter(|slice| {
        let label = slice.meta.labels.get("kubernetes.io/service-name");
        label.is_some_and(|label| label == name)
    });
    of_service.any(|slice| match &slice.object {
        Object::EndpointSlice(slice) => {
            let mut endpoints = slice.endpoints.iter().flatten();
            endpoints.any(|endpoint| {
                let conditions = endpoint.conditions.as_ref();
                conditions.is_none_or(|conditions| conditions.ready != Some(false))
            })
        }
        _ => false,
    })
}
