//! JSON values as values of CEL, typed by their schema.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube_cel::cel::Value as CelValue;
use kube_cel::cel::functions::{duration, timestamp};
use kube_cel::cel::objects::{Key, Map};
use serde_json::{Number, Value};

use super::is_map;
use crate::node::{Constraint, Node, Type};

/// Words that CEL reserves; fields of these names are written `__NAME__`.
const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// A value as rules see it. `whole`: an object, of whose metadata only the names are visible.
pub(super) fn value(node: Option<&Node>, value: &Value, whole: bool) -> CelValue {
    match value {
        Value::Null => CelValue::Null,
        Value::Bool(value) => CelValue::Bool(*value),
        Value::Number(number) => self::number(node, number),
        Value::String(text) => self::text(node, text),
        Value::Array(elements) => {
            let items = node.and_then(|node| node.items.as_deref());
            let embedded = items.is_some_and(|items| items.embedded);
            let elements = elements
                .iter()
                .map(|element| self::value(items, element, embedded));
            CelValue::List(Arc::new(elements.collect()))
        }
        Value::Object(object) => {
            // Keys of maps are data, not names.
            let escaped = !node.is_some_and(is_map);
            let mut fields = HashMap::with_capacity(object.len());
            for (name, value) in object {
                let value = if whole && name == "metadata" {
                    metadata(value)
                } else {
                    let inner = node.and_then(|node| node.field(name));
                    self::value(inner, value, inner.is_some_and(|inner| inner.embedded))
                };
                let name = if escaped { escape(name) } else { name.clone() };
                fields.insert(Key::String(Arc::new(name)), value);
            }
            let map = Arc::new(fields);
            CelValue::Map(Map { map })
        }
    }
}

fn metadata(metadata: &Value) -> CelValue {
    let names = ["name", "generateName"].into_iter().filter_map(|name| {
        let text = metadata.get(name)?.as_str()?;
        let text = CelValue::String(Arc::new(text.to_owned()));
        Some((Key::String(Arc::new(name.to_owned())), text))
    });
    let map = Arc::new(names.collect());
    CelValue::Map(Map { map })
}

fn number(node: Option<&Node>, number: &Number) -> CelValue {
    let float = || CelValue::Float(number.as_f64().unwrap_or_default());
    if node.and_then(|node| node.kind) == Some(Type::Number) {
        return float();
    }
    let whole = number.as_i64().or_else(|| {
        let number = number.as_f64().filter(|number| number.fract() == 0.0)?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "saturates; the schema bounds integers"
        )]
        Some(number as i64)
    });
    match whole {
        Some(whole) => CelValue::Int(whole),
        None => float(),
    }
}

/// Texts of a format are values of their own type, as far as they have the format.
fn text(node: Option<&Node>, text: &str) -> CelValue {
    let plain = || CelValue::String(Arc::new(text.to_owned()));
    let formats = node.into_iter().flat_map(|node| &node.constraints);
    let format = formats.into_iter().find_map(|constraint| match constraint {
        Constraint::Format(format) => Some(format.name),
        _ => None,
    });
    let typed = match format {
        Some("date-time" | "datetime") => timestamp(Arc::new(text.to_owned())),
        Some("date") => timestamp(Arc::new(format!("{text}T00:00:00Z"))),
        Some("duration") => duration(Arc::new(text.to_owned())),
        Some("byte") => {
            let bytes = STANDARD.decode(text).ok();
            return bytes.map_or_else(plain, |bytes| CelValue::Bytes(Arc::new(bytes)));
        }
        _ => return plain(),
    };
    typed.unwrap_or_else(|_| plain())
}

/// The name of a field in an expression.
pub(super) fn escape(name: &str) -> String {
    if RESERVED.contains(&name) {
        return format!("__{name}__");
    }
    if !name.contains(['.', '-', '/']) && !name.contains("__") {
        return name.to_owned();
    }
    name.replace("__", "__underscores__")
        .replace('.', "__dot__")
        .replace('-', "__dash__")
        .replace('/', "__slash__")
}

/// How much of a cost unit a value is: its values, and its texts by 64 bytes.
pub(super) fn weight(value: &CelValue) -> u64 {
    let mut stack = vec![value];
    let mut total = 0u64;
    while let Some(value) = stack.pop() {
        total += 1;
        match value {
            CelValue::String(text) => total += text.len() as u64 / 64,
            CelValue::Bytes(bytes) => total += bytes.len() as u64 / 64,
            CelValue::List(elements) => stack.extend(elements.iter()),
            CelValue::Map(map) => stack.extend(map.map.values()),
            _ => {}
        }
    }
    total
}
