//! Values over values.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::diag::{FieldPath, Segment};

/// Takes out what is at many paths, in one pass over each mapping.
pub(super) fn remove_all<'p>(value: &mut Value, paths: impl IntoIterator<Item = &'p FieldPath>) {
    let mut by_parent: BTreeMap<&[Segment], BTreeSet<&str>> = BTreeMap::new();
    for path in paths {
        if let Some((Segment::Key(last), parents)) = path.0.split_last() {
            by_parent.entry(parents).or_default().insert(last);
        }
    }
    for (parents, keys) in by_parent {
        let place = parents
            .iter()
            .try_fold(&mut *value, |place, segment| match segment {
                Segment::Key(key) => place.get_mut(&**key),
                Segment::Index(index) => place.get_mut(*index),
            });
        if let Some(map) = place.and_then(Value::as_object_mut) {
            map.retain(|key, _| !keys.contains(key.as_str()));
        }
    }
}

/// One layer over another: mappings key by key, gateways by name, anything else as a whole. Null takes out.
pub(super) fn merge(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                if value.is_null() {
                    below.shift_remove(&key);
                } else if let Some(old) = below.get_mut(&key) {
                    match (key.as_str(), old, value) {
                        (
                            "ingressGateways" | "egressGateways",
                            Value::Array(old),
                            Value::Array(new),
                        ) => {
                            merge_named(old, new);
                        }
                        (_, old, value) => merge(old, value),
                    }
                } else {
                    below.insert(key, value);
                }
            }
        }
        (below, above) => *below = above,
    }
}

fn merge_named(below: &mut Vec<Value>, above: Vec<Value>) {
    for item in above {
        let same = below.iter_mut().find(|old| old["name"] == item["name"]);
        match same {
            Some(old) => merge(old, item),
            None => below.push(item),
        }
    }
}

/// Takes keys out that are null.
pub(super) fn prune_null(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(prune_null);
        }
        Value::Array(items) => items.iter_mut().for_each(prune_null),
        _ => {}
    }
}
