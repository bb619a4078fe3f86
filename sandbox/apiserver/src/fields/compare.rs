//! What differs between two states of an object.

use serde_json::{Map, Value};

use super::set::{Fields, field, keyed, value};
use crate::shape::{Join, Shape};

/// What a write did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Fields with a new value.
    pub changed: Fields,
    /// Fields that are gone.
    pub removed: Fields,
}

// === impl Difference ===

impl Difference {
    /// True when nothing differs.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }

    fn put(&mut self, step: String, inner: Self) {
        let Self { changed, removed } = inner;
        if !changed.is_empty() {
            self.changed.inner.insert(step.clone(), changed);
        }
        if !removed.is_empty() {
            self.removed.inner.insert(step, removed);
        }
    }
}

/// Compares two values of one place; null stands for none.
pub fn compare(shape: Shape<'_>, old: &Value, new: &Value) -> Difference {
    let mut difference = Difference::default();
    if old == new {
        return difference;
    }
    if new.is_null() {
        difference.removed = all(shape, old);
        return difference;
    }
    if old.is_null() {
        difference.changed = all(shape, new);
        return difference;
    }
    match (shape.join(new), old, new) {
        (Join::Fields, Value::Object(before), Value::Object(after)) => {
            for name in names(before, after) {
                let side =
                    |object: &Map<String, Value>| object.get(name).cloned().unwrap_or_default();
                let inner = compare(shape.field(name), &side(before), &side(after));
                difference.put(field(name), inner);
            }
        }
        (Join::Set, Value::Array(before), Value::Array(after)) => {
            let sides = [
                (after, before, &mut difference.changed),
                (before, after, &mut difference.removed),
            ];
            for (here, there, fields) in sides {
                for element in here.iter().filter(|element| !there.contains(element)) {
                    fields.inner.insert(value(element), Fields::leaf());
                }
            }
        }
        (Join::Keyed(keys), Value::Array(before), Value::Array(after)) => {
            compare_keyed(shape, &keys, before, after, &mut difference);
        }
        _ => {
            difference.changed = all(shape, new);
            difference.removed = all(shape, old);
            difference.removed.subtract(&difference.changed);
        }
    }
    difference
}

fn compare_keyed(
    shape: Shape<'_>,
    keys: &[&str],
    before: &[Value],
    after: &[Value],
    difference: &mut Difference,
) {
    let find = |elements: &[Value], step: &String| {
        let mut elements = elements.iter();
        elements
            .find(|element| keyed(shape, keys, element).as_ref() == Some(step))
            .cloned()
            .unwrap_or_default()
    };
    for element in after {
        let Some(step) = keyed(shape, keys, element) else {
            difference.changed.own = true;
            continue;
        };
        let old = find(before, &step);
        let mut inner = compare(shape.element(), &old, element);
        inner.changed.own |= old.is_null();
        difference.put(step, inner);
    }
    for element in before {
        if let Some(step) = keyed(shape, keys, element)
            && find(after, &step).is_null()
        {
            let mut removed = all(shape.element(), element);
            removed.own = true;
            difference.removed.inner.insert(step, removed);
        }
    }
}

fn all(shape: Shape<'_>, value: &Value) -> Fields {
    Fields::of(shape, value, true)
}

fn names<'a>(
    before: &'a Map<String, Value>,
    after: &'a Map<String, Value>,
) -> impl Iterator<Item = &'a String> {
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    after.keys().chain(gone)
}
