//! Labels, annotations and owners.

use serde_json::{Value, json};

use super::{list, required};
use crate::selector::{is_key, is_value};
use crate::status::Cause;

/// All annotations of an object together.
const LARGEST: usize = 256 << 10;

pub fn check(metadata: &Value) -> Vec<Cause> {
    let mut causes = labels(&metadata["labels"], "metadata.labels");
    let mut size = 0;
    for (name, value) in metadata["annotations"].as_object().into_iter().flatten() {
        // Letters may be of either case here.
        if !is_key(name) {
            let why =
                "an annotation's key is a name, with a DNS name and a slash before it or without";
            causes.push(Cause::invalid("metadata.annotations", &json!(name), why));
        }
        size += name.len();
        match value {
            Value::String(text) => size += text.len(),
            other => causes.push(Cause::wrong_type(
                format!("metadata.annotations.{name}"),
                other,
                "must be a string",
            )),
        }
    }
    if size > LARGEST {
        causes.push(Cause {
            reason: "FieldValueTooLong",
            message: format!("Too long: may not be more than {LARGEST} bytes"),
            field: "metadata.annotations".to_owned(),
        });
    }
    for (index, owner) in list(&metadata["ownerReferences"]).iter().enumerate() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            let path = format!("metadata.ownerReferences[{index}].{field}");
            required(&owner[field], path, &mut causes);
        }
    }
    causes
}

/// What is wrong with labels.
pub fn labels(labels: &Value, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (name, value) in labels.as_object().into_iter().flatten() {
        if !is_key(name) {
            let why = "a label's key is a name, with a DNS name and a slash before it or without";
            causes.push(Cause::invalid(path, &json!(name), why));
        }
        if !value.as_str().is_some_and(is_value) {
            let why = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
                       and must start and end with an alphanumeric character";
            causes.push(Cause::invalid(path, value, why));
        }
    }
    causes
}
