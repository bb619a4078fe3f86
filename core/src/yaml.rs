//! Writing YAML that every reader understands alike.
//!
//! Readers of YAML 1.1 (Kubernetes' tools) take `no`, `0o7`, `1:30` or `2024-01-01` for something else than a text, readers of
//! YAML 1.2 do not. Whatever any of them might take for something else is quoted here.

use std::fmt::Write;

use serde_json::{Map, Value};

/// Keys longer than this are written with an explicit `?`; YAML limits others to 1024 characters.
const LONG_KEY: usize = 120;

/// Words that some reader takes for a boolean, null, number, merge or default key, in lower case.
const WORDS: [&str; 16] = [
    "y", "n", "yes", "no", "on", "off", "true", "false", "null", "nil", "~", ".nan", ".inf",
    "+.inf", "-.inf", "<<",
];

/// A value as a YAML document in block style, as Kubernetes' tools write it. Ends with a line break.
pub fn to_yaml(value: &Value) -> String {
    let mut writer = Writer { out: String::new() };
    match value {
        Value::Object(map) if !map.is_empty() => writer.mapping(map, 0),
        Value::Array(items) if !items.is_empty() => writer.sequence(items, 0),
        other => {
            writer.leaf(other, 0);
            writer.out.push('\n');
        }
    }
    writer.out
}

struct Writer {
    out: String,
}

// === impl Writer ===

impl Writer {
    /// The entries of a mapping; the place before the first key is reached already.
    fn mapping(&mut self, map: &Map<String, Value>, indent: usize) {
        for (position, (key, value)) in map.iter().enumerate() {
            if position > 0 {
                self.indent(indent);
            }
            if key.len() > LONG_KEY {
                self.out.push_str("? ");
                self.text(key);
                self.out.push('\n');
                self.indent(indent);
            } else {
                self.text(key);
            }
            self.out.push(':');
            match value {
                Value::Object(map) if !map.is_empty() => {
                    self.out.push('\n');
                    self.indent(indent + 2);
                    self.mapping(map, indent + 2);
                }
                // Items stand at the column of their key, as Kubernetes' tools write it.
                Value::Array(items) if !items.is_empty() => {
                    self.out.push('\n');
                    self.indent(indent);
                    self.sequence(items, indent);
                }
                other => {
                    self.out.push(' ');
                    self.leaf(other, indent);
                    self.out.push('\n');
                }
            }
        }
    }

    /// The items of a sequence; the place before the first dash is reached already.
    fn sequence(&mut self, items: &[Value], indent: usize) {
        for (position, item) in items.iter().enumerate() {
            if position > 0 {
                self.indent(indent);
            }
            self.out.push_str("- ");
            match item {
                Value::Object(map) if !map.is_empty() => self.mapping(map, indent + 2),
                Value::Array(items) if !items.is_empty() => self.sequence(items, indent + 2),
                other => {
                    self.leaf(other, indent);
                    self.out.push('\n');
                }
            }
        }
    }

    /// A value on the current line, or a block of text below it that is indented more than `indent`.
    fn leaf(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Object(_) => self.out.push_str("{}"),
            Value::Array(_) => self.out.push_str("[]"),
            Value::String(text) if fits_block(text) => self.block(text, indent + 2),
            Value::String(text) => self.text(text),
            other => {
                let _ = write!(self.out, "{other}");
            }
        }
    }

    /// A text of several lines as a literal block, without its last line break.
    fn block(&mut self, text: &str, indent: usize) {
        let (body, chomping) = match text.strip_suffix('\n') {
            Some(body) => (body, "|"),
            None => (text, "|-"),
        };
        self.out.push_str(chomping);
        for line in body.split('\n') {
            self.out.push('\n');
            if !line.is_empty() {
                self.indent(indent);
                self.out.push_str(line);
            }
        }
    }

    fn text(&mut self, text: &str) {
        if is_plain(text) {
            self.out.push_str(text);
        } else if text.contains(['"', '\\']) && text.chars().all(is_printable) {
            self.out.push('\'');
            self.out.push_str(&text.replace('\'', "''"));
            self.out.push('\'');
        } else {
            self.quoted(text);
        }
    }

    fn quoted(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\t' => self.out.push_str("\\t"),
                '\r' => self.out.push_str("\\r"),
                c if is_printable(c) => self.out.push(c),
                c => {
                    let number = u32::from(c);
                    let _ = match number {
                        0..=0xffff => write!(self.out, "\\u{number:04X}"),
                        _ => write!(self.out, "\\U{number:08X}"),
                    };
                }
            }
        }
        self.out.push('"');
    }

    fn indent(&mut self, indent: usize) {
        self.out.extend(std::iter::repeat_n(' ', indent));
    }
}

/// Printable everywhere and not a line break to any reader.
fn is_printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}')
}

/// Whether a text can stand without quotes and nobody takes it for anything else.
fn is_plain(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || " -_./:,()$=+@%~*;<>^?[]{}|&!".contains(c);
    let Some(first) = text.chars().next() else {
        return false;
    };
    (first.is_ascii_alphanumeric() || "/_$(.<".contains(first) || is_flag(text))
        && text.chars().all(inner)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
        && !may_be_number(text)
}

/// `-x` and `--long`, which are common arguments. A lone dash would start an item.
fn is_flag(text: &str) -> bool {
    text.trim_start_matches('-')
        .starts_with(|c: char| c.is_ascii_alphabetic())
        && !text.starts_with("---")
}

/// Numbers in any base, times and dates have no other characters.
fn may_be_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
        && text.contains(|c: char| c.is_ascii_digit())
        && text
            .chars()
            .all(|c| c.is_ascii_hexdigit() || "xXoO_.:,+-TtZz ".contains(c))
}

/// Whether a text is best written as a block: several lines, none of which could be misread.
fn fits_block(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    text.contains('\n')
        && !body.is_empty()
        && !body.starts_with([' ', '\n'])
        && !body.ends_with('\n')
        && body
            .split('\n')
            .all(|line| !line.ends_with(' ') && line.chars().all(is_printable))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::source::parse_whole;

    #[track_caller]
    fn reads_back(value: &Value) {
        let text = to_yaml(value);
        let (documents, findings) = parse_whole("-", &text);
        assert!(findings.is_empty(), "{text}\n{findings:?}");
        let ours = documents.first().map_or(&Value::Null, |one| &*one.value);
        assert_eq!(ours, value, "{text}");
        let other: Value = serde_yaml::from_str(&text).unwrap();
        assert_eq!(&other, value, "{text}");
    }

    #[test]
    fn texts_stay_texts() {
        for text in [
            "",
            " ",
            "no",
            "On",
            "0644",
            "0o7",
            "1_000",
            "1:30",
            "2024-01-01",
            "1e3",
            ".5",
            "~",
            "=",
            "<<",
            "-",
            "- a",
            "a: b",
            "a #b",
            "#",
            "?",
            "*",
            "&a",
            "!t",
            "%",
            "@",
            "`",
            "---",
            "...",
            "a:",
            "null",
            "0x1F",
            "'",
            "\"",
            "\\",
            "it's \"so\"",
            "\u{85}",
            "\u{feff}",
            "a\u{2028}b",
            "é",
            "😀",
            "\t",
            "a\n",
            "a\nb",
            "a\n\nb\n",
            " a\nb",
            "a\n ",
            "a \nb",
            "\n",
            "a\n\n",
            "#a\n#b\n",
            "---\n---\n",
            "{a}",
            "[a",
            "10m",
            "--flag=x",
            "-d",
            "x, y",
            "%YAML",
            "\r\n",
            "y",
            "N",
            "0.1.0",
            "1Gi",
        ] {
            reads_back(
                &json!({ "key": text, "list": [text, [text]], "inner": { text: { "a": text } } }),
            );
        }
        reads_back(
            &json!({ "k".repeat(2000): { "a": 1 }, "l".repeat(2000): [1], "z": "z".repeat(2000) }),
        );
    }

    #[test]
    fn it_reads_as_kubernetes_tools_write() {
        let value = json!({ "a": { "b": [{ "c": 1, "d": [] }, ["x", "y"]], "e": "1", "f": "two\nlines\n" }, "g": null });
        let text = "a:\n  b:\n  - c: 1\n    d: []\n  - - x\n    - \"y\"\n  e: \"1\"\n  f: |\n    two\n    lines\ng: null\n";
        assert_eq!(to_yaml(&value), text);
    }

    fn values() -> impl Strategy<Value = Value> {
        let text = prop_oneof!["[ -~]{0,6}", "[\\-:#a-f0-9.\n \t]{0,8}", any::<String>()];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(text.clone(), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn anything_reads_back(value in values()) {
            reads_back(&value);
        }
    }
}
