//! From documents to typed objects, with all that is wrong with each by itself.

use std::sync::Arc;

use serde_json::Value;

use super::compile::{Compiled, compile};
use super::kinds::{Lookup, Row, Scope, lookup};
use super::meta::{self, Written};
use super::typed::{DecodeError, describe};
use super::{Meta, Object, Resource, ResourceKey, mesh, unquoted};
use crate::diag::{Diagnostic, FieldPath, Level, SCHEMA};
use crate::source::{Document, Origin, UNPARSABLE};
use crate::validate::Violation;

/// Reads an object of a document. Kinds that a mesh does not need give neither an object nor a finding
/// ([`super::Kind::of`] tells them). The findings are about documents that give no object; those about the object are its own.
/// Namespaced objects without a namespace go to `default_namespace`, or to `default`.
pub fn decode(
    document: &Document,
    default_namespace: Option<&str>,
) -> (Option<Resource>, Vec<Diagnostic>) {
    let (mut resource, mut findings) = decode_shared(
        document.value.clone(),
        document.origin.clone(),
        default_namespace,
    );
    let own = resource
        .as_mut()
        .map(|resource| &mut resource.findings)
        .into_iter();
    for finding in own.flatten().chain(&mut findings) {
        let quoted = unquoted::hint(document, finding);
        finding.hint = finding.hint.take().or(quoted);
    }
    (resource, findings)
}

/// Reads an object as [`decode`] does, where it does not come from a text.
pub fn decode_value(
    value: Value,
    origin: Origin,
    default_namespace: Option<&str>,
) -> (Option<Resource>, Vec<Diagnostic>) {
    decode_shared(Arc::new(value), origin, default_namespace)
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
    let (written, wrong) = meta::read(&value);
    let key = match key(info, &written, default_namespace) {
        Ok(key) => Some(key),
        // Whether there is a name cannot be told; the rest of the object can.
        Err(_) if !wrong.is_empty() => None,
        Err(error) => return refuse(error, SCHEMA, None),
    };
    let Compiled {
        object,
        mut malformed,
        mut violations,
    } = compile(&value, info);
    malformed |= !wrong.is_empty();
    for error in wrong {
        let is_known = violations.iter().any(|known| known.path == error.path);
        if !is_known {
            violations.push(error.into());
        }
    }
    let mesh = key
        .as_ref()
        .zip(object.as_ref())
        .and_then(|(key, object)| mesh::of_config_map(key, object));
    let object = match mesh {
        Some((config, found)) => {
            // Settings that are not valid as a whole are not acted on: the last ones that were stay.
            let is_invalid = found.iter().any(|found| found.level == Level::Error);
            malformed |= is_invalid;
            violations.extend(found);
            let config = config.filter(|_| !is_invalid);
            config.map(Object::MeshConfig).or(object)
        }
        None => object,
    };
    let findings = violations
        .into_iter()
        .map(|violation| found(violation, key.as_ref(), &origin))
        .collect();
    let (Some(object), Some(key)) = (object, key) else {
        return (None, findings);
    };
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
        findings,
        malformed,
    };
    (Some(resource), Vec::new())
}

/// A violation as a finding about an object.
fn found(violation: Violation, key: Option<&ResourceKey>, origin: &Origin) -> Diagnostic {
    let Violation {
        code,
        level,
        path,
        message,
        hint,
    } = violation;
    let message = if path == FieldPath::root() {
        message
    } else {
        format!("{path}: {message}")
    };
    Diagnostic {
        code,
        level,
        resource: key.cloned(),
        origin: origin.clone(),
        path,
        message,
        hint,
    }
}

/// The kind of an object; none if it is none that a mesh needs.
fn identify(value: &Value) -> Result<Option<&'static Row>, (DecodeError, &'static str)> {
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
            let hint = format!("use {}", info.api_version());
            let error = DecodeError::new(FieldPath::parse("apiVersion"), message).with_hint(hint);
            Err((error, SCHEMA))
        }
    }
}

fn key(
    info: &Row,
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
    let namespace = if info.scope == Scope::Namespaced {
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

// === impl DecodeError ===

impl DecodeError {
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
