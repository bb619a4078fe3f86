//! Owners of fields: `metadata.managedFields`, kept by every write, and server-side apply, which decides by it.
//!
//! ```text
//! write   old, new           -> what changed -> it belongs to the writer, and to nobody else
//! apply   live, applied      -> merged; a field that changes and belongs to others is a conflict;
//!                               what the applier owned and no longer mentions goes, unless others own it too
//! ```
//!
//! Sets of fields are trees whose steps are written as in `fieldsV1`: `f:NAME`, `k:{KEYS}`, `v:VALUE`.

mod apply;
mod compare;
mod entry;
mod merge;
mod set;

use serde_json::{Map, Value};

pub use apply::apply;
use compare::compare;
use entry::Entries;

use super::shape::Shape;

/// Who writes.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    pub manager: &'a str,
    /// The version in which it speaks.
    pub api_version: &'a str,
    /// Empty for the object itself.
    pub subresource: &'a str,
    pub time: &'a str,
}

/// Metadata that nobody owns.
const UNOWNED: [&str; 11] = [
    "name",
    "namespace",
    "generateName",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
];

/// Settles who owns what after a write; `new` carries the owners before it.
pub fn update(shape: Shape<'_>, owner: &Owner<'_>, old: Option<&Value>, new: &mut Value) {
    let mut entries = Entries::parse(&new["metadata"]["managedFields"]);
    let difference = compare(shape, &old.map_or(Value::Null, ownable), &ownable(new));
    if difference.is_empty() {
        return;
    }
    entries.record_update(owner, &difference);
    super::verbs::set_or_remove(&mut new["metadata"], "managedFields", &entries.to_value());
}

/// The part of an object that has owners.
fn ownable(object: &Value) -> Value {
    let mut left = Map::new();
    for (name, value) in object.as_object().into_iter().flatten() {
        match name.as_str() {
            "apiVersion" | "kind" => {}
            "metadata" => {
                let fields = value.as_object().into_iter().flatten();
                let fields = fields.filter(|(name, _)| !UNOWNED.contains(&name.as_str()));
                let fields: Map<String, Value> = fields
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect();
                if !fields.is_empty() {
                    left.insert(name.clone(), Value::Object(fields));
                }
            }
            _ => {
                left.insert(name.clone(), value.clone());
            }
        }
    }
    Value::Object(left)
}

#[cfg(test)]
mod tests;
