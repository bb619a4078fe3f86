//! Objects against the CRD schema of their kind: fields that do not exist, and what the checks of the kind do not say themselves.

use std::sync::OnceLock;

use serde_json::Value;

use super::kinds::{Row, rows};
use super::typed::without_nulls;
use crate::diag::{FieldPath, Level, SCHEMA, Segment};
use crate::schema::{Cause, Reason, Schema, Unknown};
use crate::validate::{Violation, nearest};

/// How far below a value a finding may be that says the same as one about the value.
const NEAR: usize = 2;

/// Adds what the schema says about fields that nothing is said about yet.
pub(super) fn check(value: &Value, row: &Row, found: &mut Vec<Violation>) {
    let Some(schema) = schema(row) else { return };
    let value = without_nulls(value);
    let causes = match schema {
        Ok(schema) => {
            found.extend(schema.unknown(&value).iter().map(unknown));
            schema.check_all(&value)
        }
        Err(causes) => causes.clone(),
    };
    // What is missing has nothing in it that could be wrong.
    let missing = causes
        .iter()
        .filter(|cause| cause.reason == Reason::Required)
        .map(|cause| &cause.path)
        .collect::<Vec<_>>();
    found.retain(|violation| {
        let path = &violation.path;
        !missing
            .iter()
            .any(|missing| path != *missing && path.starts_with(missing))
    });
    let errors: Vec<FieldPath> = found
        .iter()
        .filter(|violation| violation.level == Level::Error)
        .map(|violation| violation.path.clone())
        .collect();
    let is_new = |cause: &Cause| !errors.iter().any(|error| says_the_same(error, cause));
    let added = causes.into_iter().filter(is_new).map(|cause| Violation {
        code: SCHEMA,
        level: Level::Error,
        path: cause.path,
        message: cause.message,
        hint: None,
    });
    found.extend(added);
}

/// A field that the kind does not have. It would be dropped silently, so a slip would change what the mesh does.
fn unknown(field: &Unknown) -> Violation {
    let name = match field.path.0.last() {
        Some(Segment::Key(name)) => name.to_string(),
        Some(Segment::Index(_)) | None => String::new(),
    };
    let known: Vec<&str> = field.known.iter().map(String::as_str).collect();
    Violation {
        code: SCHEMA,
        level: Level::Error,
        path: field.path.clone(),
        message: format!("there is no field {name:?}"),
        hint: nearest(&name, &known).map(|similar| format!("did you mean {similar:?}?")),
    }
}

/// Whether an error at a path already says what a cause does: it is about the same value, about one close inside, or about the
/// object that lacks a field.
fn says_the_same(error: &FieldPath, cause: &Cause) -> bool {
    let (error, path) = (&error.0, &cause.path.0);
    let inside = error.len().saturating_sub(path.len());
    let lacks = cause.reason == Reason::Required && path.len() == error.len() + 1;
    (error.starts_with(path) && inside <= NEAR) || (lacks && path.starts_with(error))
}

/// A schema, or why it is none.
type Compiled = Result<Schema, Vec<Cause>>;

/// The compiled schema of a kind, made once; none for kinds without a definition.
fn schema(row: &Row) -> Option<&'static Compiled> {
    static COMPILED: OnceLock<Vec<OnceLock<Compiled>>> = OnceLock::new();
    let definition = row.definition?;
    let compiled = COMPILED.get_or_init(|| rows().map(|_| OnceLock::new()).collect());
    let cell = compiled.get(row.kind as usize)?;
    Some(cell.get_or_init(|| {
        let schema = serde_json::to_value(definition.open_api_schema());
        Schema::compile(&schema.unwrap_or_default())
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_of_every_kind_can_be_compiled() {
        for row in rows().filter(|row| row.definition.is_some()) {
            let schema = schema(row).unwrap();
            assert!(schema.is_ok(), "{}: {schema:?}", row.name);
        }
    }

    #[test]
    fn the_same_is_said_once() {
        let path = FieldPath::parse;
        let about = |text: &str, reason| Cause {
            path: path(text),
            reason,
            message: String::new(),
        };
        let same =
            |error: &str, cause: &str| says_the_same(&path(error), &about(cause, Reason::Invalid));
        assert!(same("spec.a", "spec.a") && same("spec.a[1].b", "spec.a"));
        assert!(!same("spec.a", "spec.b") && !same("spec.a", "spec.a.b"));
        assert!(!same("spec.a[0].b.c", "spec.a"));
        assert!(says_the_same(
            &path("spec"),
            &about("spec.hosts", Reason::Required)
        ));
        assert!(!says_the_same(
            &path("spec"),
            &about("spec.a.b", Reason::Required)
        ));
    }
}
