//! Shapes: how values of a kind are put together, and which fields it has.
//!
//! Two questions are asked of a shape while walking through an object: is this joined field by field or replaced as a
//! whole (merging, ownership), and what distinguishes the elements of this list. Built-in kinds answer by the table in
//! [`builtin`], custom resources by their schema, and what has no schema by the looks of the value.

mod builtin;
mod typed;

use serde_json::Value;

use super::kinds::Served;
use super::status::Status;

/// The shape of a place in an object.
#[derive(Clone, Copy, Debug)]
pub enum Shape<'a> {
    /// Of a built-in kind: the names of the field above and of this one.
    Builtin { parent: &'a str, field: &'a str },
    /// The root of a custom resource, whose metadata has the shape of all metadata.
    Custom(&'a Value),
    /// By a structural schema.
    Schema(&'a Value),
    /// Without a schema.
    Free,
}

/// How two values of one place become one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Join<'a> {
    /// As a whole.
    Atomic,
    /// Field by field.
    Fields,
    /// Elements are different when their values are.
    Set,
    /// Elements are the same when these fields are.
    Keyed(Vec<&'a str>),
}

/// The shape of a kind's objects, as stored.
pub fn root(served: &Served) -> Shape<'_> {
    if served.kind.is_custom() {
        return match served.custom() {
            Some(custom) => Shape::Custom(&custom.schema),
            None => Shape::Free,
        };
    }
    Shape::Builtin {
        parent: "",
        field: "",
    }
}

/// The object without fields that its kind does not have, and the paths of those.
pub fn known(served: &Served, object: Value) -> Result<(Value, Vec<String>), Status> {
    match served.custom() {
        Some(custom) => Ok(custom.prune(object)),
        None => typed::known(served, object),
    }
}

// === impl Shape ===

impl<'a> Shape<'a> {
    /// The shape of a field.
    pub fn field<'b>(self, name: &'b str) -> Shape<'b>
    where
        'a: 'b,
    {
        match self {
            Self::Builtin { field, .. } => Shape::Builtin {
                parent: field,
                field: name,
            },
            Self::Custom(_) if name == "metadata" => Shape::Builtin {
                parent: "",
                field: "metadata",
            },
            Self::Custom(schema) | Self::Schema(schema) => {
                let property = &schema["properties"][name];
                let rest = &schema["additionalProperties"];
                if property.is_object() {
                    Shape::Schema(property)
                } else if rest.is_object() {
                    Shape::Schema(rest)
                } else {
                    Shape::Free
                }
            }
            Self::Free => Shape::Free,
        }
    }

    /// The shape of the elements of a list.
    pub fn element(self) -> Self {
        match self {
            Self::Schema(schema) if schema["items"].is_object() => Self::Schema(&schema["items"]),
            Self::Builtin { .. } => self,
            _ => Self::Free,
        }
    }

    /// How two values become one, of which this is either.
    pub fn join(self, value: &Value) -> Join<'a> {
        match (value, self) {
            (Value::Object(_), Self::Builtin { parent, field }) => {
                builtin::join_object(parent, field)
            }
            (Value::Object(_), Self::Schema(schema)) => match text(schema, "x-kubernetes-map-type")
            {
                "atomic" => Join::Atomic,
                _ => Join::Fields,
            },
            (Value::Object(_), _) => Join::Fields,
            (Value::Array(_), Self::Builtin { parent, field }) => builtin::join_list(parent, field),
            (Value::Array(_), Self::Schema(schema)) => join_list(schema),
            _ => Join::Atomic,
        }
    }

    /// How a strategic merge patch joins a list: by one key, or by value.
    pub fn patch_join(self) -> Join<'static> {
        match self {
            Self::Builtin { parent, field } => builtin::patch_join(parent, field),
            _ => Join::Atomic,
        }
    }

    /// The value that a key field of an element has when none is given.
    pub fn key_default(self, key: &str) -> Value {
        match self {
            Self::Builtin { .. } if key == "protocol" => Value::from("TCP"),
            Self::Schema(schema) => schema["items"]["properties"][key]["default"].clone(),
            _ => Value::Null,
        }
    }
}

fn join_list(schema: &Value) -> Join<'_> {
    match text(schema, "x-kubernetes-list-type") {
        "set" => Join::Set,
        "map" => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array();
            Join::Keyed(
                keys.into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .collect(),
            )
        }
        _ => Join::Atomic,
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}
