//! From documents to typed objects. An object with a wrong type in it is refused with the path of the field.

use std::borrow::Cow;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::kinds::{KindInfo, Lookup, lookup};
use super::meta::{self, Written};
use super::{Meta, Object, Resource, ResourceKey};
use crate::diag::{Diagnostic, FieldPath, Level, Segment};
use crate::model::MeshConfig;
use crate::source::{Document, Origin, UNPARSABLE, parse_whole};

/// Code of findings about objects that do not have the shape or the values of their kind.
pub const SCHEMA: &str = "IST0106";

/// What is wrong with a field.
#[derive(Debug)]
pub(super) struct DecodeError {
    path: FieldPath,
    message: String,
    hint: Option<String>,
}

/// Reads an object of a document. Kinds that a mesh does not need give neither an object nor a finding
/// ([`super::Kind::of`] tells them). Namespaced objects without a namespace go to `default_namespace`, or to `default`.
pub fn decode(
    document: &Document,
    default_namespace: Option<&str>,
) -> (Option<Resource>, Vec<Diagnostic>) {
    decode_shared(
        document.value.clone(),
        document.origin.clone(),
        default_namespace,
    )
}

/// Reads an object as [`decode`] does, where it does not come from a text.
pub fn decode_value(
    value: Value,
    origin: Origin,
    default_namespace: Option<&str>,
) -> (Option<Resource>, Vec<Diagnostic>) {
    decode_shared(Arc::new(value), origin, default_namespace)
}

/// Reads a document that is a `MeshConfig` and nothing else, without `apiVersion` and `kind`.
pub fn decode_mesh_config(document: &Document) -> (Option<MeshConfig>, Vec<Diagnostic>) {
    match lenient(&document.value, &FieldPath::root()) {
        Ok(config) => (Some(config), Vec::new()),
        Err(error) => (
            None,
            vec![error.into_diagnostic(SCHEMA, None, &document.origin)],
        ),
    }
}

fn decode_shared(
    mut value: Arc<Value>,
    origin: Origin,
    default_namespace: Option<&str>,
) -> (Option<Resource>, Vec<Diagnostic>) {
    let refuse = |error: DecodeError, code, key: Option<ResourceKey>| {
        (None, vec![error.into_diagnostic(code, key, &origin)])
    };
    let info = match identify(&value) {
        Ok(Some(info)) => info,
        Ok(None) => return (None, Vec::new()),
        Err((error, code)) => return refuse(error, code, None),
    };
    let written = match meta::read(&value) {
        Ok(written) => written,
        Err(error) => return refuse(error, SCHEMA, None),
    };
    let key = match key(info, &written, default_namespace) {
        Ok(key) => key,
        Err(error) => return refuse(error, SCHEMA, None),
    };
    let mut object = match (info.decode)(&value, info) {
        Ok(object) => object,
        Err(error) => return refuse(error, SCHEMA, Some(key)),
    };
    let mut findings = Vec::new();
    match mesh_config(&key, &object) {
        Some(Ok(config)) => object = Object::MeshConfig(Arc::new(config)),
        Some(Err(error)) => {
            findings.push(error.into_diagnostic(SCHEMA, Some(key.clone()), &origin));
        }
        None => {}
    }
    if value.pointer("/metadata/managedFields").is_some()
        && let Some(metadata) = Arc::make_mut(&mut value).get_mut("metadata")
        && let Some(metadata) = metadata.as_object_mut()
    {
        metadata.shift_remove("managedFields");
    }
    let resource = Resource {
        key,
        meta: Meta::from(written),
        object,
        raw: value,
        origin: origin.clone(),
    };
    (Some(resource), findings)
}

/// The kind of an object; none if it is none that a mesh needs.
fn identify(value: &Value) -> Result<Option<&'static KindInfo>, (DecodeError, &'static str)> {
    let unparsable = |path: &str, message: String| {
        let error = DecodeError::new(FieldPath::parse(path), message);
        Err((
            error.with_hint("an object needs apiVersion, kind and metadata"),
            UNPARSABLE,
        ))
    };
    if !value.is_object() {
        let message = format!("expected a Kubernetes object, found {}", describe(value));
        return unparsable("", message);
    }
    let text = |field: &str| match value.get(field) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.as_str()),
        None | Some(Value::Null | Value::String(_)) => Err("is missing".to_owned()),
        Some(other) => Err(format!("must be a string, not {}", describe(other))),
    };
    let name = match text("kind") {
        Ok(name) => name,
        Err(problem) => return unparsable("kind", format!("kind {problem}")),
    };
    let api_version = match text("apiVersion") {
        Ok(api_version) => api_version,
        Err(problem) => return unparsable("apiVersion", format!("apiVersion {problem}")),
    };
    match lookup(api_version, name) {
        Lookup::Known(info) => Ok(Some(info)),
        Lookup::Unknown => Ok(None),
        Lookup::WrongVersion(info) => {
            let message = format!("{name} has no version {api_version:?}");
            let hint = format!("use {}", info.api_versions.first().unwrap_or(&""));
            let error = DecodeError::new(FieldPath::parse("apiVersion"), message).with_hint(hint);
            Err((error, SCHEMA))
        }
    }
}

fn key(
    info: &KindInfo,
    written: &Written,
    default_namespace: Option<&str>,
) -> Result<ResourceKey, DecodeError> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let name = given(&written.name).or_else(|| given(&written.generate_name));
    let Some(name) = name else {
        let message = format!("{} has no name", info.name);
        return Err(DecodeError::new(FieldPath::parse("metadata.name"), message)
            .with_hint("set metadata.name"));
    };
    let namespace = if info.namespaced {
        given(&written.namespace)
            .unwrap_or_else(|| default_namespace.unwrap_or("default").to_owned())
    } else {
        String::new()
    };
    Ok(ResourceKey {
        kind: info.kind,
        namespace: namespace.into(),
        name: name.into(),
    })
}

/// The mesh configuration in a ConfigMap `istio`, if it is one.
fn mesh_config(key: &ResourceKey, object: &Object) -> Option<Result<MeshConfig, DecodeError>> {
    let Object::ConfigMap(map) = object else {
        return None;
    };
    let name = &*key.name;
    if name != "istio" {
        return None;
    }
    let text = map.data.as_ref()?.get("mesh")?;
    let path = FieldPath::parse("data.mesh");
    let (documents, findings) = parse_whole("mesh", text);
    if let Some(finding) = findings.into_iter().next() {
        return Some(Err(DecodeError::new(path, finding.message)));
    }
    let Some(document) = documents.first() else {
        return Some(Ok(MeshConfig::default()));
    };
    Some(
        lenient(&document.value, &FieldPath::root())
            .map_err(|error| DecodeError::new(path, format!("{}: {}", error.path, error.message))),
    )
}

/// A Kubernetes object. The types insist on the current API version, so older ones are renamed first.
pub(super) fn whole<T: DeserializeOwned>(value: &Value, info: &KindInfo) -> Result<T, DecodeError> {
    let current = info.api_versions.first().copied().unwrap_or_default();
    if value.get("apiVersion").and_then(Value::as_str) == Some(current) {
        return typed(value, &FieldPath::root());
    }
    let mut renamed = value.clone();
    if let Some(map) = renamed.as_object_mut() {
        map.insert("apiVersion".to_owned(), current.into());
    }
    typed(&renamed, &FieldPath::root())
}

/// The `spec` of an Istio object; none is an empty one.
pub(super) fn spec<T: DeserializeOwned + Default>(value: &Value) -> Result<T, DecodeError> {
    match value.get("spec") {
        None | Some(Value::Null) => Ok(T::default()),
        Some(spec) => lenient(spec, &FieldPath::parse("spec")),
    }
}

/// A value whose null fields count as absent, as protobuf's JSON has it.
fn lenient<T: DeserializeOwned>(value: &Value, base: &FieldPath) -> Result<T, DecodeError> {
    typed(&without_nulls(value), base)
}

fn without_nulls(value: &Value) -> Cow<'_, Value> {
    fn has_null(value: &Value) -> bool {
        match value {
            Value::Object(map) => map.values().any(|value| value.is_null() || has_null(value)),
            Value::Array(items) => items.iter().any(has_null),
            _ => false,
        }
    }
    fn strip(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.retain(|_, value| !value.is_null());
                map.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    if !has_null(value) {
        return Cow::Borrowed(value);
    }
    let mut owned = value.clone();
    strip(&mut owned);
    Cow::Owned(owned)
}

/// Reads a typed value; only a failure is read again to learn the path.
pub(super) fn typed<T: DeserializeOwned>(
    value: &Value,
    base: &FieldPath,
) -> Result<T, DecodeError> {
    if let Ok(typed) = T::deserialize(value) {
        return Ok(typed);
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let mut path = base.clone();
        for segment in error.path() {
            match segment {
                serde_path_to_error::Segment::Seq { index } => {
                    path.0.push(Segment::Index(*index));
                }
                serde_path_to_error::Segment::Map { key } => {
                    path.0.push(Segment::Key(key.as_str().into()));
                }
                serde_path_to_error::Segment::Enum { .. }
                | serde_path_to_error::Segment::Unknown => {}
            }
        }
        let message = rephrase(&error.inner().to_string());
        DecodeError::new(path, message)
    })
}

/// Says what a deserializer said in the words of somebody who writes YAML.
fn rephrase(message: &str) -> String {
    for prefix in ["invalid type: ", "invalid value: ", "unknown variant "] {
        if let Some((found, expected)) = message
            .strip_prefix(prefix)
            .and_then(|rest| rest.rsplit_once(", expected "))
        {
            return format!("expected {}, found {}", plain(expected), plain(found));
        }
    }
    message.to_owned()
}

fn plain(term: &str) -> &str {
    match term {
        "map" | "a map" => "a mapping",
        "sequence" | "a sequence" => "a list",
        "null" | "unit value" => "nothing",
        "i32" | "i64" => "a whole number",
        "u8" | "u16" | "u32" | "u64" => "a whole number that is not negative",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        _ if term.starts_with("struct ") => "a mapping",
        _ if term.starts_with(char::is_uppercase) && term.chars().all(char::is_alphanumeric) => {
            "a mapping"
        }
        _ => term,
    }
}

fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

// === impl DecodeError ===

impl DecodeError {
    fn new(path: FieldPath, message: impl Into<String>) -> Self {
        Self {
            path,
            message: message.into(),
            hint: None,
        }
    }

    fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn into_diagnostic(
        self,
        code: &'static str,
        resource: Option<ResourceKey>,
        origin: &Origin,
    ) -> Diagnostic {
        let path = self.path.to_string();
        let message = if path.is_empty() || code == UNPARSABLE {
            self.message
        } else {
            format!("{path}: {}", self.message)
        };
        Diagnostic {
            code,
            level: Level::Error,
            resource,
            origin: origin.clone(),
            path: self.path,
            message,
            hint: self.hint,
        }
    }
}

#[cfg(test)]
mod tests;
