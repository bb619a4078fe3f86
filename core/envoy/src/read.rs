//! Messages from JSON, as protobuf defines it: names of the proto file or in camel case, and durations with any unit, as Istio reads
//! them. Errors name the field.
//!
//! Two things that Istio lets pass are refused, since part of what was written would be lost: fields that are none of the message, and
//! two fields of which only one can be set.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use bytes::Bytes;
use prost::Message as _;
use serde_json::{Map, Number, Value};

use crate::descriptor::{Field, Kind, Message, Shape, TYPED_STRUCTS, enum_values};
use crate::duration;
use crate::show::wrapped;
use crate::wire::{self, Raw, RawField};
use crate::{type_name, type_url};

/// How deep messages may be nested.
const MAX_DEPTH: usize = 64;

/// Why JSON is no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.reason)]
pub struct InvalidMessage {
    /// Where in the JSON, from outside to inside; empty for the whole.
    pub path: Vec<Segment>,
    /// What is wrong, for users.
    pub reason: String,
}

/// A step into JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// A field of an object.
    Key(String),
    /// An item of a list.
    Index(usize),
}

type Result<T> = std::result::Result<T, InvalidMessage>;

/// The encoded message of a full name.
///
/// # Errors
/// The first field that is none of the message, or whose value is not of its type.
pub fn from_json(name: &str, value: &Value) -> Result<Bytes> {
    Reader { depth: 0 }.message(name, value)
}

/// An encoded `google.protobuf.Any`, of the type that `@type` names.
///
/// # Errors
/// As [`from_json`]; and when `@type` is missing, or names a message that is not in Envoy's API.
pub fn any_from_json(value: &Value) -> Result<Bytes> {
    Reader { depth: 0 }.any(value)
}

#[derive(Clone, Copy)]
struct Reader {
    depth: usize,
}

// === impl Reader ===

impl Reader {
    fn message(self, name: &str, value: &Value) -> Result<Bytes> {
        if self.depth > MAX_DEPTH {
            return Err(invalid("the message is nested too deeply"));
        }
        let inner = Self {
            depth: self.depth + 1,
        };
        match name {
            "google.protobuf.Any" => return inner.any(value),
            "google.protobuf.Duration" => return duration(value),
            "google.protobuf.Struct" => {
                return Ok(to_struct(object(value)?).encode_to_vec().into());
            }
            "google.protobuf.Value" => return Ok(to_value(value).encode_to_vec().into()),
            "google.protobuf.ListValue" => {
                let values = list(value)?.iter().map(to_value).collect();
                let list = prost_types::ListValue { values };
                return Ok(list.encode_to_vec().into());
            }
            "google.protobuf.Timestamp" => {
                let time: prost_types::Timestamp = text(value)?
                    .parse()
                    .map_err(|_| expected("a time such as 2026-01-31T09:00:00Z", value))?;
                return Ok(time.encode_to_vec().into());
            }
            _ => {}
        }
        let message = Message::find(name)
            .ok_or_else(|| invalid(format!("{name} is no message of Envoy's API")))?;
        if wrapped(name).is_some() {
            let field = message.number(1).ok_or_else(|| invalid("not a wrapper"))?;
            let mut fields = Vec::new();
            inner.put(field, value, &mut fields)?;
            return Ok(wire::message(&fields));
        }
        inner.object(message, object(value)?)
    }

    fn object(self, message: Message, object: &Map<String, Value>) -> Result<Bytes> {
        let mut fields: Vec<RawField> = Vec::new();
        let mut oneofs: Vec<(&str, &str)> = Vec::new();
        for (key, value) in object {
            let within = |invalid: InvalidMessage| invalid.within(Segment::Key(key.clone()));
            let field = message
                .field(key)
                .ok_or_else(|| within(unknown(message, key)))?;
            if value.is_null() && field.kind != Kind::Message("google.protobuf.Value") {
                continue;
            }
            if let Some(oneof) = field.oneof {
                if let Some((_, other)) = oneofs.iter().find(|(known, _)| *known == oneof) {
                    return Err(within(invalid(format!(
                        "{other} is set already, and only one of them can be"
                    ))));
                }
                oneofs.push((oneof, field.name));
            }
            if fields.iter().any(|(number, _)| *number == field.number) {
                return Err(within(invalid("the field is set twice")));
            }
            self.put(field, value, &mut fields).map_err(within)?;
        }
        fields.sort_by_key(|(number, _)| *number);
        Ok(wire::message(&fields))
    }

    fn put(self, field: Field, value: &Value, fields: &mut Vec<RawField>) -> Result<()> {
        let Field { number, kind, .. } = field;
        match field.shape {
            Shape::One => {
                let raw = self.value(kind, value)?;
                // A default says nothing, but for a member of a oneof, which it chooses.
                let says_nothing =
                    field.oneof.is_none() && !matches!(kind, Kind::Message(_)) && raw.is_default();
                if !says_nothing {
                    fields.push((number, raw));
                }
            }
            Shape::List => {
                for (index, value) in list(value)?.iter().enumerate() {
                    let raw = self
                        .value(kind, value)
                        .map_err(|invalid| invalid.within(Segment::Index(index)))?;
                    fields.push((number, raw));
                }
            }
            Shape::Map(keys) => {
                for (key, value) in object(value)? {
                    let within =
                        |invalid: InvalidMessage| invalid.within(Segment::Key(key.clone()));
                    let name = match keys {
                        Kind::Text => Raw::Bytes(key.as_bytes().to_vec().into()),
                        kind => self.value(kind, &key.as_str().into()).map_err(within)?,
                    };
                    let value = self.value(kind, value).map_err(within)?;
                    let entry = wire::message(&[(1, name), (2, value)]);
                    fields.push((number, Raw::Bytes(entry)));
                }
            }
        }
        Ok(())
    }

    fn value(self, kind: Kind, value: &Value) -> Result<Raw> {
        Ok(match kind {
            Kind::Text => Raw::Bytes(text(value)?.as_bytes().to_vec().into()),
            Kind::Bytes => {
                let encoded = text(value)?;
                let bytes = STANDARD
                    .decode(encoded)
                    .or_else(|_| URL_SAFE.decode(encoded));
                Raw::Bytes(
                    bytes
                        .map_err(|_| expected("bytes in base64", value))?
                        .into(),
                )
            }
            Kind::Bool => match value {
                Value::Bool(value) => Raw::Number((*value).into()),
                _ => return Err(expected("true or false", value)),
            },
            Kind::Uint32 => Raw::Number(integer(value, 0, u32::MAX.into())? as u64),
            Kind::Uint64 => Raw::Number(integer(value, 0, u64::MAX.into())? as u64),
            Kind::Fixed64 => Raw::Fixed64(integer(value, 0, u64::MAX.into())? as u64),
            Kind::Int32 => Raw::Number(integer(value, i32::MIN.into(), i32::MAX.into())? as u64),
            Kind::Int64 => Raw::Number(integer(value, i64::MIN.into(), i64::MAX.into())? as u64),
            Kind::Float => Raw::Fixed32((float(value)? as f32).to_bits()),
            Kind::Double => Raw::Fixed64(float(value)?.to_bits()),
            Kind::Enum(name) => Raw::Number(enumeration(name, value)? as u64),
            Kind::Message(name) => Raw::Bytes(self.message(name, value)?),
        })
    }

    /// A message of the type that `@type` names. What is written as a free object with a type becomes a message of that type where the
    /// type is known, so that its fields are checked; Envoy takes both for the same.
    fn any(self, value: &Value) -> Result<Bytes> {
        let given = object(value)?;
        let Some(url) = given.get("@type") else {
            return Err(invalid(
                "@type is missing, which says what the configuration is",
            ));
        };
        let key = |invalid: InvalidMessage| invalid.within(Segment::Key("@type".to_owned()));
        let url = text(url).map_err(key)?;
        let name = type_name(url);
        let mut rest = given.clone();
        rest.remove("@type");
        if TYPED_STRUCTS.contains(&name)
            && let Some(packed) = self.typed_struct(&rest)?
        {
            return Ok(packed);
        }
        if Message::find(name).is_none() {
            return Err(key(invalid(format!("{name} is no message of Envoy's API"))));
        }
        let has_own_form = wrapped(name).is_some()
            || matches!(
                name,
                "google.protobuf.Duration"
                    | "google.protobuf.Struct"
                    | "google.protobuf.Value"
                    | "google.protobuf.ListValue"
                    | "google.protobuf.Timestamp"
                    | "google.protobuf.Any"
            );
        let message = if has_own_form {
            let value = rest.get("value").unwrap_or(&Value::Null);
            let within = |invalid: InvalidMessage| invalid.within(Segment::Key("value".to_owned()));
            self.message(name, value).map_err(within)?
        } else {
            self.message(name, &Value::Object(rest))?
        };
        Ok(wire::pack(&type_url(name), message))
    }

    /// The message that a `TypedStruct` stands for; none if its type is not in Envoy's API.
    fn typed_struct(self, fields: &Map<String, Value>) -> Result<Option<Bytes>> {
        let url = fields.get("type_url").or_else(|| fields.get("typeUrl"));
        let Some(name) = url.and_then(Value::as_str).map(type_name) else {
            return Err(invalid(
                "type_url is missing, which says what the configuration is",
            ));
        };
        if Message::find(name).is_none() {
            return Ok(None);
        }
        let empty = Value::Object(Map::new());
        let value = fields.get("value").unwrap_or(&empty);
        let within = |mut invalid: InvalidMessage| {
            invalid.reason.push_str(" in a TypedStruct of ");
            invalid.reason.push_str(name);
            invalid.within(Segment::Key("value".to_owned()))
        };
        let message = self.message(name, value).map_err(within)?;
        Ok(Some(wire::pack(&type_url(name), message)))
    }
}

fn duration(value: &Value) -> Result<Bytes> {
    let duration = duration::parse(text(value)?)
        .ok_or_else(|| expected("a duration such as 1.5s or 500ms", value))?;
    Ok(duration.encode_to_vec().into())
}

fn to_struct(object: &Map<String, Value>) -> prost_types::Struct {
    let fields = object.iter();
    prost_types::Struct {
        fields: fields
            .map(|(key, value)| (key.clone(), to_value(value)))
            .collect(),
    }
}

fn to_value(value: &Value) -> prost_types::Value {
    use prost_types::value::Kind;
    prost_types::Value {
        kind: Some(match value {
            Value::Null => Kind::NullValue(0),
            Value::Bool(value) => Kind::BoolValue(*value),
            Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
            Value::String(text) => Kind::StringValue(text.clone()),
            Value::Array(values) => Kind::ListValue(prost_types::ListValue {
                values: values.iter().map(to_value).collect(),
            }),
            Value::Object(object) => Kind::StructValue(to_struct(object)),
        }),
    }
}

fn enumeration(name: &str, value: &Value) -> Result<i32> {
    let known = match value {
        Value::String(text) => enum_values(name).find(|(_, known)| known == text),
        // Enumerations are open: a later version may have a name for the number.
        Value::Number(_) => {
            let range = (i32::MIN.into(), i32::MAX.into());
            return integer(value, range.0, range.1).map(|number| number as i32);
        }
        _ => None,
    };
    known.map(|(number, _)| number).ok_or_else(|| {
        let names: Vec<&str> = enum_values(name).map(|(_, name)| name).collect();
        expected(&["one of ", &names.join(", ")].concat(), value)
    })
}

/// A whole number; protobuf also takes one in quotes.
fn integer(value: &Value, least: i128, most: i128) -> Result<i128> {
    let number = unquoted(value).and_then(|number| {
        let whole = number
            .as_f64()
            .filter(|float| float.fract() == 0.0 && float.abs() < 9e15);
        (number.as_u64().map(i128::from))
            .or_else(|| number.as_i64().map(i128::from))
            .or_else(|| whole.map(|whole| whole as i128))
    });
    number
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| expected(&format!("a whole number from {least} to {most}"), value))
}

fn float(value: &Value) -> Result<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            "NaN" => Some(f64::NAN),
            _ => unquoted(value).and_then(|number| number.as_f64()),
        },
        _ => None,
    };
    number.ok_or_else(|| expected("a number", value))
}

/// A number of JSON, which may be in quotes.
fn unquoted(value: &Value) -> Option<Number> {
    match value {
        Value::Number(number) => Some(number.clone()),
        Value::String(text) => serde_json::from_str(text).ok(),
        _ => None,
    }
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().ok_or_else(|| expected("a text", value))
}

fn list(value: &Value) -> Result<&Vec<Value>> {
    value.as_array().ok_or_else(|| expected("a list", value))
}

fn object(value: &Value) -> Result<&Map<String, Value>> {
    value
        .as_object()
        .ok_or_else(|| expected("an object", value))
}

fn invalid(reason: impl Into<String>) -> InvalidMessage {
    InvalidMessage {
        path: Vec::new(),
        reason: reason.into(),
    }
}

fn expected(what: &str, value: &Value) -> InvalidMessage {
    invalid(match value {
        Value::Null => format!("expected {what}, not null"),
        Value::Bool(value) => format!("expected {what}, not {value}"),
        Value::Number(number) => format!("expected {what}, not {number}"),
        Value::String(text) => format!("expected {what}, not {text:?}"),
        Value::Array(_) => format!("expected {what}, not a list"),
        Value::Object(_) => format!("expected {what}, not an object"),
    })
}

fn unknown(message: Message, key: &str) -> InvalidMessage {
    invalid(format!("{} has no field {key}", message.name))
}

// === impl Raw ===

impl Raw {
    fn is_default(&self) -> bool {
        match self {
            Self::Number(number) | Self::Fixed64(number) => *number == 0,
            Self::Fixed32(number) => *number == 0,
            Self::Bytes(bytes) => bytes.is_empty(),
        }
    }
}

// === impl InvalidMessage ===

impl InvalidMessage {
    fn within(mut self, segment: Segment) -> Self {
        self.path.insert(0, segment);
        self
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write!(f, ".{key}"),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}
