//! What every write does to an object, whatever it is about: its identity, its generation, and its way into the store or out of it.

use serde_json::{Value, json};

use super::context::Context;
use super::write::Outcome;
use crate::follow;
use crate::kinds::Kind;
use crate::state::Api;
use crate::store::{Key, State};

/// Stores an object, or removes it when this was all that it waited for.
pub fn finish(api: &Api, state: &mut State, kind: &Kind, key: &Key, new: Value) -> Outcome {
    let table = kind.id();
    let finished = is_finished(&new);
    let stored = state.put(&table, key.clone(), new);
    if finished {
        let last = state.remove(&table, key).unwrap_or(stored);
        follow::removed(api, state, kind, &last);
        return Outcome::Removed(last);
    }
    follow::stored(api, state, kind, &stored);
    Outcome::Stored(stored)
}

/// Sets a field, or removes it for null.
pub fn set_or_remove(object: &mut Value, field: &str, value: &Value) {
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    if value.is_null() {
        fields.shift_remove(field);
    } else {
        fields.insert(field.to_owned(), value.clone());
    }
}

/// Identity of a new object.
pub fn begin(context: &Context<'_>, new: &mut Value) {
    let metadata = &mut new["metadata"];
    for field in [
        "selfLink",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "resourceVersion",
        "managedFields",
    ] {
        set_or_remove(metadata, field, &Value::Null);
    }
    metadata["uid"] = json!(crate::metadata::uid());
    metadata["creationTimestamp"] = json!(context.now.to_string());
    if context.kind.status {
        set_or_remove(new, "status", &Value::Null);
    }
}

/// Generations count changes of what is wanted, not of what is.
pub fn count_generation(context: &Context<'_>, old: Option<&Value>, new: &mut Value) {
    if !context.kind.generation {
        return;
    }
    let Some(old) = old else {
        new["metadata"]["generation"] = json!(1);
        return;
    };
    let wanted = |object: &Value| -> Vec<(String, Value)> {
        let fields = object.as_object().into_iter().flatten();
        let fields = fields.filter(|(name, value)| {
            !matches!(name.as_str(), "metadata" | "status" | "apiVersion" | "kind")
                && !value.is_null()
        });
        let mut fields: Vec<_> = fields
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        fields.sort_by(|left, right| left.0.cmp(&right.0));
        fields
    };
    if wanted(old) != wanted(new) {
        let before = old["metadata"]["generation"].as_u64().unwrap_or(0);
        new["metadata"]["generation"] = json!(before + 1);
    }
}

/// True for an object that is being deleted and that nothing holds any more.
pub fn is_finished(object: &Value) -> bool {
    let metadata = &object["metadata"];
    let none = |list: &Value| list.as_array().is_none_or(Vec::is_empty);
    let waits = metadata["deletionGracePeriodSeconds"].as_u64().unwrap_or(0) > 0;
    let is_namespace = object["kind"] == "Namespace" && object["apiVersion"] == "v1";
    !metadata["deletionTimestamp"].is_null()
        && none(&metadata["finalizers"])
        && !waits
        && (!is_namespace || none(&object["spec"]["finalizers"]))
}
