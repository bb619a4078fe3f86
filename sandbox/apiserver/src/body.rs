//! Bodies of requests: JSON, YAML and protobuf become JSON values.

use serde_json::Value;

use super::status::Status;
use super::{bounded, protobuf};

/// Objects nested deeper than any real one are refused, so that nothing that walks them can overflow its stack.
pub const DEEPEST: usize = 200;

/// What an object in YAML may hold, in bytes: more than a body of JSON can.
const MOST: usize = 64 << 20;

/// Reads an object by the media type that the client names; none means JSON.
pub fn decode(content_type: &str, body: &[u8]) -> Result<Value, Status> {
    let media = content_type.split(';').next().unwrap_or_default().trim();
    let value = match media {
        "application/yaml" | "application/x-yaml" | "text/yaml" => yaml(body)?,
        "application/vnd.kubernetes.protobuf" => protobuf::decode(body)?,
        "" | "*/*" | "application/json" => json(body)?,
        other => {
            return Err(Status::unsupported_media(format!(
                "the body of the request was in an unknown format - accepted media types include: application/json, \
                 application/yaml, application/vnd.kubernetes.protobuf (it was {other:?})"
            )));
        }
    };
    limited(value)
}

/// Reads JSON.
pub fn json(body: &[u8]) -> Result<Value, Status> {
    serde_json::from_slice(body).map_err(|error| {
        Status::bad_request(format!("the body of the request is not JSON: {error}"))
    })
}

/// Reads YAML, and JSON, which is a part of it.
pub fn yaml(body: &[u8]) -> Result<Value, Status> {
    if let Ok(value) = serde_json::from_slice(body) {
        return limited(value);
    }
    let input = serde_yaml::Deserializer::from_slice(body);
    bounded::read(input, MOST).map_err(|error| {
        Status::bad_request(format!("the body of the request is not YAML: {error}"))
    })
}

fn limited(value: Value) -> Result<Value, Status> {
    if depth(&value, 0) > DEEPEST {
        return Err(Status::bad_request(format!(
            "the object is nested more than {DEEPEST} levels deep"
        )));
    }
    Ok(value)
}

/// How deep a value is that lies below so many levels; no deeper than one more than is allowed.
pub fn depth(value: &Value, above: usize) -> usize {
    if above > DEEPEST {
        return above;
    }
    let inner = |values: &mut dyn Iterator<Item = &Value>| {
        values
            .map(|value| depth(value, above + 1))
            .max()
            .unwrap_or(above)
    };
    match value {
        Value::Array(values) => inner(&mut values.iter()),
        Value::Object(fields) => inner(&mut fields.values()),
        _ => above,
    }
}
