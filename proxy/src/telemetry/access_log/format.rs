//! Formats: Envoy's command operators in text or in the strings of a JSON object, compiled once.

use std::time::SystemTime;

use mesh_ir::AccessLog as Config;
use serde_json::Value;

use crate::record::Record;
use crate::telemetry::substitution::{Field, Operator, Substitution};

/// What stands for a value that there is none of.
const NOTHING: &[u8] = b"-";

/// Why a format cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the format of the access log {path} cannot be understood: {reason}")]
pub struct InvalidFormat {
    path: String,
    reason: String,
}

/// A compiled format.
#[derive(Clone, Debug)]
pub(super) enum Format {
    Text(Substitution),
    Json(Node),
}

/// A part of a JSON object.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// Written already.
    Fixed(Vec<u8>),
    /// One operator and nothing else: keeps its type, and is null without value.
    Typed(Operator),
    /// A text with operators in it.
    Text(Substitution),
    /// Keys are written already, with their colon.
    Object(Vec<(Vec<u8>, Node)>),
    List(Vec<Node>),
}

// === impl Format ===

impl Format {
    pub(super) fn compile(config: &Config) -> Result<Self, InvalidFormat> {
        let Config { path, format, json } = config;
        let compiled = match (json, format) {
            (false, format) => {
                Substitution::compile(format.as_deref().unwrap_or(Config::DEFAULT_TEXT))
                    .map(Self::Text)
            }
            (true, None) => default_json().map(Self::Json),
            (true, Some(text)) => serde_json::from_str::<Value>(text)
                .map_err(|error| error.to_string())
                .and_then(|value| node(&value))
                .map(Self::Json),
        };
        compiled.map_err(|reason| InvalidFormat {
            path: path.to_string(),
            reason,
        })
    }

    /// Writes a line without its line feed.
    pub(super) fn write(&self, out: &mut Vec<u8>, record: &Record<'_>, now: SystemTime) {
        match self {
            Self::Text(text) => text.write(out, record, now, NOTHING),
            Self::Json(node) => node.write(out, record, now),
        }
    }
}

fn default_json() -> Result<Node, String> {
    let members = Config::DEFAULT_JSON
        .iter()
        .map(|(name, text)| Ok((key(name), text_node(text)?)))
        .collect::<Result<_, String>>()?;
    Ok(Node::Object(members))
}

fn node(value: &Value) -> Result<Node, String> {
    Ok(match value {
        Value::String(text) => text_node(text)?,
        Value::Array(values) => Node::List(values.iter().map(node).collect::<Result<_, _>>()?),
        Value::Object(members) => Node::Object(
            members
                .iter()
                .map(|(name, value)| Ok((key(name), node(value)?)))
                .collect::<Result<_, String>>()?,
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            Node::Fixed(value.to_string().into_bytes())
        }
    })
}

fn text_node(text: &str) -> Result<Node, String> {
    let text = Substitution::compile(text)?;
    Ok(match text.only_operator() {
        Some(operator) => Node::Typed(operator.clone()),
        None => Node::Text(text),
    })
}

fn key(name: &str) -> Vec<u8> {
    let mut out = vec![];
    quote(&mut out, name);
    out.push(b':');
    out
}

// === impl Node ===

impl Node {
    fn write(&self, out: &mut Vec<u8>, record: &Record<'_>, now: SystemTime) {
        match self {
            Self::Fixed(text) => out.extend_from_slice(text),
            Self::Typed(operator) => match operator.value(record, now) {
                Some(Field::Number(number)) => Field::Number(number).write(out, NOTHING),
                Some(Field::Bytes(bytes)) => quote(out, &String::from_utf8_lossy(&bytes)),
                None => out.extend_from_slice(b"null"),
            },
            Self::Text(text) => {
                let mut written = vec![];
                text.write(&mut written, record, now, NOTHING);
                quote(out, &String::from_utf8_lossy(&written));
            }
            Self::Object(members) => join(out, b'{', b'}', members, |out, (key, node)| {
                out.extend_from_slice(key);
                node.write(out, record, now);
            }),
            Self::List(nodes) => join(out, b'[', b']', nodes, |out, node| {
                node.write(out, record, now);
            }),
        }
    }
}

fn join<T>(
    out: &mut Vec<u8>,
    open: u8,
    close: u8,
    items: &[T],
    mut write: impl FnMut(&mut Vec<u8>, &T),
) {
    out.push(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(close);
}

/// A JSON string.
fn quote(out: &mut Vec<u8>, text: &str) {
    // Writing a string to a vector does not fail.
    let _ = serde_json::to_writer(out, text);
}
