//! Where the fields of a document are in its text.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use granit_parser::{Event, Parser, StrInput};

use super::text::{SourceText, Span};
use super::yaml::{self, MAX_DEPTH};
use crate::diag::{FieldPath, Segment};

/// Which part of a field is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Its key; the value where it has none, as in sequences.
    Key,
    /// Its value; the key, or the first key in it, where the value is empty or spans several lines.
    Value,
}

/// The index of one document, built when it is first asked.
#[derive(Debug)]
pub(super) struct PathIndex {
    source: Arc<SourceText>,
    range: Range<usize>,
    tree: OnceLock<Option<Node>>,
}

/// A value and what is in it.
#[derive(Debug)]
struct Node {
    key: Option<Range<usize>>,
    value: Range<usize>,
    children: Children,
}

#[derive(Debug)]
enum Children {
    None,
    Mapping(Vec<(String, Node)>),
    Sequence(Vec<Node>),
}

// === impl PathIndex ===

impl PathIndex {
    /// The index of the document in these bytes of a text.
    pub(super) fn new(source: Arc<SourceText>, range: Range<usize>) -> Self {
        Self {
            source,
            range,
            tree: OnceLock::new(),
        }
    }

    /// Where a field is. A field that is not there is looked for in the nearest field around it that is, by its key.
    pub(super) fn locate(&self, path: &FieldPath, part: Part) -> Span {
        let tree = self.tree.get_or_init(|| {
            let text = self.source.text.get(self.range.clone())?;
            Builder::new(text, self.range.start).document()
        });
        let Some(mut node) = tree.as_ref() else {
            return self.source.span(self.range.start..self.range.start);
        };
        let mut found = true;
        for segment in &path.0 {
            match node.child(segment) {
                Some(child) => node = child,
                None => {
                    found = false;
                    break;
                }
            }
        }
        let many_lines = || {
            let value = self.source.text.get(node.value.clone());
            value.is_some_and(|text| text.contains('\n'))
        };
        let whole = found && !path.0.is_empty() && !node.value.is_empty() && !many_lines();
        let bytes = match (&node.key, part) {
            (Some(_), Part::Value) | (None, _) if whole => node.value.clone(),
            (Some(key), _) => key.clone(),
            (None, _) => node.first_key(),
        };
        self.source.span(bytes)
    }
}

// === impl Node ===

impl Node {
    fn child(&self, segment: &Segment) -> Option<&Node> {
        match (&self.children, segment) {
            (Children::Mapping(entries), Segment::Key(key)) => entries
                .iter()
                .find(|(name, _)| name.as_str() == &**key)
                .map(|(_, node)| node),
            (Children::Sequence(items), Segment::Index(index)) => items.get(*index),
            _ => None,
        }
    }

    /// The first key of a mapping that has none of its own: enough to point at, where the whole would be too much.
    fn first_key(&self) -> Range<usize> {
        match &self.children {
            Children::Mapping(entries) => entries
                .first()
                .and_then(|(_, node)| node.key.clone())
                .unwrap_or_else(|| self.value.clone()),
            _ => self.value.clone(),
        }
    }
}

/// Reads events into nodes.
struct Builder<'t> {
    parser: Parser<'t, StrInput<'t>>,
    text: &'t str,
    base: usize,
}

impl<'t> Builder<'t> {
    fn new(text: &'t str, base: usize) -> Self {
        Self {
            parser: yaml::parser(text),
            text,
            base,
        }
    }

    fn document(mut self) -> Option<Node> {
        loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(..), _) => {}
                event => return self.node(None, event, 0),
            }
        }
    }

    fn next(&mut self) -> Option<(Event<'t>, Range<usize>)> {
        let (event, span) = self.parser.next()?.ok()?;
        let bytes = span.byte_range().unwrap_or_default();
        Some((event, self.trimmed(bytes)))
    }

    /// The bytes without white space at the end (block scalars span it), as positions in the whole text.
    fn trimmed(&self, bytes: Range<usize>) -> Range<usize> {
        let slice = self.text.get(bytes.clone()).unwrap_or_default();
        let start = self.base + bytes.start;
        start..start + slice.trim_end().len()
    }

    fn node(
        &mut self,
        key: Option<Range<usize>>,
        (event, bytes): (Event<'t>, Range<usize>),
        depth: usize,
    ) -> Option<Node> {
        if depth > MAX_DEPTH {
            return None;
        }
        let mut value = bytes;
        let children = match event {
            Event::SequenceStart(..) => Children::Sequence(self.sequence(&mut value, depth)?),
            Event::MappingStart(..) => Children::Mapping(self.mapping(&mut value, depth)?),
            Event::Scalar(..) | Event::Alias(_) => Children::None,
            _ => return None,
        };
        Some(Node {
            key,
            value,
            children,
        })
    }

    fn sequence(&mut self, value: &mut Range<usize>, depth: usize) -> Option<Vec<Node>> {
        let mut items: Vec<Node> = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, bytes) => {
                    close(value, items.first(), items.last(), &bytes);
                    return Some(items);
                }
                event => items.push(self.node(None, event, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, value: &mut Range<usize>, depth: usize) -> Option<Vec<(String, Node)>> {
        let mut entries: Vec<(String, Node)> = Vec::new();
        loop {
            let (name, key) = match self.next()? {
                (Event::MappingEnd, bytes) => {
                    let first = entries.first().map(|(_, node)| node);
                    close(value, first, entries.last().map(|(_, node)| node), &bytes);
                    return Some(entries);
                }
                (Event::Scalar(text, ..), bytes) => (text.into_owned(), bytes),
                (Event::Alias(_), bytes) => (String::new(), bytes),
                _ => return None,
            };
            let event = self.next()?;
            let node = self.node(Some(key), event, depth + 1)?;
            entries.push((name, node));
        }
    }
}

/// Sets the range of a collection: from its first to its last element, or with its brackets in flow style.
fn close(value: &mut Range<usize>, first: Option<&Node>, last: Option<&Node>, end: &Range<usize>) {
    let start = |node: &Node| node.key.as_ref().map_or(node.value.start, |key| key.start);
    let stop = |node: &Node| {
        node.value
            .end
            .max(node.key.as_ref().map_or(0, |key| key.end))
    };
    // A bracket is one byte of text; the end of a block collection has none.
    if !end.is_empty() {
        value.end = end.end;
        return;
    }
    if let (Some(first), Some(last)) = (first, last) {
        *value = value.start.min(start(first))..stop(last);
    }
}
