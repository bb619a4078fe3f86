//! Encoded messages as Envoy's JSON: what `/config_dump` of a proxy shows.
//!
//! JSON is written from the very bytes that went over the wire, so it shows what was sent and not what somebody meant. Field names
//! are those of the proto files. Secrets are not shown.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use prost::Message as _;
use serde_json::{Map, Value};

use crate::descriptor::{Field, Kind, Message, Shape, enum_values};
use crate::type_name;
use crate::wire::{self, Raw};

/// How deep messages may be nested.
const MAX_DEPTH: usize = 64;

/// What Envoy shows in place of secrets.
const REDACTED: &str = "W3JlZGFjdGVkXQ==";

/// Why bytes cannot be shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The bytes are no protobuf message.
    #[error("{message} is malformed: {reason}")]
    Malformed {
        /// Its name.
        message: String,
        /// What is wrong.
        reason: String,
    },
    /// The message is none of Envoy's API.
    #[error("{0} is no message that this version can show")]
    Message(String),
    /// The field is none of the message.
    #[error("field {number} of {message} is none that this version can show")]
    Field {
        /// The message.
        message: String,
        /// The field.
        number: u32,
    },
}

/// The JSON of an encoded `google.protobuf.Any`.
///
/// # Errors
/// When the bytes are malformed, or hold something that is not in Envoy's API.
pub fn any_to_json(any: &[u8]) -> Result<Value, Unreadable> {
    Reader { depth: 0 }.any(Bytes::copy_from_slice(any))
}

/// Where in the nesting we are.
#[derive(Clone, Copy)]
struct Reader {
    depth: usize,
}

// === impl Reader ===

impl Reader {
    fn any(self, bytes: Bytes) -> Result<Value, Unreadable> {
        let (url, value) =
            wire::any(bytes).map_err(|reason| malformed("google.protobuf.Any", &reason))?;
        let mut object = Map::new();
        object.insert("@type".to_owned(), url.as_str().into());
        let name = type_name(&url);
        match well_known(name, value.clone()) {
            Some(shown) => {
                object.insert("value".to_owned(), shown?);
            }
            None => self.message(name, value, &mut object)?,
        }
        Ok(Value::Object(object))
    }

    fn nested(self, name: &str, bytes: Bytes) -> Result<Value, Unreadable> {
        if name == "google.protobuf.Any" {
            return self.any(bytes);
        }
        if let Some(shown) = well_known(name, bytes.clone()) {
            return shown;
        }
        let mut object = Map::new();
        self.message(name, bytes, &mut object)?;
        if let Some(kind) = wrapped(name) {
            // A wrapper without value holds the default, which is the point of wrappers.
            return Ok(object.remove("value").unwrap_or(kind));
        }
        Ok(Value::Object(object))
    }

    fn message(
        self,
        name: &str,
        bytes: Bytes,
        object: &mut Map<String, Value>,
    ) -> Result<(), Unreadable> {
        if self.depth > MAX_DEPTH {
            return Err(malformed(name, &"it is nested too deeply"));
        }
        let inner = Self {
            depth: self.depth + 1,
        };
        let message = Message::find(name).ok_or_else(|| Unreadable::Message(name.to_owned()))?;
        for (number, raw) in wire::fields(bytes).map_err(|reason| malformed(name, &reason))? {
            let field = message.number(number).ok_or_else(|| Unreadable::Field {
                message: name.to_owned(),
                number,
            })?;
            inner.put(name, object, field, raw)?;
        }
        Ok(())
    }

    /// Puts a field into an object; lists and maps grow.
    fn put(
        self,
        message: &str,
        object: &mut Map<String, Value>,
        field: Field,
        raw: Raw,
    ) -> Result<(), Unreadable> {
        let fail = |reason: String| malformed(message, &reason);
        let Field {
            name, shape, kind, ..
        } = field;
        if field.sensitive {
            object.insert(name.to_owned(), redacted(kind));
            return Ok(());
        }
        match shape {
            Shape::List => {
                let list = object.entry(name).or_insert_with(|| Value::Array(vec![]));
                let Value::Array(list) = list else {
                    return Ok(());
                };
                for raw in raw.unpack(kind.is_varint()).map_err(fail)? {
                    list.push(self.value(message, kind, raw)?);
                }
            }
            Shape::Map(_) => {
                let map = object
                    .entry(name)
                    .or_insert_with(|| Value::Object(Map::new()));
                let Value::Object(map) = map else {
                    return Ok(());
                };
                let (mut key, mut value) = (String::new(), Value::Null);
                for (number, raw) in wire::fields(raw.bytes().map_err(fail)?).map_err(fail)? {
                    match (number, raw) {
                        (1, Raw::Number(number)) => key = number.to_string(),
                        (1, raw) => key = raw.text().map_err(fail)?,
                        (_, raw) => value = self.value(message, kind, raw)?,
                    }
                }
                map.insert(key, value);
            }
            Shape::One => {
                let value = self.value(message, kind, raw)?;
                object.insert(name.to_owned(), value);
            }
        }
        Ok(())
    }

    fn value(self, message: &str, kind: Kind, raw: Raw) -> Result<Value, Unreadable> {
        let fail = |reason: String| malformed(message, &reason);
        Ok(match kind {
            Kind::Text => raw.text().map_err(fail)?.into(),
            Kind::Bytes => STANDARD.encode(raw.bytes().map_err(fail)?).into(),
            Kind::Bool => (raw.number().map_err(fail)? != 0).into(),
            Kind::Uint32 => raw.number().map_err(fail)?.into(),
            Kind::Int32 => (raw.number().map_err(fail)? as i32).into(),
            // 64 bits are more than the numbers of JSON hold.
            Kind::Uint64 | Kind::Fixed64 => raw.number().map_err(fail)?.to_string().into(),
            Kind::Int64 => (raw.number().map_err(fail)? as i64).to_string().into(),
            Kind::Float => {
                let bits = raw.number().map_err(fail)?;
                number_json(f64::from(f32::from_bits(bits as u32)))
            }
            Kind::Double => number_json(f64::from_bits(raw.number().map_err(fail)?)),
            Kind::Enum(name) => {
                let number = raw.number().map_err(fail)? as i32;
                let known = enum_values(name).find(|(value, _)| *value == number);
                known.map_or_else(|| number.into(), |(_, name)| name.into())
            }
            Kind::Message(name) => self.nested(name, raw.bytes().map_err(fail)?)?,
        })
    }
}

/// The JSON of messages that have a form of their own; none of the others.
fn well_known(name: &str, bytes: Bytes) -> Option<Result<Value, Unreadable>> {
    let fail = |error: prost::DecodeError| malformed(name, &error);
    Some(match name {
        "google.protobuf.Duration" => prost_types::Duration::decode(bytes)
            .map(|duration| duration_text(&duration).into())
            .map_err(fail),
        "google.protobuf.Timestamp" => prost_types::Timestamp::decode(bytes)
            .map(|time| time.to_string().into())
            .map_err(fail),
        "google.protobuf.Struct" => prost_types::Struct::decode(bytes)
            .map(struct_json)
            .map_err(fail),
        "google.protobuf.Value" => prost_types::Value::decode(bytes)
            .map(value_json)
            .map_err(fail),
        "google.protobuf.ListValue" => prost_types::ListValue::decode(bytes)
            .map(|list| list.values.into_iter().map(value_json).collect())
            .map_err(fail),
        _ => return None,
    })
}

/// The default of a wrapper's value; none if the message is no wrapper.
pub(crate) fn wrapped(name: &str) -> Option<Value> {
    Some(match name {
        "google.protobuf.BoolValue" => false.into(),
        "google.protobuf.UInt32Value"
        | "google.protobuf.Int32Value"
        | "google.protobuf.FloatValue"
        | "google.protobuf.DoubleValue" => 0.into(),
        "google.protobuf.UInt64Value" | "google.protobuf.Int64Value" => "0".into(),
        "google.protobuf.StringValue" | "google.protobuf.BytesValue" => "".into(),
        _ => return None,
    })
}

fn redacted(kind: Kind) -> Value {
    match kind {
        Kind::Message(_) => {
            let shown = ("inline_bytes".to_owned(), REDACTED.into());
            Value::Object(Map::from_iter([shown]))
        }
        _ => REDACTED.into(),
    }
}

fn malformed(message: &str, reason: &dyn std::fmt::Display) -> Unreadable {
    Unreadable::Malformed {
        message: message.to_owned(),
        reason: reason.to_string(),
    }
}

// === impl Kind ===

impl Kind {
    /// Whether lists of it are packed varints.
    pub(crate) fn is_varint(self) -> bool {
        matches!(
            self,
            Self::Bool | Self::Uint32 | Self::Uint64 | Self::Int32 | Self::Int64 | Self::Enum(_)
        )
    }
}

/// A duration as protobuf's JSON writes it: seconds with as many digits as are needed, by threes.
pub(crate) fn duration_text(duration: &prost_types::Duration) -> String {
    let prost_types::Duration { seconds, nanos } = duration;
    let sign = if *seconds < 0 || *nanos < 0 { "-" } else { "" };
    let (seconds, nanos) = (seconds.unsigned_abs(), nanos.unsigned_abs());
    if nanos == 0 {
        return format!("{sign}{seconds}s");
    }
    let digits = format!("{nanos:09}");
    let short = digits.strip_suffix("000000").or(digits.strip_suffix("000"));
    format!("{sign}{seconds}.{}s", short.unwrap_or(&digits))
}

/// A free-form object of a message, such as the metadata of a node.
pub fn struct_json(value: prost_types::Struct) -> Value {
    // Protobuf keeps no order, and the fields are sorted here.
    let fields = value.fields.into_iter();
    Value::Object(
        fields
            .map(|(key, value)| (key, value_json(value)))
            .collect(),
    )
}

fn value_json(value: prost_types::Value) -> Value {
    use prost_types::value::Kind;
    match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(value)) => value.into(),
        Some(Kind::NumberValue(value)) => number_json(value),
        Some(Kind::StringValue(text)) => text.into(),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(value_json).collect(),
        Some(Kind::StructValue(value)) => struct_json(value),
    }
}

/// Whole numbers are written as such.
fn number_json(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 9e15 {
        (value as i64).into()
    } else {
        value.into()
    }
}
