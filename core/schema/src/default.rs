//! Defaults of fields that are missing.

use serde_json::Value;

use super::node::{Node, Rest};

/// Fills in defaults, and removes null where it is neither allowed nor replaced by a default.
pub(super) fn fill(node: &Node, value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (name, property) in &node.properties {
                let missing = match object.get(&**name) {
                    None => true,
                    Some(Value::Null) => !property.nullable,
                    Some(_) => false,
                };
                if !missing {
                    continue;
                }
                match &property.default {
                    Some(default) => {
                        object.insert(name.to_string(), default.clone());
                    }
                    None => {
                        object.shift_remove(&**name);
                    }
                }
            }
            if let Rest::Values(values) = &node.rest {
                let is_own = |name: &String| node.properties.contains_key(name.as_str());
                if !values.nullable {
                    let default = values.default.clone().unwrap_or_default();
                    for (_, value) in object.iter_mut().filter(|(name, _)| !is_own(name)) {
                        if value.is_null() {
                            *value = default.clone();
                        }
                    }
                    object.retain(|name, value| is_own(name) || !value.is_null());
                }
            }
            for (name, value) in object.iter_mut() {
                if let Some(inner) = node.field(name) {
                    fill(inner, value);
                }
            }
        }
        Value::Array(elements) => {
            if let Some(items) = &node.items {
                elements.iter_mut().for_each(|element| fill(items, element));
            }
        }
        _ => {}
    }
}
