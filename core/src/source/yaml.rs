//! From the YAML parser's events to JSON values, one document at a time.
//!
//! A document that is error is given up where it breaks; the parser is then moved to the next document. What aliases may
//! expand to is bounded, and so is the depth.

use std::ops::Range;
use std::sync::Arc;

use granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, StrInput};
use rustc_hash::FxHashMap;
use serde_json::{Map, Value};

use super::scalar;
use crate::diag::{FieldPath, Segment};

/// Deepest nesting of values that is accepted.
pub(super) const MAX_DEPTH: usize = 128;

/// Most memory, in bytes by estimate, that the aliases of one document may add.
const MAX_ALIAS_COST: usize = 4 << 20;

/// One document of a text, or why it is none.
pub(super) struct Parsed {
    /// The bytes of the text that belong to it. The ranges of all documents together cover the text.
    pub(super) range: Range<usize>,
    /// The value, or what is wrong.
    pub(super) value: Result<Value, YamlError>,
}

/// Why a document has no value.
#[derive(Debug)]
pub(super) struct YamlError {
    /// The bytes of the text that are to blame.
    pub(super) bytes: Range<usize>,
    /// What is wrong.
    pub(super) message: String,
    /// What to do.
    pub(super) hint: Option<String>,
    /// The field inside which it is; innermost segment first.
    reversed_path: Vec<Segment>,
}

/// A parser over a text, with our limits.
pub(super) fn parser(text: &str) -> Parser<'_, StrInput<'_>> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    Parser::new_from_str_with_options(text, options)
}

/// All documents of a text from byte `base` on. Empty ones are left out.
pub(super) fn documents(text: &str, base: usize) -> Vec<Parsed> {
    let rest = &text[base..];
    let mut parser = parser(rest);
    let mut documents: Vec<Parsed> = Vec::new();
    let mut starts = Vec::new();
    loop {
        let outcome = match parser.next() {
            None | Some(Ok((Event::StreamEnd, _))) => break,
            Some(Ok((Event::DocumentStart(explicit, _), span))) => {
                let bytes = span.byte_range().unwrap_or_default();
                starts.push(if explicit { base + bytes.start } else { base });
                Composer::new(&mut parser, base).document()
            }
            Some(Ok(_)) => continue,
            Some(Err(error)) => {
                starts.push(base + error.marker().byte_offset().unwrap_or_default());
                Err(YamlError::scan(&error, base))
            }
        };
        let failed = outcome.is_err();
        match outcome {
            Ok(None) => {
                starts.pop();
            }
            Ok(Some(value)) => documents.push(Parsed {
                range: 0..0,
                value: Ok(value),
            }),
            Err(error) => documents.push(Parsed {
                range: 0..0,
                value: Err(error),
            }),
        }
        if failed && !matches!(parser.proceed_next_document(), Ok(true)) {
            break;
        }
    }
    cover(&mut documents, &starts, base..text.len());
    documents
}

/// Gives each document the bytes from its start to the next one's.
fn cover(documents: &mut [Parsed], starts: &[usize], whole: Range<usize>) {
    let count = documents.len();
    let mut start = whole.start;
    for (position, document) in documents.iter_mut().enumerate() {
        let end = match starts.get(position + 1) {
            Some(next) if position + 1 < count => (*next).clamp(start, whole.end),
            _ => whole.end,
        };
        document.range = start..end;
        start = end;
    }
}

/// Builds the value of one document.
struct Composer<'p, 't> {
    parser: &'p mut Parser<'t, StrInput<'t>>,
    base: usize,
    anchors: FxHashMap<usize, Value>,
    alias_cost: usize,
}

/// An event with its bytes in the text.
type Located<'t> = (Event<'t>, Range<usize>);

impl<'p, 't> Composer<'p, 't> {
    fn new(parser: &'p mut Parser<'t, StrInput<'t>>, base: usize) -> Self {
        Self {
            parser,
            base,
            anchors: FxHashMap::default(),
            alias_cost: 0,
        }
    }

    /// The value of the document whose start was just read; none when it is empty.
    fn document(mut self) -> Result<Option<Value>, YamlError> {
        let event = self.next()?;
        let value = match event {
            (Event::DocumentEnd, _) => return Ok(None),
            event => self.node(event, 0)?,
        };
        // What follows is the end of the document; anything else is the parser's error.
        self.next()?;
        Ok(Some(value).filter(|value| !value.is_null()))
    }

    fn next(&mut self) -> Result<Located<'t>, YamlError> {
        match self.parser.next() {
            Some(Ok((event, span))) => {
                let bytes = span.byte_range().unwrap_or_default();
                Ok((event, self.base + bytes.start..self.base + bytes.end))
            }
            Some(Err(error)) => Err(YamlError::scan(&error, self.base)),
            None => Err(YamlError::new(
                self.base..self.base,
                "the text ends too early",
            )),
        }
    }

    fn node(&mut self, (event, bytes): Located<'t>, depth: usize) -> Result<Value, YamlError> {
        if depth >= MAX_DEPTH {
            let message = format!("values are nested more than {MAX_DEPTH} deep");
            return Err(YamlError::new(bytes, message));
        }
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_ref().and_then(|tag| tag.core_suffix());
                let plain = match tag {
                    None => style == ScalarStyle::Plain,
                    Some(suffix) => suffix != "str",
                };
                let value = if plain {
                    scalar::resolve(&text)
                } else {
                    Value::String(text.into_owned())
                };
                (value, anchor)
            }
            Event::SequenceStart(_, anchor, _) => (self.sequence(depth)?, anchor),
            Event::MappingStart(_, anchor, _) => (self.mapping(depth)?, anchor),
            Event::Alias(anchor) => (self.alias(anchor, bytes)?, 0),
            _ => return Err(YamlError::new(bytes, "expected a value")),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    fn sequence(&mut self, depth: usize) -> Result<Value, YamlError> {
        let mut items = Vec::new();
        loop {
            match self.next().map_err(|error| error.index(items.len()))? {
                (Event::SequenceEnd, _) => return Ok(Value::Array(items)),
                event => {
                    let item = self.node(event, depth + 1);
                    items.push(item.map_err(|error| error.index(items.len()))?);
                }
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, YamlError> {
        let mut map = Map::new();
        let mut merged = Vec::new();
        loop {
            let (key, bytes, plain) = match self.next()? {
                (Event::MappingEnd, _) => break,
                (Event::Scalar(text, style, anchor, _), bytes) => {
                    if anchor != 0 {
                        let value = Value::String(text.to_string());
                        self.anchors.insert(anchor, value);
                    }
                    (text, bytes, style == ScalarStyle::Plain)
                }
                (Event::Alias(anchor), bytes) => match self.anchors.get(&anchor) {
                    Some(Value::String(text)) => (text.clone().into(), bytes, false),
                    _ => return Err(YamlError::new(bytes, "a key must be a text")),
                },
                (_, bytes) => return Err(YamlError::new(bytes, "a key must be a text")),
            };
            if map.contains_key(key.as_ref()) {
                let message = format!("key {key:?} is repeated");
                let hint = "keep one of them; only the last would count".to_owned();
                return Err(YamlError::new(bytes, message).with_hint(hint).key(&key));
            }
            let inside = |error: YamlError| error.key(&key);
            let event = self.next().map_err(inside)?;
            let value = self.node(event, depth + 1).map_err(inside)?;
            if plain && key == "<<" {
                merged.push((value, bytes));
            } else {
                map.insert(key.into_owned(), value);
            }
        }
        for (value, bytes) in merged {
            merge(&mut map, value).map_err(|message| YamlError::new(bytes, message))?;
        }
        Ok(Value::Object(map))
    }

    fn alias(&mut self, anchor: usize, bytes: Range<usize>) -> Result<Value, YamlError> {
        let Some(value) = self.anchors.get(&anchor) else {
            return Err(YamlError::new(
                bytes,
                "an alias refers to a value around it",
            ));
        };
        self.alias_cost = self.alias_cost.saturating_add(cost(value));
        if self.alias_cost > MAX_ALIAS_COST {
            return Err(YamlError::new(bytes, "aliases expand to too much")
                .with_hint("write the values out, or split the document".to_owned()));
        }
        Ok(value.clone())
    }
}

/// Fills keys that a mapping lacks from the value of its `<<` key.
fn merge(map: &mut Map<String, Value>, value: Value) -> Result<(), &'static str> {
    match value {
        Value::Object(other) => {
            for (key, value) in other {
                map.entry(key).or_insert(value);
            }
            Ok(())
        }
        Value::Array(items) if items.iter().all(Value::is_object) => {
            items.into_iter().try_for_each(|item| merge(map, item))
        }
        _ => Err("a merge key (<<) needs a mapping"),
    }
}

/// Memory of a value in bytes, roughly.
fn cost(value: &Value) -> usize {
    const NODE: usize = 64;
    NODE + match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(cost).sum(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| NODE + key.len() + cost(value))
            .sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

// === impl YamlError ===

impl YamlError {
    fn new(bytes: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            bytes,
            message: message.into(),
            hint: None,
            reversed_path: Vec::new(),
        }
    }

    fn scan(error: &ScanError, base: usize) -> Self {
        let at = base + error.marker().byte_offset().unwrap_or_default();
        let info = error.info();
        let first = info.lines().next().unwrap_or_default();
        let message = if first.is_empty() {
            "not valid YAML"
        } else {
            first
        };
        Self::new(at..at, message.trim_end_matches('.'))
    }

    fn with_hint(mut self, hint: String) -> Self {
        self.hint = Some(hint);
        self
    }

    fn key(mut self, key: &str) -> Self {
        self.reversed_path.push(Segment::Key(Arc::from(key)));
        self
    }

    fn index(mut self, index: usize) -> Self {
        self.reversed_path.push(Segment::Index(index));
        self
    }

    /// The field inside which it is.
    pub(super) fn path(&self) -> FieldPath {
        FieldPath(self.reversed_path.iter().rev().cloned().collect())
    }
}
