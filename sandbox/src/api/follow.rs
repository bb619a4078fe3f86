//! What follows from a change at once, in the same step: namespaces are furnished, definitions bring kinds.

use serde_json::Value;

use super::initial;
use super::kinds::{Kind, definition};
use super::state::Api;
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
}

/// After an object was removed.
pub fn removed(api: &Api, _state: &mut State, kind: &Kind, object: &Value) {
    if kind.is("apiextensions.k8s.io", "customresourcedefinitions") {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let group = text(&object["spec"]["group"]);
        let plural = text(&object["spec"]["names"]["plural"]);
        api.change_kinds(|kinds| kinds.remove(&group, &plural));
    }
}
