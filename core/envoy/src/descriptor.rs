//! The fields of messages, read from a table when they are asked for.
//!
//! The table has a block for each message and enumeration: a line with its full name, and a line for each field or value:
//!
//! ```text
//! envoy.config.listener.v3.Filter
//! 1 name s
//! 4 typed_config m google.protobuf.Any |config_type
//! enum envoy.config.core.v3.TrafficDirection
//! 1 INBOUND
//! ```
//!
//! A type is `*` for lists, `%KEY:` for maps; `|` names the oneof, and `!` marks what must not be shown.

use std::sync::OnceLock;

use rustc_hash::FxHashMap;

static TABLE: &str = include_str!("messages.txt");

/// Messages that Envoy understands in place of any other: the type and its fields as a free object.
pub(crate) const TYPED_STRUCTS: [&str; 2] = ["xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct"];

const TYPED_STRUCT: &str = "1 type_url s\n2 value m google.protobuf.Struct\n";

/// A message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message {
    pub(crate) name: &'static str,
    block: &'static str,
}

/// A field of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) number: u32,
    /// As in the proto file.
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) kind: Kind,
    /// The oneof that it is a member of.
    pub(crate) oneof: Option<&'static str>,
    /// Whether its value is a secret.
    pub(crate) sensitive: bool,
}

/// How many values a field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    One,
    List,
    /// By keys of this kind.
    Map(Kind),
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Bytes,
    Bool,
    Uint32,
    Uint64,
    Int32,
    Int64,
    Fixed64,
    Float,
    Double,
    Enum(&'static str),
    Message(&'static str),
}

// === impl Message ===

impl Message {
    /// The message of a full name.
    pub(crate) fn find(name: &str) -> Option<Self> {
        let (name, block) = blocks().get_key_value(name)?;
        Some(Self { name, block })
    }

    /// All fields.
    pub(crate) fn fields(self) -> impl Iterator<Item = Field> {
        self.block.lines().filter_map(Field::parse)
    }

    /// The field of a number.
    pub(crate) fn number(self, number: u32) -> Option<Field> {
        self.fields().find(|field| field.number == number)
    }

    /// The field of a name: that of the proto file, or that of JSON in camel case.
    pub(crate) fn field(self, name: &str) -> Option<Field> {
        self.fields()
            .find(|field| field.name == name || is_camel_case(name, field.name))
    }
}

/// Whether a name is the camel case of one with underscores.
fn is_camel_case(name: &str, proto: &str) -> bool {
    let mut expected = String::with_capacity(proto.len());
    let mut upper = false;
    for letter in proto.chars() {
        if letter == '_' {
            upper = true;
        } else if std::mem::take(&mut upper) {
            expected.push(letter.to_ascii_uppercase());
        } else {
            expected.push(letter);
        }
    }
    expected == name
}

/// Number and name of each value of an enumeration.
pub(crate) fn enum_values(name: &str) -> impl Iterator<Item = (i32, &'static str)> {
    let block = blocks().get(name).copied().unwrap_or_default();
    block.lines().filter_map(|line| {
        let (number, name) = line.split_once(' ')?;
        Some((number.parse().ok()?, name))
    })
}

fn blocks() -> &'static FxHashMap<&'static str, &'static str> {
    static BLOCKS: OnceLock<FxHashMap<&'static str, &'static str>> = OnceLock::new();
    BLOCKS.get_or_init(|| {
        let mut blocks = FxHashMap::default();
        for block in TABLE.split("\n\n") {
            if let Some((name, fields)) = block.split_once('\n') {
                blocks.insert(name.strip_prefix("enum ").unwrap_or(name), fields);
            } else {
                // Nothing but a name: a message without fields.
                blocks.insert(block.trim_end(), "");
            }
        }
        for name in TYPED_STRUCTS {
            blocks.insert(name, TYPED_STRUCT);
        }
        blocks
    })
}

// === impl Field ===

impl Field {
    fn parse(line: &'static str) -> Option<Self> {
        let mut parts = line.split(' ');
        let number = parts.next()?.parse().ok()?;
        let name = parts.next()?;
        let code = parts.next()?;
        let mut field = Self {
            number,
            name,
            shape: Shape::One,
            kind: Kind::Text,
            oneof: None,
            sensitive: false,
        };
        let mut reference = "";
        for part in parts {
            match part.strip_prefix('|') {
                Some(oneof) => field.oneof = Some(oneof),
                None if part == "!" => field.sensitive = true,
                None => reference = part,
            }
        }
        let mut code = code;
        if let Some(item) = code.strip_prefix('*') {
            (field.shape, code) = (Shape::List, item);
        } else if let Some(entry) = code.strip_prefix('%') {
            let (key, value) = entry.split_once(':')?;
            (field.shape, code) = (Shape::Map(Kind::parse(key, "")?), value);
        }
        field.kind = Kind::parse(code, reference)?;
        Some(field)
    }
}

// === impl Kind ===

impl Kind {
    fn parse(code: &str, reference: &'static str) -> Option<Self> {
        Some(match code {
            "s" => Self::Text,
            "y" => Self::Bytes,
            "b" => Self::Bool,
            "u32" => Self::Uint32,
            "u64" => Self::Uint64,
            "i32" => Self::Int32,
            "i64" => Self::Int64,
            "x64" => Self::Fixed64,
            "f" => Self::Float,
            "d" => Self::Double,
            "e" => Self::Enum(reference),
            "m" => Self::Message(reference),
            _ => return None,
        })
    }
}
