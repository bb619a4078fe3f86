//! The table of messages: which field has which number and type.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A field of a message.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// `+` for one whose fields are the object's own.
    pub name: &'static str,
    pub number: u64,
    pub kind: Type,
    pub count: Count,
    /// Whether a zero says that the field is not set: clients send some fields always.
    pub is_always_sent: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Text,
    Bytes,
    Number,
    Truth,
    Double,
    Message(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    One,
    List,
    Map,
}

static MESSAGES: LazyLock<BTreeMap<&'static str, Vec<Field>>> = LazyLock::new(|| {
    include_str!("messages.txt")
        .lines()
        .filter_map(line)
        .collect()
});

/// The fields of a message.
pub fn message(name: &str) -> Option<&'static [Field]> {
    MESSAGES.get(name).map(Vec::as_slice)
}

fn line(line: &'static str) -> Option<(&'static str, Vec<Field>)> {
    let mut words = line.split_whitespace();
    let name = words.next().filter(|name| *name != "#")?;
    Some((name, words.filter_map(field).collect()))
}

fn field(word: &'static str) -> Option<Field> {
    let (name, rest) = word.split_once('=')?;
    let (number, kind) = rest.split_once(':')?;
    let (kind, count) = match (kind.strip_suffix('*'), kind.strip_suffix('%')) {
        (Some(kind), _) => (kind, Count::List),
        (_, Some(kind)) => (kind, Count::Map),
        _ => (kind, Count::One),
    };
    Some(Field {
        name,
        number: number.parse().ok()?,
        kind: match kind {
            "s" => Type::Text,
            "b" => Type::Bytes,
            "i" | "I" => Type::Number,
            "t" | "T" => Type::Truth,
            "d" => Type::Double,
            message => Type::Message(message),
        },
        count,
        is_always_sent: matches!(kind, "I" | "T"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read_and_every_message_is_there() {
        for line in include_str!("messages.txt").lines() {
            let words = line.split_whitespace().count();
            if let Some((name, fields)) = self::line(line) {
                assert_eq!(fields.len(), words - 1, "{name}");
            }
        }
        let own = ["Quantity", "IntOrString", "Time", "Raw"];
        for field in MESSAGES.values().flatten() {
            if let Type::Message(name) = field.kind {
                assert!(own.contains(&name) || message(name).is_some(), "{name}");
            }
        }
    }
}
