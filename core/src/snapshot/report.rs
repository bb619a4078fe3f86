//! Findings of building a snapshot and of translation.

use crate::diag::{Diagnostic, FieldPath, Level, NO_EFFECT, UNSUPPORTED};
use crate::resource::Resource;

/// Our code for objects that lose against others.
pub(crate) const CONFLICT: &str = "MESH0002";

/// A field that has no effect in this version.
pub(crate) fn no_effect(resource: &Resource, path: FieldPath) -> Diagnostic {
    let message = format!("field {path} is not supported yet and has no effect");
    finding(NO_EFFECT, Level::Warning, resource, path, message)
}

/// A field that does less in this version than it asks for.
pub(crate) fn partial_effect(
    resource: &Resource,
    path: FieldPath,
    message: impl Into<String>,
) -> Diagnostic {
    finding(NO_EFFECT, Level::Warning, resource, path, message.into())
}

/// A part of an object that is valid and left out, since doing something else in its place would be wrong.
pub(crate) fn unsupported(
    resource: &Resource,
    path: FieldPath,
    message: impl Into<String>,
) -> Diagnostic {
    finding(UNSUPPORTED, Level::Error, resource, path, message.into())
}

/// A part of an object that another object takes the place of.
pub(crate) fn conflict(
    resource: &Resource,
    path: FieldPath,
    message: impl Into<String>,
) -> Diagnostic {
    finding(CONFLICT, Level::Warning, resource, path, message.into())
}

fn finding(
    code: &'static str,
    level: Level,
    resource: &Resource,
    path: FieldPath,
    message: String,
) -> Diagnostic {
    Diagnostic {
        code,
        level,
        resource: Some(resource.key.clone()),
        origin: resource.origin.clone(),
        path,
        message,
        hint: None,
    }
}
