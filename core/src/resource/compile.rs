//! The one validator of a kind: an object's value in, its type and all that is wrong with it out. The snapshot, `analyze`, the
//! validating webhook and the API server of the sandbox all see what comes from here, so that they refuse the same with the same
//! words.
//!
//! ```text
//! value --types--> spec without its wrong parts --checks, schema--> violations --effect--> what has none yet
//! ```

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::kinds::{Effect, Row};
use super::typed::{DecodeError, forgiving, without_nulls};
use super::{Object, structural};
use crate::diag::{FieldPath, Level, NO_EFFECT, SCHEMA};
use crate::validate::{At, Violation, Violations};

/// What becomes of an object's value.
pub(super) struct Compiled {
    /// The typed view; none when nothing of it can be read.
    pub(super) object: Option<Object>,
    /// Parts of it have a wrong type and count as absent.
    pub(super) malformed: bool,
    /// What is wrong.
    pub(super) violations: Vec<Violation>,
}

/// Compiles an object of a kind.
pub(super) fn compile(value: &Value, row: &Row) -> Compiled {
    let mut compiled = (row.compile)(value, row);
    if row.effect == Effect::None {
        compiled.violations.push(Violation {
            code: NO_EFFECT,
            level: Level::Warning,
            path: FieldPath::root(),
            message: format!("{} is not supported yet and has no effect", row.name),
            hint: None,
        });
    }
    compiled
}

/// An object of Kubernetes. The types insist on the current API version, so older ones are renamed first.
pub(super) fn whole<T: DeserializeOwned>(
    value: &Value,
    row: &Row,
    wrap: fn(T) -> Object,
) -> Compiled {
    let current = row.api_version();
    let renamed;
    let value = if value.get("apiVersion").and_then(Value::as_str) == Some(current) {
        value
    } else {
        let mut other = value.clone();
        if let Some(map) = other.as_object_mut() {
            map.insert("apiVersion".to_owned(), current.into());
        }
        renamed = other;
        &renamed
    };
    let (object, errors) = forgiving(value, &FieldPath::root());
    Compiled {
        object: object.map(wrap),
        malformed: !errors.is_empty(),
        violations: errors.into_iter().map(Violation::from).collect(),
    }
}

/// An object whose `spec` is a type of ours; none is an empty one.
pub(super) fn spec<T: DeserializeOwned + Default>(
    value: &Value,
    row: &Row,
    wrap: fn(Arc<T>) -> Object,
    check: fn(&T, &At<'_>, &mut Violations),
) -> Compiled {
    let path = FieldPath::parse("spec");
    let (spec, errors) = match value.get("spec") {
        None | Some(Value::Null) => (Some(T::default()), Vec::new()),
        Some(spec) => forgiving::<T>(&without_nulls(spec), &path),
    };
    let mut violations = Violations::default();
    let root = At::Root;
    if let Some(spec) = &spec {
        check(spec, &root.key("spec"), &mut violations);
    }
    let mut all: Vec<Violation> = errors.into_iter().map(Violation::from).collect();
    // What counts as absent because of its type is not missing as well.
    let wrong: Vec<FieldPath> = all.iter().map(|violation| violation.path.clone()).collect();
    let is_new = |violation: &Violation| {
        let path = &violation.path;
        !wrong.iter().any(|wrong| path.starts_with(wrong))
    };
    all.extend(violations.into_found().into_iter().filter(is_new));
    structural::check(value, row, &mut all);
    Compiled {
        object: spec.map(|spec| wrap(Arc::new(spec))),
        malformed: !wrong.is_empty(),
        violations: all,
    }
}

/// An object of a kind that has no type yet.
pub(super) fn untyped(_: &Value, _: &Row) -> Compiled {
    Compiled {
        object: Some(Object::Untyped),
        malformed: false,
        violations: Vec::new(),
    }
}

impl From<DecodeError> for Violation {
    fn from(error: DecodeError) -> Self {
        let DecodeError {
            path,
            message,
            hint,
        } = error;
        Violation {
            code: SCHEMA,
            level: Level::Error,
            path,
            message,
            hint,
        }
    }
}
