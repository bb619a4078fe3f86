//! Objects of Istio's first API versions by themselves: what is wrong in them. What they mean together is [`crate::convert`]'s.

use std::sync::Arc;

use serde_json::Value;

use super::Object;
use super::compile::Compiled;
use crate::convert::{self, Legacy, Surroundings, legacy_kind};
use crate::diag::{Level, SCHEMA};
use crate::validate::Violation;

/// Compiles an object of an old kind.
pub(super) fn compile(value: &Value) -> Compiled {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let kind = legacy_kind(text("apiVersion"), text("kind"));
    let notes = kind.map(|kind| {
        let alone = Legacy {
            kind,
            namespace: "default".into(),
            value: Arc::new(value.clone()),
        };
        convert::convert(&[alone], &Surroundings::default()).1
    });
    // What is only lost, or depends on other objects, is told where all of them are known.
    let wrong = notes
        .into_iter()
        .flatten()
        .filter(|note| note.level == Level::Error);
    let violations: Vec<Violation> = wrong
        .map(|note| Violation {
            code: SCHEMA,
            level: Level::Error,
            path: note.path,
            message: note.message,
            hint: None,
        })
        .collect();
    Compiled {
        object: Some(Object::Untyped),
        malformed: !violations.is_empty(),
        violations,
    }
}
