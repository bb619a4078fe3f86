//! Strategic merge patches: merge patches that know which lists of a kind are joined by a key.
//!
//! Directives: `$patch: delete|replace|merge`, `$setElementOrder/LIST`, `$deleteFromPrimitiveList/LIST`, `$retainKeys`.

use serde_json::{Map, Value};

use super::shape::{Join, Shape};
use super::status::Status;

const PATCH: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const REMOVE: &str = "$deleteFromPrimitiveList/";

/// The value after the patch.
pub fn merge(shape: Shape<'_>, value: &Value, patch: &Value) -> Result<Value, Status> {
    let Value::Object(patch) = patch else {
        return Ok(patch.clone());
    };
    let mut object = match directive(patch)? {
        Directive::Replace => return Ok(Value::Object(plain(patch))),
        Directive::Delete => return Ok(Value::Null),
        Directive::Merge => value.as_object().cloned().unwrap_or_default(),
    };
    if let Some(Value::Array(retained)) = patch.get(RETAIN) {
        object.retain(|name, _| retained.iter().any(|kept| kept == name));
    }
    for (name, patch) in patch {
        if name == PATCH || name == RETAIN {
            continue;
        }
        if let Some(list) = name.strip_prefix(REMOVE) {
            remove_values(&mut object, list, patch);
        } else if name.starts_with(ORDER) {
            // Set at the end, when all elements are there.
        } else if patch.is_null() {
            object.shift_remove(name);
        } else {
            let shape = shape.field(name);
            let before = object.get(name).cloned().unwrap_or_default();
            let after = match (shape.patch_join(), patch) {
                (Join::Keyed(keys), Value::Array(patch)) => merge_keyed(
                    shape,
                    keys.first().copied().unwrap_or_default(),
                    &before,
                    patch,
                )?,
                (Join::Set, Value::Array(patch)) => add_values(&before, patch),
                _ => merge(shape, &before, patch)?,
            };
            match after {
                Value::Null => object.shift_remove(name),
                after => object.insert(name.clone(), after),
            };
        }
    }
    order(shape, &mut object, patch);
    Ok(Value::Object(object))
}

enum Directive {
    Merge,
    Replace,
    Delete,
}

fn directive(patch: &Map<String, Value>) -> Result<Directive, Status> {
    match patch.get(PATCH).map(|value| value.as_str()) {
        None | Some(Some("merge")) => Ok(Directive::Merge),
        Some(Some("replace")) => Ok(Directive::Replace),
        Some(Some("delete")) => Ok(Directive::Delete),
        Some(_) => Err(Status::bad_request(
            "the strategic merge patch has an unknown $patch directive: use merge, replace or delete",
        )),
    }
}

/// A patch as a value: without directives and nulls.
fn plain(patch: &Map<String, Value>) -> Map<String, Value> {
    let fields = patch
        .iter()
        .filter(|(name, value)| !name.starts_with('$') && !value.is_null());
    fields
        .map(|(name, value)| match value {
            Value::Object(inner) => (name.clone(), Value::Object(plain(inner))),
            other => (name.clone(), other.clone()),
        })
        .collect()
}

fn merge_keyed(
    shape: Shape<'_>,
    key: &str,
    before: &Value,
    patch: &[Value],
) -> Result<Value, Status> {
    let replace = patch.iter().any(|element| {
        element[PATCH] == "replace" && element.as_object().is_some_and(|object| object.len() == 1)
    });
    let mut elements = match before.as_array() {
        Some(elements) if !replace => elements.clone(),
        _ => Vec::new(),
    };
    for element in patch {
        let id = &element[key];
        if id.is_null() {
            if element[PATCH] == "replace" {
                continue;
            }
            return Err(Status::bad_request(format!(
                "the strategic merge patch has a list element without its key {key:?}"
            )));
        }
        let place = elements.iter().position(|known| known[key] == *id);
        let known = place.and_then(|place| elements.get(place)).cloned();
        let merged = merge(shape.element(), &known.unwrap_or_default(), element)?;
        match (place, merged) {
            (Some(place), Value::Null) => {
                elements.remove(place);
            }
            (None, Value::Null) => {}
            (Some(place), merged) => elements[place] = merged,
            (None, merged) => elements.push(merged),
        }
    }
    Ok(Value::Array(elements))
}

fn add_values(before: &Value, patch: &[Value]) -> Value {
    let known = before.as_array().cloned().unwrap_or_default();
    let new: Vec<Value> = patch
        .iter()
        .filter(|value| !known.contains(value))
        .cloned()
        .collect();
    known.into_iter().chain(new).collect()
}

fn remove_values(object: &mut Map<String, Value>, list: &str, values: &Value) {
    let values = values.as_array().cloned().unwrap_or_default();
    if let Some(Value::Array(elements)) = object.get_mut(list) {
        elements.retain(|element| !values.contains(element));
        if elements.is_empty() {
            object.shift_remove(list);
        }
    }
}

/// Puts the elements of lists in the order that the patch asks for; others keep their places after those before them.
fn order(shape: Shape<'_>, object: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, wanted) in patch {
        let Some(list) = name.strip_prefix(ORDER) else {
            continue;
        };
        let key = match shape.field(list).patch_join() {
            Join::Keyed(keys) => keys.first().copied().unwrap_or_default(),
            _ => "",
        };
        let id = |value: &Value| {
            if key.is_empty() {
                value.clone()
            } else {
                value[key].clone()
            }
        };
        let wanted: Vec<Value> = wanted.as_array().into_iter().flatten().map(id).collect();
        let Some(Value::Array(elements)) = object.get_mut(list) else {
            continue;
        };
        let place = |element: &Value| wanted.iter().position(|one| *one == id(element));
        let mut ordered: Vec<Value> = elements
            .iter()
            .filter(|element| place(element).is_some())
            .cloned()
            .collect();
        ordered.sort_by_key(|element| place(element));
        let mut ordered = ordered.into_iter();
        for element in elements.iter_mut() {
            if place(element).is_some()
                && let Some(next) = ordered.next()
            {
                *element = next;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ROOT: Shape<'static> = Shape::Builtin {
        parent: "",
        field: "",
    };

    #[track_caller]
    fn check(value: Value, patch: Value, expect: Value) {
        assert_eq!(merge(ROOT, &value, &patch).unwrap(), expect);
    }

    fn pod(containers: Value) -> Value {
        json!({"spec": {"containers": containers}})
    }

    #[test]
    fn elements_are_found_by_their_key() {
        check(
            pod(json!([{"name": "a", "image": "1"}, {"name": "b", "image": "1"}])),
            pod(json!([{"name": "b", "image": "2"}, {"name": "c"}])),
            pod(json!([{"name": "a", "image": "1"}, {"name": "b", "image": "2"}, {"name": "c"}])),
        );
        check(
            pod(json!([{"name": "a"}, {"name": "b"}])),
            pod(json!([{"$patch": "delete", "name": "b"}])),
            pod(json!([{"name": "a"}])),
        );
        let bad = merge(ROOT, &pod(json!([])), &pod(json!([{"image": "x"}])));
        assert!(bad.is_err());
    }

    #[test]
    fn elements_stand_in_the_order_that_is_asked_for() {
        check(
            pod(json!([{"name": "a"}, {"name": "x"}, {"name": "b"}])),
            json!({"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}}),
            pod(json!([{"name": "b"}, {"name": "x"}, {"name": "a"}])),
        );
    }

    #[test]
    fn values_are_added_and_taken_away() {
        check(
            json!({"metadata": {"finalizers": ["a", "b"]}}),
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}}),
            json!({"metadata": {"finalizers": ["b", "c"]}}),
        );
        check(
            json!({"spec": {"tolerations": [{"key": "a"}]}}),
            json!({"spec": {"tolerations": [{"key": "b"}]}}),
            json!({"spec": {"tolerations": [{"key": "b"}]}}),
        );
    }

    #[test]
    fn directives_replace_and_retain() {
        check(
            json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}),
            json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}),
            json!({"spec": {"strategy": {"type": "Recreate"}}}),
        );
        check(
            json!({"data": {"a": "1"}}),
            json!({"data": {"$patch": "replace", "b": "2"}}),
            json!({"data": {"b": "2"}}),
        );
        check(
            json!({"data": {"a": "1", "b": "2"}}),
            json!({"data": {"a": null}}),
            json!({"data": {"b": "2"}}),
        );
    }
}
