//! Formats: Envoy's command operators in text or in the strings of a JSON object, compiled once.

use std::time::SystemTime;

use mesh_ir::FileLog as Config;
use serde_json::Value;

use crate::record::Record;
use crate::telemetry::substitution::{Field, Operator, Substitution};

/// What stands for a value that there is none of.
const NOTHING: &[u8] = b"-";

/// A compiled format.
#[derive(Clone, Debug)]
pub(super) struct Format {
    form: Form,
    /// Whether what has no value is left out.
    omit_empty: bool,
}

#[derive(Clone, Debug)]
enum Form {
    Text(Substitution),
    Json(Node),
}

/// A part of a JSON object.
#[derive(Clone, Debug)]
enum Node {
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
    /// # Errors
    /// With what cannot be understood.
    pub(super) fn compile(config: &Config) -> Result<Self, String> {
        let Config {
            path,
            format,
            json,
            omit_empty,
        } = config;
        let compiled = match (json, format) {
            (false, format) => {
                Substitution::compile(format.as_deref().unwrap_or(Config::DEFAULT_TEXT))
                    .map(Form::Text)
            }
            (true, None) => default_json().map(Form::Json),
            (true, Some(text)) => serde_json::from_str::<Value>(text)
                .map_err(|error| error.to_string())
                .and_then(|value| node(&value))
                .map(Form::Json),
        };
        let form = compiled.map_err(|reason| {
            format!("the format of the access log {path} cannot be understood: {reason}")
        })?;
        Ok(Self {
            form,
            omit_empty: *omit_empty,
        })
    }

    /// Writes a line without its line feed.
    pub(super) fn write(&self, out: &mut Vec<u8>, record: &Record<'_>, now: SystemTime) {
        match &self.form {
            Form::Text(text) => {
                let absent = if self.omit_empty { b"" } else { NOTHING };
                text.write(out, record, now, absent);
            }
            Form::Json(node) => node.write(out, record, now, self.omit_empty),
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
    /// Whether it is more than one operator without value.
    fn has_value(&self, record: &Record<'_>, now: SystemTime) -> bool {
        match self {
            Self::Typed(operator) => operator.value(record, now).is_some(),
            _ => true,
        }
    }

    fn write(&self, out: &mut Vec<u8>, record: &Record<'_>, now: SystemTime, omit: bool) {
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
            Self::Object(members) => {
                let members = members.iter();
                let shown = members.filter(|(_, node)| !omit || node.has_value(record, now));
                join(out, b'{', b'}', shown, |out, (key, node)| {
                    out.extend_from_slice(key);
                    node.write(out, record, now, omit);
                });
            }
            Self::List(nodes) => join(out, b'[', b']', nodes.iter(), |out, node| {
                node.write(out, record, now, omit);
            }),
        }
    }
}

fn join<T>(
    out: &mut Vec<u8>,
    open: u8,
    close: u8,
    items: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(open);
    for (index, item) in items.enumerate() {
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
