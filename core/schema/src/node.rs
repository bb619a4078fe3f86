//! The compiled form of a schema.

use std::collections::BTreeMap;
use std::sync::Arc;

use regex::Regex;
use serde_json::{Number, Value};

use super::cel::Rule;
use super::format::Format;

/// A schema and what is inside.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// `type`; none where any is allowed.
    pub(super) kind: Option<Type>,
    pub(super) nullable: bool,
    /// `x-kubernetes-int-or-string`.
    pub(super) int_or_string: bool,
    /// `x-kubernetes-preserve-unknown-fields`.
    pub(super) preserve: bool,
    /// `x-kubernetes-embedded-resource`.
    pub(super) embedded: bool,
    pub(super) default: Option<Value>,
    pub(super) constraints: Vec<Constraint>,
    pub(super) required: Vec<Arc<str>>,
    pub(super) properties: BTreeMap<Arc<str>, Node>,
    /// `additionalProperties`.
    pub(super) rest: Rest,
    pub(super) items: Option<Box<Node>>,
    pub(super) list: ListType,
    pub(super) all_of: Vec<Node>,
    pub(super) any_of: Vec<Node>,
    pub(super) one_of: Vec<Node>,
    pub(super) not: Option<Box<Node>>,
    /// `x-kubernetes-validations`.
    pub(super) rules: Vec<Rule>,
    /// Whether this node or one below has rules.
    pub(super) rules_inside: bool,
}

/// A JSON type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

/// What fields without a property of their own are.
#[derive(Debug, Default)]
pub(super) enum Rest {
    /// Unknown.
    #[default]
    None,
    /// Anything.
    Any,
    /// Values of a map.
    Values(Box<Node>),
}

/// `x-kubernetes-list-type`, with the keys of a map.
#[derive(Debug, Default)]
pub(super) enum ListType {
    #[default]
    Atomic,
    Set,
    Map(Vec<Arc<str>>),
}

/// A check of one value.
#[derive(Debug)]
pub(super) enum Constraint {
    Enum(Vec<Value>),
    Minimum { bound: Number, exclusive: bool },
    Maximum { bound: Number, exclusive: bool },
    MultipleOf(Number),
    MinLength(u64),
    MaxLength(u64),
    Pattern { source: Arc<str>, regex: Regex },
    Format(Format),
    MinItems(u64),
    MaxItems(u64),
    MinProperties(u64),
    MaxProperties(u64),
}

// === impl Type ===

impl Type {
    const ALL: [Self; 6] = [
        Self::Object,
        Self::Array,
        Self::String,
        Self::Integer,
        Self::Number,
        Self::Boolean,
    ];

    /// As schemas and messages write it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The type of a value; none for null.
    pub(super) fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Null => return None,
            Value::Bool(_) => Self::Boolean,
            Value::Number(number) if number.is_f64() => Self::Number,
            Value::Number(_) => Self::Integer,
            Value::String(_) => Self::String,
            Value::Array(_) => Self::Array,
            Value::Object(_) => Self::Object,
        })
    }
}

// === impl Node ===

impl Node {
    /// The schema of a field, of its own or of all others; none for fields that have none.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        match (self.properties.get(name), &self.rest) {
            (Some(property), _) => Some(property),
            (None, Rest::Values(values)) => Some(values),
            (None, _) => None,
        }
    }

    /// Whether fields without a schema are kept.
    pub(super) fn keeps_unknown(&self) -> bool {
        self.preserve || matches!(self.rest, Rest::Any)
    }

    /// Whether this schema or one inside has CEL rules.
    pub(super) fn has_rules(&self) -> bool {
        self.rules_inside
    }
}
