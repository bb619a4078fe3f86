//! A pod may bring a container of the proxy's name: its fields go over the injected ones. They are remembered in an annotation,
//! so that a later injection finds them again.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::template::Template;
use super::{InjectError, PROXY_CONTAINER};

/// Annotation that remembers the user's container.
const OVERRIDES: &str = "proxy.istio.io/overrides";

/// Lists that are merged item by item, and the key of their items.
const LISTS: [(&str, &str); 3] = [
    ("env", "name"),
    ("ports", "containerPort"),
    ("volumeMounts", "mountPath"),
];

/// The user's own fields of the proxy's container, if any.
pub(super) fn of_user(
    pod: &mut Template,
    injected_before: bool,
) -> Result<Option<Map<String, Value>>, InjectError> {
    if injected_before {
        return remembered(&pod.annotations);
    }
    let lists = ["containers", "initContainers"];
    let found = lists
        .into_iter()
        .find_map(|list| pod.named(list, PROXY_CONTAINER))
        .cloned();
    if let Some(container) = &found {
        let text = json!({ "containers": [container] }).to_string();
        pod.annotations.insert(OVERRIDES.into(), text);
    }
    Ok(found)
}

fn remembered(
    annotations: &BTreeMap<String, String>,
) -> Result<Option<Map<String, Value>>, InjectError> {
    let Some(text) = annotations.get(OVERRIDES) else {
        return Ok(None);
    };
    let value: Value = serde_json::from_str(text)
        .map_err(|error| InjectError::annotation(OVERRIDES, format!("not JSON: {error}")))?;
    let container = value["containers"].get(0).and_then(Value::as_object);
    Ok(container.cloned())
}

/// Puts the user's fields over the injected ones. The image `auto` stands for the injected one.
pub(super) fn apply(injected: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, value) in over {
        if key == "image" && value == "auto" {
            continue;
        }
        let list_key = LISTS.iter().find(|(list, _)| list == key);
        match (injected.get_mut(key), value, list_key) {
            (Some(Value::Array(old)), Value::Array(new), Some((_, item_key))) => {
                merge_items(old, new, item_key);
            }
            (Some(Value::Object(old)), Value::Object(new), _) => apply(old, new),
            _ => {
                injected.insert(key.clone(), value.clone());
            }
        }
    }
}

fn merge_items(old: &mut Vec<Value>, new: &[Value], key: &str) {
    for item in new {
        let same = |other: &&mut Value| other.get(key).is_some() && other.get(key) == item.get(key);
        match old.iter_mut().find(same) {
            Some(place) => *place = item.clone(),
            None => old.push(item.clone()),
        }
    }
}
