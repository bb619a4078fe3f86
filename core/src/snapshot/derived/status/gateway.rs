//! Gateways: whether they are accepted, their listeners, and the addresses under which clients reach them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::condition::{Condition, conditions};
use super::route::Attached;
use super::service::{self, ServiceName};
use super::{errors, generation, listener};
use crate::gateways::{is_deployed, object_name};
use crate::model::gateway_api::GatewaySpec;
use crate::resource::{Kind, Object, Resource};
use crate::snapshot::derived::Deriver;
use crate::snapshot::derived::classes::{self, GatewayRole};
use crate::snapshot::derived::gateway_listeners::of_gateway;

pub(super) fn all<'a>(
    deriver: &Deriver<'a>,
    attached: &Attached,
) -> Vec<(&'a Arc<Resource>, Value)> {
    let gateways = deriver.objects.of(Kind::KubernetesGateway).iter();
    gateways
        .filter_map(|resource| {
            let Object::KubernetesGateway(spec) = &resource.object else {
                return None;
            };
            let fields = match classes::role(deriver, spec)? {
                GatewayRole::Served => served(deriver, resource, spec, attached),
                GatewayRole::Remote => remote(resource, spec),
            };
            Some((resource, fields))
        })
        .collect()
}

/// The status of a Gateway of this mesh.
fn served<'a>(
    deriver: &Deriver<'a>,
    resource: &'a Arc<Resource>,
    spec: &'a GatewaySpec,
    attached: &Attached,
) -> Value {
    let generation = generation(resource);
    let all = of_gateway(deriver, resource, spec);
    let own = all.iter().filter(|one| one.source.key == resource.key);
    let listeners: Vec<(Value, bool)> = own
        .map(|one| listener::status(deriver, one, attached, generation))
        .collect();
    let are_all_served = listeners.iter().all(|(_, served)| *served);
    let ports: Vec<i32> = all
        .iter()
        .filter(|one| one.fault.is_none())
        .map(|one| one.listener.port)
        .collect();
    let accepted = accepted(resource, spec, are_all_served);
    let (addresses, programmed) = match services(resource, spec) {
        Ok(services) => service::addresses(deriver, &services, &ports),
        Err(wrong) => (Vec::new(), Err(wrong)),
    };
    let programmed = match (accepted.is_true(), programmed) {
        (false, _) => Condition::no("Programmed", "Invalid", "The Gateway is not accepted"),
        (true, Err((reason, message))) => Condition::no("Programmed", reason, message),
        (true, Ok(())) => Condition::yes(
            "Programmed",
            "Programmed",
            "The addresses lead to ready pods",
        ),
    };
    let listeners: Vec<Value> = listeners.into_iter().map(|(status, _)| status).collect();
    json!({
        "addresses": addresses,
        "conditions": conditions(generation, [accepted, programmed]),
        "listeners": listeners,
    })
}

fn accepted(resource: &Resource, spec: &GatewaySpec, are_all_served: bool) -> Condition {
    if resource.is_refused() {
        return Condition::no("Accepted", "Invalid", errors(resource));
    }
    let infrastructure = spec.infrastructure.as_ref();
    if infrastructure.is_some_and(|all| all.parameters_ref.is_some()) {
        let message = "infrastructure.parametersRef is not supported";
        return Condition::no("Accepted", "InvalidParameters", message);
    }
    match are_all_served {
        true => Condition::yes("Accepted", "Accepted", "The Gateway is valid"),
        false => Condition::yes(
            "Accepted",
            "ListenersNotValid",
            "Some listeners are left out; their conditions say why",
        ),
    }
}

/// The Services in front of a Gateway's pods.
fn services(
    resource: &Resource,
    spec: &GatewaySpec,
) -> Result<Vec<ServiceName>, (&'static str, String)> {
    let own = &resource.key.namespace;
    if is_deployed(spec) {
        let name = object_name(resource, spec).map_err(|wrong| ("Invalid", wrong))?;
        return Ok(vec![(own.to_string(), name)]);
    }
    let names = spec.addresses.iter().map(|address| {
        let host = address.value.as_deref().unwrap_or_default();
        if address.kind.as_deref() != Some("Hostname") {
            let message = format!(
                "{host} is no Hostname: of several addresses, each must be the name of a Service"
            );
            return Err(("UnsupportedAddress", message));
        }
        let mut parts = host.split('.');
        let name = parts.next().unwrap_or_default().to_owned();
        Ok((parts.next().unwrap_or(own).to_owned(), name))
    });
    names.collect()
}

/// The status of a Gateway that stands for one of another cluster: it has the addresses that it is given.
fn remote(resource: &Resource, spec: &GatewaySpec) -> Value {
    let addresses = spec.addresses.iter().map(|address| {
        let kind = address.kind.as_deref().unwrap_or("IPAddress");
        json!({"type": kind, "value": address.value})
    });
    let addresses: Vec<Value> = addresses.collect();
    let programmed = match addresses.is_empty() {
        false => Condition::yes("Programmed", "Programmed", "It has addresses"),
        true => Condition::no("Programmed", "AddressNotAssigned", "It has no addresses"),
    };
    let accepted = Condition::yes("Accepted", "Accepted", "Nothing is made for it");
    json!({
        "addresses": addresses,
        "conditions": conditions(generation(resource), [accepted, programmed]),
    })
}
