//! Encoded resources as Envoy's JSON: what `/config_dump` of a proxy shows.
//!
//! ```text
//! encoded Any --wire format, schema--> {"@type": "type.googleapis.com/envoy...", "name": ...}
//! ```
//!
//! JSON is written from the very bytes that went over the wire, so it shows what was sent and not what somebody meant. Field names
//! are those of the proto files. Private keys are not shown.

mod schema;

use bytes::{Buf, Bytes};
use prost::Message as _;
use prost::encoding::{WireType, decode_key, decode_varint};
use serde_json::{Map, Value};

use crate::discovery::Any;
use schema::{Field, Kind};

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
    /// The message is none that resources consist of.
    #[error("{0} is no message that this version can show")]
    Message(String),
    /// The field is none that resources are written with.
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
/// When the bytes are malformed, or hold something that our own resources are not written with.
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
        let Any { type_url, value } =
            Any::decode(bytes).map_err(|error| malformed("google.protobuf.Any", &error))?;
        let name = type_url.rsplit('/').next().unwrap_or_default();
        let mut object = Map::new();
        object.insert("@type".to_owned(), type_url.as_str().into());
        self.message(name, value, &mut object)?;
        Ok(Value::Object(object))
    }

    fn nested(self, name: &str, bytes: Bytes) -> Result<Value, Unreadable> {
        let mut object = Map::new();
        self.message(name, bytes, &mut object)?;
        Ok(Value::Object(object))
    }

    fn message(
        self,
        name: &str,
        mut bytes: Bytes,
        object: &mut Map<String, Value>,
    ) -> Result<(), Unreadable> {
        if self.depth > MAX_DEPTH {
            return Err(malformed(name, &"it is nested too deeply"));
        }
        let inner = Self {
            depth: self.depth + 1,
        };
        let fields = schema::fields(name).ok_or_else(|| Unreadable::Message(name.to_owned()))?;
        while bytes.has_remaining() {
            let (number, wire) = decode_key(&mut bytes).map_err(|error| malformed(name, &error))?;
            let (_, field, kind) = find(fields, number).ok_or_else(|| Unreadable::Field {
                message: name.to_owned(),
                number,
            })?;
            let raw = Raw::read(wire, &mut bytes).map_err(|reason| malformed(name, &reason))?;
            inner.put(name, object, field, *kind, raw)?;
        }
        Ok(())
    }

    /// Puts a field into an object; repeated fields and maps grow.
    fn put(
        self,
        message: &str,
        object: &mut Map<String, Value>,
        field: &str,
        kind: Kind,
        raw: Raw,
    ) -> Result<(), Unreadable> {
        match kind {
            Kind::Repeated(kind) => {
                let list = object.entry(field).or_insert_with(|| Value::Array(vec![]));
                let Value::Array(list) = list else {
                    return Ok(());
                };
                for raw in raw
                    .unpack(*kind)
                    .map_err(|reason| malformed(message, &reason))?
                {
                    list.push(self.value(message, *kind, raw)?);
                }
            }
            Kind::Map(kind) => {
                let map = object
                    .entry(field)
                    .or_insert_with(|| Value::Object(Map::new()));
                let Value::Object(map) = map else {
                    return Ok(());
                };
                let (key, value) = self.entry(message, *kind, raw)?;
                map.insert(key, value);
            }
            kind => {
                let value = self.value(message, kind, raw)?;
                object.insert(field.to_owned(), value);
            }
        }
        Ok(())
    }

    /// A map's entry: a message with key and value.
    fn entry(self, message: &str, kind: Kind, raw: Raw) -> Result<(String, Value), Unreadable> {
        let mut bytes = raw.bytes().map_err(|reason| malformed(message, &reason))?;
        let (mut key, mut value) = (String::new(), Value::Null);
        while bytes.has_remaining() {
            let (number, wire) =
                decode_key(&mut bytes).map_err(|error| malformed(message, &error))?;
            let raw = Raw::read(wire, &mut bytes).map_err(|reason| malformed(message, &reason))?;
            match number {
                1 => key = raw.text().map_err(|reason| malformed(message, &reason))?,
                _ => value = self.value(message, kind, raw)?,
            }
        }
        Ok((key, value))
    }

    fn value(self, message: &str, kind: Kind, raw: Raw) -> Result<Value, Unreadable> {
        let fail = |reason: String| malformed(message, &reason);
        Ok(match kind {
            Kind::Text => raw.text().map_err(fail)?.into(),
            Kind::Bool => (raw.number().map_err(fail)? != 0).into(),
            Kind::Unsigned => raw.number().map_err(fail)?.into(),
            Kind::Signed64 => (raw.number().map_err(fail)? as i64).to_string().into(),
            Kind::Double => number_json(f64::from_bits(raw.number().map_err(fail)?)),
            Kind::Enum(names) => {
                let number = raw.number().map_err(fail)? as i32;
                let known = names.iter().find(|(value, _)| *value == number);
                known.map_or_else(|| number.into(), |(_, name)| (*name).into())
            }
            Kind::Nested(name) => self.nested(name, raw.bytes().map_err(fail)?)?,
            Kind::Any => self.any(raw.bytes().map_err(fail)?)?,
            Kind::Wrapped(kind) => {
                let mut object = Map::new();
                let mut bytes = raw.bytes().map_err(fail)?;
                while bytes.has_remaining() {
                    let (_, wire) =
                        decode_key(&mut bytes).map_err(|error| malformed(message, &error))?;
                    let raw = Raw::read(wire, &mut bytes).map_err(fail)?;
                    self.put(message, &mut object, "value", *kind, raw)?;
                }
                // A wrapper without value holds the default, which is the point of wrappers.
                object.remove("value").unwrap_or(match kind {
                    Kind::Bool => false.into(),
                    _ => 0.into(),
                })
            }
            Kind::Duration => {
                let bytes = raw.bytes().map_err(fail)?;
                let duration = prost_types::Duration::decode(bytes)
                    .map_err(|error| malformed(message, &error))?;
                duration_text(&duration).into()
            }
            Kind::Struct => {
                let bytes = raw.bytes().map_err(fail)?;
                let value = prost_types::Struct::decode(bytes)
                    .map_err(|error| malformed(message, &error))?;
                struct_json(value)
            }
            Kind::Redacted => {
                let shown = ("inline_bytes".to_owned(), REDACTED.into());
                Value::Object(Map::from_iter([shown]))
            }
            Kind::Repeated(_) | Kind::Map(_) => return Err(fail("lists in lists".to_owned())),
        })
    }
}

fn find(fields: &'static [Field], number: u32) -> Option<&'static Field> {
    fields.iter().find(|(known, _, _)| *known == number)
}

fn malformed(message: &str, reason: &dyn std::fmt::Display) -> Unreadable {
    Unreadable::Malformed {
        message: message.to_owned(),
        reason: reason.to_string(),
    }
}

/// A field's value as it is on the wire.
enum Raw {
    Number(u64),
    Bytes(Bytes),
}

// === impl Raw ===

impl Raw {
    fn read(wire: WireType, bytes: &mut Bytes) -> Result<Self, String> {
        match wire {
            WireType::Varint => decode_varint(bytes)
                .map(Self::Number)
                .map_err(|error| error.to_string()),
            WireType::LengthDelimited => {
                let length = decode_varint(bytes).map_err(|error| error.to_string())?;
                let length = usize::try_from(length)
                    .ok()
                    .filter(|length| *length <= bytes.remaining())
                    .ok_or("a field is longer than its message")?;
                Ok(Self::Bytes(bytes.split_to(length)))
            }
            WireType::SixtyFourBit => {
                if bytes.remaining() < 8 {
                    return Err("a number is longer than its message".to_owned());
                }
                Ok(Self::Number(bytes.get_u64_le()))
            }
            other => Err(format!("no field has the wire type {other:?}")),
        }
    }

    /// The values of a repeated field, of which numbers are packed.
    fn unpack(self, kind: Kind) -> Result<Vec<Self>, String> {
        let is_number = matches!(
            kind,
            Kind::Unsigned | Kind::Signed64 | Kind::Bool | Kind::Enum(_)
        );
        match self {
            Self::Bytes(mut bytes) if is_number => {
                let mut numbers = vec![];
                while bytes.has_remaining() {
                    let number = decode_varint(&mut bytes).map_err(|error| error.to_string())?;
                    numbers.push(Self::Number(number));
                }
                Ok(numbers)
            }
            other => Ok(vec![other]),
        }
    }

    fn number(self) -> Result<u64, String> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Bytes(_) => Err("bytes stand where a number is expected".to_owned()),
        }
    }

    fn bytes(self) -> Result<Bytes, String> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Number(_) => Err("a number stands where bytes are expected".to_owned()),
        }
    }

    fn text(self) -> Result<String, String> {
        String::from_utf8(self.bytes()?.into()).map_err(|_| "a text is not UTF-8".to_owned())
    }
}

/// A duration as protobuf's JSON writes it: seconds with as many digits as are needed, by threes.
fn duration_text(duration: &prost_types::Duration) -> String {
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

#[cfg(test)]
mod tests;
