//! Bodies in protobuf, as `kubectl create` sends them, become JSON values.
//!
//! ```text
//! "k8s\0" + Unknown {apiVersion, kind, raw} -> the message of that kind, by the table in messages.txt -> JSON
//! ```
//!
//! Answers are JSON always, which every client takes.

mod messages;
mod wire;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Number, Value, json};

use self::messages::{Count, Field, Type, message};
use self::wire::{Fields, Wire};
use super::status::Status;

const MAGIC: &[u8] = b"k8s\0";

/// No message of the API is nested deeper, apart from hostile ones.
const DEEPEST: usize = 40;

/// The body is not what it says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Reads an object.
pub fn decode(body: &[u8]) -> Result<Value, Status> {
    let malformed =
        |_: Malformed| Status::bad_request("the body of the request is not a protobuf object");
    let envelope = body.strip_prefix(MAGIC).ok_or(Malformed);
    let (api_version, kind, raw) = envelope.and_then(open).map_err(malformed)?;
    let fields = message(&kind).ok_or_else(|| {
        Status::unsupported_media(format!(
            "protobuf bodies of kind {kind} are not understood here: use application/json"
        ))
    })?;
    let mut object = object(fields, raw, 0).map_err(malformed)?;
    object.insert("apiVersion".to_owned(), json!(api_version));
    object.insert("kind".to_owned(), json!(kind));
    Ok(Value::Object(object))
}

/// The type and the bytes of the object in an envelope.
fn open(envelope: &[u8]) -> Result<(String, String, &[u8]), Malformed> {
    let (mut meta, mut raw): (&[u8], &[u8]) = (&[], &[]);
    for field in Fields(envelope) {
        match field? {
            (1, Wire::Bytes(bytes)) => meta = bytes,
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let (mut api_version, mut kind) = (String::new(), String::new());
    for field in Fields(meta) {
        match field? {
            (1, Wire::Bytes(bytes)) => api_version = text(bytes)?,
            (2, Wire::Bytes(bytes)) => kind = text(bytes)?,
            _ => {}
        }
    }
    Ok((api_version, kind, raw))
}

fn text(bytes: &[u8]) -> Result<String, Malformed> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Malformed)
}

fn object(fields: &[Field], bytes: &[u8], depth: usize) -> Result<Map<String, Value>, Malformed> {
    if depth > DEEPEST {
        return Err(Malformed);
    }
    let mut object = Map::new();
    for pair in Fields(bytes) {
        let (number, wire) = pair?;
        // A field that is not in the table is one that this server does not know.
        if let Some(field) = fields.iter().find(|field| field.number == number) {
            put(&mut object, field, wire, depth)?;
        }
    }
    Ok(object)
}

fn put(
    object: &mut Map<String, Value>,
    field: &Field,
    wire: Wire<'_>,
    depth: usize,
) -> Result<(), Malformed> {
    match field.count {
        Count::Map => {
            let Wire::Bytes(bytes) = wire else {
                return Err(Malformed);
            };
            let (mut key, mut entry) = (String::new(), json!(""));
            for pair in Fields(bytes) {
                match pair? {
                    (1, Wire::Bytes(bytes)) => key = text(bytes)?,
                    (2, wire) => entry = value(field.kind, wire, depth)?,
                    _ => {}
                }
            }
            let entries = object.entry(field.name).or_insert_with(|| json!({}));
            if let Some(entries) = entries.as_object_mut() {
                entries.insert(key, entry);
            }
        }
        Count::List => {
            let element = value(field.kind, wire, depth)?;
            let elements = object.entry(field.name).or_insert_with(|| json!([]));
            if let Some(elements) = elements.as_array_mut() {
                elements.push(element);
            }
        }
        Count::One => match value(field.kind, wire, depth)? {
            Value::Object(inner) if field.name == "+" => object.extend(inner),
            // Texts that are not set are sent as empty ones.
            Value::Null => {}
            Value::String(text) if text.is_empty() => {}
            zero if field.is_always_sent && (zero == 0 || zero == false) => {}
            value => {
                object.insert(field.name.to_owned(), value);
            }
        },
    }
    Ok(())
}

fn value(kind: Type, wire: Wire<'_>, depth: usize) -> Result<Value, Malformed> {
    match (kind, wire) {
        (Type::Text, Wire::Bytes(bytes)) => text(bytes).map(Value::String),
        (Type::Bytes, Wire::Bytes(bytes)) => Ok(json!(STANDARD.encode(bytes))),
        (Type::Number, Wire::Number(number)) => Ok(json!(number.cast_signed())),
        (Type::Truth, Wire::Number(number)) => Ok(json!(number != 0)),
        (Type::Double, Wire::Fixed(bits)) => {
            Ok(Number::from_f64(f64::from_bits(bits)).map_or(Value::Null, Value::Number))
        }
        (Type::Message(name), Wire::Bytes(bytes)) => special(name, bytes, depth),
        _ => Err(Malformed),
    }
}

/// A message; some have a JSON form of their own.
fn special(name: &str, bytes: &[u8], depth: usize) -> Result<Value, Malformed> {
    let mut numbers = [0_i64; 3];
    let mut texts: [&[u8]; 4] = [&[]; 4];
    if matches!(name, "Quantity" | "IntOrString" | "Time" | "Raw") {
        for field in Fields(bytes) {
            match field? {
                (number @ 1..=2, Wire::Number(value)) => {
                    numbers[number as usize] = value.cast_signed();
                }
                (number @ 1..=3, Wire::Bytes(bytes)) => texts[number as usize] = bytes,
                _ => {}
            }
        }
    }
    match name {
        "Quantity" => text(texts[1]).map(Value::String),
        // A type of 1 says that the text counts.
        "IntOrString" if numbers[1] == 1 => text(texts[3]).map(Value::String),
        "IntOrString" => Ok(json!(numbers[2])),
        "Time" if bytes.is_empty() => Ok(Value::Null),
        "Time" => {
            let nanos = i32::try_from(numbers[2]).map_err(|_| Malformed)?;
            let time = Timestamp::new(numbers[1], nanos).map_err(|_| Malformed)?;
            Ok(json!(time.to_string()))
        }
        "Raw" => serde_json::from_slice(texts[1]).map_err(|_| Malformed),
        name => object(message(name).ok_or(Malformed)?, bytes, depth + 1).map(Value::Object),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field with bytes.
    fn put(number: u8, bytes: &[u8]) -> Vec<u8> {
        let length = u8::try_from(bytes.len()).unwrap();
        let mut field = vec![number << 3 | 2, length];
        field.extend_from_slice(bytes);
        field
    }

    fn body(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let meta = [put(1, api_version.as_bytes()), put(2, kind.as_bytes())].concat();
        [
            MAGIC.to_vec(),
            put(1, &meta),
            put(2, raw),
            put(3, b""),
            put(4, b""),
        ]
        .concat()
    }

    #[test]
    fn zeros_of_fields_that_are_always_sent_say_nothing() {
        // replicas=0 minReadySeconds=0 paused=false: only the first one was set.
        let spec = [0x08, 0x00, 0x28, 0x00, 0x38, 0x00];
        let deployment = decode(&body("apps/v1", "Deployment", &put(2, &spec)));
        assert_eq!(deployment.unwrap()["spec"], json!({"replicas": 0}));
    }

    #[test]
    fn objects_are_read_by_the_table_of_their_kind() {
        let metadata = put(1, &[put(1, b"c"), put(2, b""), put(8, b"")].concat());
        let entry = put(2, &[put(1, b"k"), put(2, b"v")].concat());
        let map = body("v1", "ConfigMap", &[metadata.clone(), entry].concat());
        assert_eq!(
            decode(&map).unwrap(),
            json!({"metadata": {"name": "c"}, "data": {"k": "v"}, "apiVersion": "v1", "kind": "ConfigMap"})
        );
        // spec.ports[0]: {port: 80, targetPort: "http"}
        let target = put(4, &[vec![8, 1, 16, 0], put(3, b"http")].concat());
        let port = put(1, &[vec![24, 80], target].concat());
        let service = body("v1", "Service", &[metadata, put(2, &port)].concat());
        assert_eq!(
            decode(&service).unwrap()["spec"],
            json!({"ports": [{"port": 80, "targetPort": "http"}]})
        );
    }

    #[test]
    fn what_is_cut_off_or_foreign_is_refused() {
        let whole = body("v1", "ConfigMap", &put(1, &put(1, b"name")));
        for length in MAGIC.len() + 1..whole.len() {
            let _ = decode(&whole[..length]);
        }
        assert_eq!(decode(b"{}").unwrap_err().code, 400);
        assert_eq!(decode(&whole[..whole.len() - 6]).unwrap_err().code, 400);
        assert_eq!(decode(&body("v1", "Other", b"")).unwrap_err().code, 415);
        let mut nested = Vec::new();
        for _ in 0..20 {
            nested = put(9, &nested);
        }
        assert!(decode(&body("v1", "Pod", &nested)).is_ok());
    }
}
