//! Objects as a reader wants to compare them: without what the API server keeps for itself.

use serde_json::{Value, json};

use super::ANNOTATION;
use crate::yaml::to_yaml;

/// Fields of `metadata` that the API server writes.
const SERVER_FIELDS: [&str; 7] = [
    "creationTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
    "deletionGracePeriodSeconds",
];
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The object as YAML for a comparison; the long annotations are shortened.
pub fn shown(object: &Value) -> String {
    let mut object = object.clone();
    if let Value::Object(map) = &mut object {
        map.shift_remove("status");
    }
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        for field in SERVER_FIELDS {
            metadata.shift_remove(field);
        }
        if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
            if let Some(memory) = annotations.get_mut(ANNOTATION) {
                *memory = json!("(what was there before, for --undo)");
            }
            annotations.shift_remove(LAST_APPLIED);
        }
    }
    to_yaml(&object)
}

/// Whether two objects differ in what a reader sees.
pub fn differing(before: &Value, after: &Value) -> bool {
    shown(before) != shown(after)
}
