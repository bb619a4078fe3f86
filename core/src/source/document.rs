//! Documents, and reading them from a text.

use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

use super::index::{Part, PathIndex};
use super::json::Strict;
use super::text::{SourceText, Span};
use super::yaml::{self, Parsed, YamlError};
use super::{Origin, UNPARSABLE, list};
use crate::diag::{Diagnostic, FieldPath, Level};

/// One object of a text.
#[derive(Clone, Debug)]
pub struct Document {
    /// Where it came from.
    pub origin: Origin,
    /// The whole text.
    pub source: Arc<SourceText>,
    /// The bytes of the YAML document that it is, or is in. Marker, comments and empty documents before the next one belong
    /// to it: the ranges of a text's documents cover the text.
    pub range: Range<usize>,
    /// Its path inside that YAML document: empty, or `items[3]` for an item of a List.
    pub prefix: FieldPath,
    /// The object.
    pub value: Arc<Value>,
    index: Arc<PathIndex>,
}

/// Reads a text of YAML or JSON documents. Lists are read as the objects in them. A error document is one finding
/// ([`UNPARSABLE`]), and all others still count. Use [`super::SourceMap::parse`] where findings are to be shown in their text.
pub fn parse(name: &str, text: &str) -> (Vec<Document>, Vec<Diagnostic>) {
    let (documents, error) = read(name, text, list::expand);
    (
        documents,
        error.into_iter().map(|(found, _)| found).collect(),
    )
}

/// Reads a text as [`parse`] does, but leaves lists as they are: one [`Document`] per document of the text.
pub fn parse_whole(name: &str, text: &str) -> (Vec<Document>, Vec<Diagnostic>) {
    let (documents, error) = read(name, text, |value| vec![(FieldPath::root(), value)]);
    (
        documents,
        error.into_iter().map(|(found, _)| found).collect(),
    )
}

/// The value of a text of one document, such as one inside of an annotation; null if it is empty. Documents after the first are not
/// looked at. What aliases expand to is bounded.
///
/// # Errors
/// When the text cannot be read, with the place in words.
pub(crate) fn value(text: &str) -> Result<Value, String> {
    let (documents, findings) = parse_whole("", text);
    match findings.into_iter().next() {
        Some(finding) => Err(finding.message),
        None => Ok(documents
            .into_iter()
            .next()
            .map_or(Value::Null, |document| Arc::unwrap_or_clone(document.value))),
    }
}

/// Documents, and findings with their places.
pub(super) fn read(
    name: &str,
    text: &str,
    expand: impl Fn(Value) -> Vec<(FieldPath, Value)>,
) -> (Vec<Document>, Vec<(Diagnostic, Span)>) {
    let source = Arc::new(SourceText::new(name, text));
    let mut documents = Vec::new();
    let mut findings = Vec::new();
    let mut count = 0;
    let mut next_origin = || {
        let document = count;
        count += 1;
        Origin::File {
            name: source.name.clone(),
            document,
        }
    };
    for Parsed { range, value } in split(text) {
        match value {
            Err(error) => findings.push(finding(&source, next_origin(), &error)),
            Ok(value) => {
                let index = Arc::new(PathIndex::new(source.clone(), range.clone()));
                documents.extend(expand(value).into_iter().map(|(prefix, value)| Document {
                    origin: next_origin(),
                    source: source.clone(),
                    range: range.clone(),
                    prefix,
                    value: Arc::new(value),
                    index: index.clone(),
                }));
            }
        }
    }
    (documents, findings)
}

/// JSON documents as long as they are JSON, which is read faster, and YAML from there on.
fn split(text: &str) -> Vec<Parsed> {
    let mut parsed = Vec::new();
    let mut base = 0;
    if text.trim_start().starts_with(['{', '[']) {
        let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Strict>();
        while let Some(Ok(Strict(value))) = stream.next() {
            let end = stream.byte_offset();
            parsed.push(Parsed {
                range: base..end,
                value: Ok(value),
            });
            base = end;
        }
    }
    if text[base..].trim().is_empty() {
        if let Some(last) = parsed.last_mut() {
            last.range.end = text.len();
        }
    } else {
        parsed.extend(yaml::documents(text, base));
    }
    parsed
}

fn finding(source: &Arc<SourceText>, origin: Origin, error: &YamlError) -> (Diagnostic, Span) {
    let span = source.span(error.bytes.clone());
    let line = source.line(span.line).unwrap_or_default();
    let indent = &line[..line.len() - line.trim_start().len()];
    let hint = error.hint.clone().or_else(|| {
        indent
            .contains('\t')
            .then(|| "indent with spaces; YAML allows no tabs there".to_owned())
    });
    let found = Diagnostic {
        code: UNPARSABLE,
        level: Level::Error,
        resource: None,
        origin,
        path: error.path(),
        message: format!(
            "line {}, column {}: {}",
            span.line, span.column, error.message
        ),
        hint,
    };
    (found, span)
}

// === impl Document ===

impl Document {
    /// Where a field is. A field that is not there is looked for in the nearest field around it that is.
    pub fn locate(&self, path: &FieldPath, part: Part) -> Span {
        if self.prefix.0.is_empty() {
            return self.index.locate(path, part);
        }
        let mut whole = self.prefix.clone();
        whole.0.extend(path.0.iter().cloned());
        self.index.locate(&whole, part)
    }

    /// The text of the YAML document.
    pub fn text(&self) -> &str {
        self.source.text.get(self.range.clone()).unwrap_or_default()
    }
}
