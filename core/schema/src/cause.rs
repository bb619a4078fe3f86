//! What is wrong with a field, in the words of an API server.

use std::fmt::Write as _;

use serde_json::Value;

use crate::FieldPath;

/// Longest value that a message repeats, in bytes.
const LONGEST_VALUE: usize = 256;

/// One thing that is wrong with an object, as in `details.causes` of a `Status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The field.
    pub path: FieldPath,
    /// Its class.
    pub reason: Reason,
    /// A sentence that begins with the class: `Invalid value: ...`.
    pub message: String,
}

/// Classes of causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are Kubernetes' own names")]
pub enum Reason {
    Invalid,
    TypeInvalid,
    Required,
    Forbidden,
    Duplicate,
    NotSupported,
    TooLong,
    TooMany,
}

// === impl Reason ===

impl Reason {
    /// `FieldValueInvalid`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Invalid => "FieldValueInvalid",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::Required => "FieldValueRequired",
            Self::Forbidden => "FieldValueForbidden",
            Self::Duplicate => "FieldValueDuplicate",
            Self::NotSupported => "FieldValueNotSupported",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
        }
    }
}

// === impl Cause ===

impl Cause {
    pub(super) fn new(path: FieldPath, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            path,
            reason,
            message: message.into(),
        }
    }

    /// A value that does not do.
    pub(super) fn invalid(path: FieldPath, value: &Value, why: &str) -> Self {
        let message = format!("Invalid value: {}: {why}", shown(value));
        Self::new(path, Reason::Invalid, message)
    }

    /// A value of the wrong type or format.
    pub(super) fn wrong_type(path: FieldPath, value: &Value, why: &str) -> Self {
        let message = format!("Invalid value: {}: {why}", shown(value));
        Self::new(path, Reason::TypeInvalid, message)
    }

    /// A field that must be there.
    pub(super) fn required(path: FieldPath, why: &str) -> Self {
        let message = match why {
            "" => "Required value".to_owned(),
            why => format!("Required value: {why}"),
        };
        Self::new(path, Reason::Required, message)
    }

    /// Something that is not allowed there.
    pub(super) fn forbidden(path: FieldPath, why: &str) -> Self {
        Self::new(path, Reason::Forbidden, format!("Forbidden: {why}"))
    }

    /// One of two values that must differ.
    pub(super) fn duplicate(path: FieldPath, value: &Value) -> Self {
        let message = format!("Duplicate value: {value}");
        Self::new(path, Reason::Duplicate, message)
    }

    /// A value that is none of the possible ones.
    pub(super) fn unsupported(path: FieldPath, value: &Value, known: &[Value]) -> Self {
        let known: Vec<String> = known.iter().map(Value::to_string).collect();
        let message = format!(
            "Unsupported value: {}: supported values: {}",
            shown(value),
            known.join(", ")
        );
        Self::new(path, Reason::NotSupported, message)
    }

    /// True for causes after which CEL rules are not evaluated, since they may count on what is wrong.
    pub(super) fn blocks_rules(&self) -> bool {
        !matches!(self.reason, Reason::Invalid | Reason::Forbidden)
    }
}

/// A value as messages show it: JSON, of objects and lists only what they are.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Object(_) => "\"object\"".to_owned(),
        Value::Array(_) => "\"array\"".to_owned(),
        value => {
            let mut text = value.to_string();
            if text.len() > LONGEST_VALUE {
                let end = (0..=LONGEST_VALUE)
                    .rev()
                    .find(|end| text.is_char_boundary(*end));
                text.truncate(end.unwrap_or(0));
                let _ = write!(text, "...\"");
            }
            text
        }
    }
}
