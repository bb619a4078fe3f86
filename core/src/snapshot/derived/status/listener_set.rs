//! ListenerSets: whether their Gateway takes them, and their listeners.

use std::sync::Arc;

use serde_json::{Value, json};

use super::condition::{Condition, conditions};
use super::route::Attached;
use super::{errors, generation, listener};
use crate::model::gateway_api::GatewaySpec;
use crate::resource::{Kind, Object, Resource};
use crate::snapshot::derived::Deriver;
use crate::snapshot::derived::classes::{self, GatewayRole};
use crate::snapshot::derived::gateway_listeners::{allows_set, of_gateway, parent_of_set};

pub(super) fn all<'a>(
    deriver: &Deriver<'a>,
    attached: &Attached,
) -> Vec<(&'a Arc<Resource>, Value)> {
    let sets = deriver.objects.of(Kind::ListenerSet).iter();
    sets.filter_map(|set| {
        let (namespace, name) = parent_of_set(set)?;
        let objects = deriver.objects;
        let gateway = objects.find(Kind::KubernetesGateway, namespace, name)?;
        let Object::KubernetesGateway(spec) = &gateway.object else {
            return None;
        };
        let is_ours = classes::role(deriver, spec) == Some(GatewayRole::Served);
        is_ours.then(|| (set, status(deriver, set, (gateway, spec), attached)))
    })
    .collect()
}

fn status<'a>(
    deriver: &Deriver<'a>,
    set: &'a Arc<Resource>,
    (gateway, spec): (&'a Arc<Resource>, &'a GatewaySpec),
    attached: &Attached,
) -> Value {
    let generation = generation(set);
    let all = of_gateway(deriver, gateway, spec);
    let own = all.iter().filter(|one| one.source.key == set.key);
    let listeners: Vec<(Value, bool)> = own
        .map(|one| {
            let (mut status, is_served) = listener::status(deriver, one, attached, generation);
            status["port"] = one.listener.port.into();
            (status, is_served)
        })
        .collect();
    let accepted = if set.is_refused() {
        Condition::no("Accepted", "Invalid", errors(set))
    } else if gateway.is_refused() {
        Condition::no(
            "Accepted",
            "ParentNotAccepted",
            "The Gateway is not accepted",
        )
    } else if !allows_set(deriver, gateway, spec, set) {
        let message = format!(
            "the Gateway {}/{} does not allow ListenerSets of the namespace {}; its allowedListeners say which",
            gateway.key.namespace, gateway.key.name, set.key.namespace
        );
        Condition::no("Accepted", "NotAllowed", message)
    } else if listeners.iter().any(|(_, served)| *served) {
        Condition::yes(
            "Accepted",
            "Accepted",
            "The listeners belong to the Gateway",
        )
    } else {
        Condition::no(
            "Accepted",
            "ListenersNotValid",
            "All listeners are left out; their conditions say why",
        )
    };
    let programmed = match accepted.is_true() {
        true => Condition::yes("Programmed", "Programmed", "The listeners are in force"),
        false => Condition::no("Programmed", "Invalid", "The listeners are left out"),
    };
    let listeners: Vec<Value> = listeners.into_iter().map(|(status, _)| status).collect();
    json!({
        "conditions": conditions(generation, [accepted, programmed]),
        "listeners": listeners,
    })
}
