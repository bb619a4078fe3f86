//! What follows from a change at once, in the same step: namespaces are furnished, definitions bring kinds, configurations
//! webhooks.

use serde_json::Value;

use super::admission::Webhooks;
use super::authorization;
use super::initial;
use super::kinds::{Kind, definition};
use super::state::Api;
use super::status::qualified;
use super::store::State;

/// After an object was stored.
pub fn stored(api: &Api, state: &mut State, kind: &Kind, object: &Value) {
    let stays = object["metadata"]["deletionTimestamp"].is_null();
    if kind.is("", "namespaces") && stays {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        initial::furnish(api, state, name);
    }
    if kind.is("apiextensions.k8s.io", "customresourcedefinitions") {
        api.change_kinds(|kinds| definition::serve(kinds, object));
    }
    read_webhooks(api, state, kind);
    aggregate(state, kind);
}

/// After an object was removed.
pub fn removed(api: &Api, state: &mut State, kind: &Kind, object: &Value) {
    if kind.is("apiextensions.k8s.io", "customresourcedefinitions") {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let group = text(&object["spec"]["group"]);
        let plural = text(&object["spec"]["names"]["plural"]);
        api.change_kinds(|kinds| kinds.remove(&group, &plural));
    }
    read_webhooks(api, state, kind);
    aggregate(state, kind);
}

fn aggregate(state: &mut State, kind: &Kind) {
    if kind.is("rbac.authorization.k8s.io", "clusterroles") {
        authorization::aggregate(state);
    }
}

fn read_webhooks(api: &Api, state: &State, kind: &Kind) {
    const GROUP: &str = "admissionregistration.k8s.io";
    let tables = [
        "mutatingwebhookconfigurations",
        "validatingwebhookconfigurations",
    ];
    if !tables.iter().any(|plural| kind.is(GROUP, plural)) {
        return;
    }
    let [mutating, validating] = tables.map(|plural| {
        let table = qualified(plural, GROUP);
        let objects = state.list(&table, None, None);
        objects
            .map(|(_, object)| object.clone())
            .collect::<Vec<_>>()
    });
    api.set_webhooks(Webhooks::read(mutating.iter(), validating.iter()));
}
