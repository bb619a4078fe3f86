//! A pod or pod template as raw values, with the maps of its metadata read.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::InjectError;
use crate::diag::FieldPath;

/// A pod or pod template: the raw value, and what is often asked of it.
#[derive(Clone, Debug)]
pub(super) struct Template {
    /// The whole value.
    pub(super) value: Map<String, Value>,
    /// `metadata.labels`.
    pub(super) labels: BTreeMap<String, String>,
    /// `metadata.annotations`.
    pub(super) annotations: BTreeMap<String, String>,
}

// === impl Template ===

impl Template {
    /// Reads a value, and checks as much of its shape as injection relies on.
    pub(super) fn read(value: &Value) -> Result<Self, InjectError> {
        let Value::Object(map) = value else {
            return Err(InjectError::field(
                FieldPath::root(),
                "a pod must be a mapping with metadata and spec",
            ));
        };
        let metadata = object(map, &FieldPath::root(), "metadata")?;
        let path = FieldPath::parse("metadata");
        let texts = |name| match metadata {
            Some(metadata) => texts(metadata, &path, name),
            None => Ok(BTreeMap::new()),
        };
        let (labels, annotations) = (texts("labels")?, texts("annotations")?);
        let spec = object(map, &FieldPath::root(), "spec")?;
        if spec.is_none() {
            let message = "a pod needs a spec with containers";
            return Err(InjectError::field(FieldPath::parse("spec"), message));
        }
        let template = Self {
            value: map.clone(),
            labels,
            annotations,
        };
        for list in ["containers", "initContainers", "volumes"] {
            template.check_named(list)?;
        }
        Ok(template)
    }

    /// `spec.hostNetwork`.
    pub(super) fn host_network(&self) -> bool {
        let spec = self.value.get("spec");
        spec.and_then(|spec| spec.get("hostNetwork"))
            .and_then(Value::as_bool)
            .unwrap_or_default()
    }

    /// `spec`.
    pub(super) fn spec(&mut self) -> &mut Map<String, Value> {
        child(&mut self.value, "spec")
    }

    /// A list of `spec`, such as the containers; empty when there is none.
    pub(super) fn list(&self, name: &str) -> &[Value] {
        let list = self.value.get("spec").and_then(|spec| spec.get(name));
        list.and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The named item of a list.
    pub(super) fn named(&self, list: &str, name: &str) -> Option<&Map<String, Value>> {
        self.list(list)
            .iter()
            .find(|item| has_name(item, name))
            .and_then(Value::as_object)
    }

    /// A list of `spec` to change; it is created when there is none.
    pub(super) fn list_mut(&mut self, name: &str) -> &mut Vec<Value> {
        let slot = self.spec().entry(name).or_insert(Value::Null);
        if !slot.is_array() {
            *slot = Value::Array(Vec::new());
        }
        match slot {
            Value::Array(items) => items,
            _ => unreachable!("just made a list"),
        }
    }

    /// The value with the changed labels and annotations in it. Keys that were there keep their places.
    pub(super) fn finish(mut self) -> Value {
        let metadata = child(&mut self.value, "metadata");
        for (name, wanted) in [("labels", self.labels), ("annotations", self.annotations)] {
            if wanted.is_empty() {
                continue;
            }
            let map = child(metadata, name);
            map.retain(|key, _| wanted.contains_key(key));
            for (key, text) in wanted {
                map.insert(key, Value::String(text));
            }
        }
        Value::Object(self.value)
    }

    fn check_named(&self, list: &str) -> Result<(), InjectError> {
        let path = FieldPath::parse("spec").key(list);
        let spec = self.value.get("spec").and_then(Value::as_object);
        match spec.and_then(|spec| spec.get(list)) {
            None | Some(Value::Null) => Ok(()),
            Some(Value::Array(items)) => {
                let unnamed = |item: &Value| item.get("name").is_none_or(|name| !name.is_string());
                match items.iter().position(unnamed) {
                    None => Ok(()),
                    Some(index) => Err(InjectError::field(
                        path.index(index),
                        "must be a mapping with a name",
                    )),
                }
            }
            Some(_) => Err(InjectError::field(path, "must be a list")),
        }
    }
}

/// Whether an item of a list has this name.
pub(super) fn has_name(item: &Value, name: &str) -> bool {
    item.get("name").and_then(Value::as_str) == Some(name)
}

/// The mapping under a key; created, or put in the place of anything else.
pub(super) fn child<'a>(map: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let slot = map.entry(key).or_insert(Value::Null);
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    match slot {
        Value::Object(map) => map,
        _ => unreachable!("just made a mapping"),
    }
}

fn object<'a>(
    map: &'a Map<String, Value>,
    path: &FieldPath,
    key: &str,
) -> Result<Option<&'a Map<String, Value>>, InjectError> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(inner)) => Ok(Some(inner)),
        Some(_) => Err(InjectError::field(path.key(key), "must be a mapping")),
    }
}

fn texts(
    metadata: &Map<String, Value>,
    path: &FieldPath,
    name: &str,
) -> Result<BTreeMap<String, String>, InjectError> {
    let mut texts = BTreeMap::new();
    let path = path.key(name);
    for (key, value) in object(metadata, &FieldPath::parse("metadata"), name)?
        .into_iter()
        .flatten()
    {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => {
                let message = format!("must be a text; put it in quotes: \"{other}\"");
                return Err(InjectError::field(path.key(key.as_str()), message));
            }
        };
        texts.insert(key.clone(), text);
    }
    Ok(texts)
}
