//! Putting an applied configuration into an object, and taking out of it what is no longer applied.

use serde_json::{Map, Value};

use super::set::{Fields, field, keyed, value};
use crate::shape::{Join, Shape};

/// The live value with the applied one put in; null stands for no live value.
pub fn merge(shape: Shape<'_>, live: &Value, applied: &Value) -> Value {
    match (shape.join(applied), live, applied) {
        (Join::Fields, _, Value::Object(applied)) => {
            let mut merged = live.as_object().cloned().unwrap_or_default();
            for (name, applied) in applied {
                let live = merged.get(name).cloned().unwrap_or_default();
                let value = merge(shape.field(name), &live, applied);
                merged.insert(name.clone(), value);
            }
            Value::Object(merged)
        }
        (Join::Set, Value::Array(live), Value::Array(applied)) => {
            let new = applied.iter().filter(|element| !live.contains(element));
            live.iter().chain(new).cloned().collect()
        }
        (Join::Keyed(keys), _, Value::Array(applied)) => {
            let live = live.as_array().map_or(&[][..], Vec::as_slice);
            Value::Array(merge_keyed(shape, &keys, live, applied))
        }
        _ => applied.clone(),
    }
}

/// Elements that are applied stand in the order in which they are applied, others where they are.
fn merge_keyed(shape: Shape<'_>, keys: &[&str], live: &[Value], applied: &[Value]) -> Vec<Value> {
    let step = |element: &Value| keyed(shape, keys, element);
    let mut merged = applied.iter().map(|element| {
        let wanted = step(element);
        let same = live
            .iter()
            .find(|live| wanted.is_some() && step(live) == wanted);
        merge(shape.element(), same.unwrap_or(&Value::Null), element)
    });
    let is_applied = |live: &Value| {
        let live = step(live);
        live.is_some() && applied.iter().any(|element| step(element) == live)
    };
    let mut elements = Vec::with_capacity(live.len() + applied.len());
    for element in live {
        if !is_applied(element) {
            elements.push(element.clone());
        } else if let Some(next) = merged.next() {
            elements.push(next);
        }
    }
    elements.extend(merged);
    elements
}

/// Takes out what an applier had and no longer mentions, unless others own it too. True when anything was taken out.
pub fn prune(
    shape: Shape<'_>,
    place: &mut Value,
    before: &Fields,
    now: Option<&Fields>,
    others: &[&Fields],
) -> bool {
    match (shape.join(place), place) {
        (Join::Fields, Value::Object(object)) => prune_object(shape, object, before, now, others),
        (Join::Set, Value::Array(elements)) => {
            let count = elements.len();
            elements.retain(|element| !is_dropped(&value(element), before, now, others));
            elements.len() < count
        }
        (Join::Keyed(keys), Value::Array(elements)) => {
            let mut any = false;
            elements.retain_mut(|element| {
                let Some(step) = keyed(shape, &keys, element) else {
                    return true;
                };
                if is_dropped(&step, before, now, others) {
                    any = true;
                    return false;
                }
                if let Some(before) = before.inner.get(&step) {
                    let (now, others) = below(&step, now, others);
                    any |= prune(shape.element(), element, before, now, &others);
                }
                true
            });
            any
        }
        _ => false,
    }
}

fn prune_object(
    shape: Shape<'_>,
    object: &mut Map<String, Value>,
    before: &Fields,
    now: Option<&Fields>,
    others: &[&Fields],
) -> bool {
    let mut any = false;
    let names: Vec<String> = object.keys().cloned().collect();
    for name in names {
        let step = field(&name);
        let Some(inner) = before.inner.get(&step) else {
            continue;
        };
        if is_dropped(&step, before, now, others) {
            any |= object.shift_remove(&name).is_some();
            continue;
        }
        let (now, others) = below(&step, now, others);
        let Some(place) = object.get_mut(&name) else {
            continue;
        };
        if prune(shape.field(&name), place, inner, now, &others) {
            any = true;
            let empty = match &*place {
                Value::Object(fields) => fields.is_empty(),
                Value::Array(elements) => elements.is_empty(),
                _ => false,
            };
            if empty && now.is_none() && others.iter().all(|other| other.is_empty()) {
                object.shift_remove(&name);
            }
        }
    }
    any
}

/// True for a place that the applier had as such, and that is in no other set, nor anything in it.
fn is_dropped(step: &str, before: &Fields, now: Option<&Fields>, others: &[&Fields]) -> bool {
    let had = before.inner.get(step).is_some_and(|inner| inner.own);
    let has = |fields: &Fields| {
        fields
            .inner
            .get(step)
            .is_some_and(|inner| !inner.is_empty())
    };
    had && !now.is_some_and(has) && !others.iter().any(|other| has(other))
}

fn below<'a>(
    step: &str,
    now: Option<&'a Fields>,
    others: &[&'a Fields],
) -> (Option<&'a Fields>, Vec<&'a Fields>) {
    let now = now.and_then(|fields| fields.inner.get(step));
    let others = others.iter().filter_map(|other| other.inner.get(step));
    (now, others.collect())
}
