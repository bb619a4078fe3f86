//! Lists (`kind: List`, or `DeploymentList` and the like) are read as the objects in them.

use serde_json::Value;

use crate::diag::FieldPath;

/// The objects of a value with their paths: the value itself, or its items when it is a list, at any depth.
pub(super) fn expand(value: Value) -> Vec<(FieldPath, Value)> {
    let mut objects = Vec::new();
    collect(FieldPath::root(), value, &mut objects);
    objects
}

fn collect(path: FieldPath, mut value: Value, objects: &mut Vec<(FieldPath, Value)>) {
    let Some(element) = element_kind(&value) else {
        objects.push((path, value));
        return;
    };
    let version = value.get("apiVersion").cloned();
    let items = match value.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    };
    for (position, mut item) in items.into_iter().enumerate() {
        if let (Some(kind), Value::Object(map)) = (&element, &mut item) {
            map.entry("kind").or_insert_with(|| kind.as_str().into());
            if let Some(version) = &version {
                map.entry("apiVersion").or_insert_with(|| version.clone());
            }
        }
        collect(path.key("items").index(position), item, objects);
    }
}

/// For a list, the kind of its elements where the list's own kind tells it; none for anything else.
fn element_kind(value: &Value) -> Option<Option<String>> {
    let kind = value.get("kind")?.as_str()?.strip_suffix("List")?;
    match value.get("items")? {
        Value::Array(_) | Value::Null => {
            Some(Some(kind.to_owned()).filter(|kind| !kind.is_empty()))
        }
        _ => None,
    }
}
