//! Sets of fields, as trees.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::shape::{Join, Shape};

/// A set of fields below one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// The place itself is in the set.
    pub own: bool,
    pub inner: BTreeMap<String, Fields>,
}

/// The step to a field.
pub fn field(name: &str) -> String {
    format!("f:{name}")
}

/// The step to an element of a list of different values.
pub fn value(value: &Value) -> String {
    format!("v:{value}")
}

/// The step to an element with keys; `None` when it lacks one that has no default.
pub fn keyed(shape: Shape<'_>, keys: &[&str], element: &Value) -> Option<String> {
    let mut values = BTreeMap::new();
    for key in keys {
        let value = match &element[*key] {
            Value::Null => shape.key_default(key),
            given => given.clone(),
        };
        if !value.is_null() {
            values.insert(*key, value);
        }
    }
    (!values.is_empty()).then(|| format!("k:{}", json!(values)))
}

// === impl Fields ===

impl Fields {
    /// The place alone.
    pub fn leaf() -> Self {
        Self {
            own: true,
            inner: BTreeMap::new(),
        }
    }

    /// All fields of a value. `containers` says whether objects are in the set beside what is in them.
    pub fn of(shape: Shape<'_>, value: &Value, containers: bool) -> Self {
        let mut fields = Self::default();
        match (shape.join(value), value) {
            (Join::Fields, Value::Object(object)) if !object.is_empty() => {
                for (name, value) in object {
                    let shape = shape.field(name);
                    let mut inner = Self::of(shape, value, containers);
                    inner.own |= containers && value.is_object() && !is_plain(name);
                    fields.inner.insert(field(name), inner);
                }
            }
            (Join::Set, Value::Array(elements)) if !elements.is_empty() => {
                for element in elements {
                    fields.inner.insert(self::value(element), Self::leaf());
                }
            }
            (Join::Keyed(keys), Value::Array(elements)) if !elements.is_empty() => {
                for element in elements {
                    let Some(step) = keyed(shape, &keys, element) else {
                        return Self::leaf();
                    };
                    let mut inner = Self::of(shape.element(), element, containers);
                    inner.own = true;
                    fields.inner.insert(step, inner);
                }
            }
            _ => fields.own = true,
        }
        fields
    }

    /// True when nothing is in the set.
    pub fn is_empty(&self) -> bool {
        !self.own && self.inner.values().all(Self::is_empty)
    }

    /// Adds the fields of another set.
    pub fn add(&mut self, other: &Self) {
        self.own |= other.own;
        for (step, other) in &other.inner {
            self.inner.entry(step.clone()).or_default().add(other);
        }
    }

    /// Takes away the fields of another set.
    pub fn subtract(&mut self, other: &Self) {
        self.own &= !other.own;
        for (step, other) in &other.inner {
            if let Some(inner) = self.inner.get_mut(step) {
                inner.subtract(other);
                if inner.is_empty() {
                    self.inner.remove(step);
                }
            }
        }
    }

    /// The fields that are in both sets.
    pub fn common(&self, other: &Self) -> Self {
        let inner = self.inner.iter().filter_map(|(step, inner)| {
            let common = inner.common(other.inner.get(step)?);
            (!common.is_empty()).then(|| (step.clone(), common))
        });
        Self {
            own: self.own && other.own,
            inner: inner.collect(),
        }
    }

    /// The paths of all fields, as messages tell them; places that only hold others are left out.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect_paths("", &mut paths);
        paths
    }

    fn collect_paths(&self, path: &str, paths: &mut Vec<String>) {
        if self.own && self.inner.is_empty() {
            paths.push(path.to_owned());
        }
        for (step, inner) in &self.inner {
            inner.collect_paths(&format!("{path}{}", step_text(step)), paths);
        }
    }

    /// Reads `fieldsV1`.
    pub fn parse(value: &Value) -> Self {
        let mut fields = Self::default();
        for (step, inner) in value.as_object().into_iter().flatten() {
            if step == "." {
                fields.own = true;
                continue;
            }
            let mut parsed = Self::parse(inner);
            if inner.as_object().is_none_or(Map::is_empty) {
                parsed.own = true;
            }
            fields.inner.insert(step.clone(), parsed);
        }
        fields
    }

    /// Writes `fieldsV1`.
    pub fn to_value(&self) -> Value {
        let mut object = Map::new();
        if self.own && !self.inner.is_empty() {
            object.insert(".".to_owned(), json!({}));
        }
        for (step, inner) in &self.inner {
            object.insert(step.clone(), inner.to_value());
        }
        Value::Object(object)
    }
}

/// Objects that every object of its kind has, so that nobody brought them.
fn is_plain(name: &str) -> bool {
    matches!(name, "metadata" | "spec" | "status" | "template")
}

/// `.spec`, `[name="c"]`, or `["x"]`.
fn step_text(step: &str) -> String {
    match step.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("k", keys)) => {
            let keys: Value = serde_json::from_str(keys).unwrap_or_default();
            let keys = keys.as_object().into_iter().flatten();
            let keys: Vec<String> = keys.map(|(key, value)| format!("{key}={value}")).collect();
            format!("[{}]", keys.join(","))
        }
        Some((_, value)) => format!("[{value}]"),
        None => step.to_owned(),
    }
}
