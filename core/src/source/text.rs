//! A text with a name, and positions in it as people count them.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// A text with the name that the user gave for it.
#[derive(Debug)]
pub struct SourceText {
    /// Name as given; `-` is standard input.
    pub name: Arc<str>,
    /// The text.
    pub text: String,
    lines: OnceLock<Vec<usize>>,
}

/// A place in a text. Lines and columns count from 1; columns count characters; the end is exclusive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Name of the text.
    pub file: Arc<str>,
    /// First line.
    pub line: usize,
    /// First column.
    pub column: usize,
    /// Line of the end.
    pub end_line: usize,
    /// Column after the last character.
    pub end_column: usize,
    /// The same as bytes of the text.
    pub bytes: Range<usize>,
}

// === impl SourceText ===

impl SourceText {
    /// A text with its name.
    pub fn new(name: &str, text: &str) -> Self {
        Self {
            name: name.into(),
            text: text.to_owned(),
            lines: OnceLock::new(),
        }
    }

    /// The place of a range of bytes; what lies outside of the text or between the bytes of a character is moved inwards.
    pub fn span(&self, bytes: Range<usize>) -> Span {
        let start = self.floor(bytes.start);
        let end = self.floor(bytes.end).max(start);
        let (line, column) = self.position(start);
        let (end_line, end_column) = self.position(end);
        Span {
            file: self.name.clone(),
            line,
            column,
            end_line,
            end_column,
            bytes: start..end,
        }
    }

    /// The text of a line, from 1, without its end.
    pub fn line(&self, line: usize) -> Option<&str> {
        let starts = self.starts();
        let start = *starts.get(line.checked_sub(1)?)?;
        let end = starts.get(line).copied().unwrap_or(self.text.len());
        Some(self.text.get(start..end)?.trim_end_matches(['\n', '\r']))
    }

    /// Line and column of a byte that begins a character.
    fn position(&self, byte: usize) -> (usize, usize) {
        let starts = self.starts();
        let line = starts.partition_point(|start| *start <= byte).max(1);
        let start = starts.get(line - 1).copied().unwrap_or(0);
        let column = self.text.get(start..byte).map_or(0, |before| {
            before.trim_start_matches('\u{feff}').chars().count()
        });
        (line, column + 1)
    }

    fn floor(&self, byte: usize) -> usize {
        let mut byte = byte.min(self.text.len());
        while !self.text.is_char_boundary(byte) {
            byte -= 1;
        }
        byte
    }

    fn starts(&self) -> &[usize] {
        self.lines.get_or_init(|| {
            let ends = self.text.bytes().enumerate();
            let after = ends
                .filter(|(_, byte)| *byte == b'\n')
                .map(|(at, _)| at + 1);
            std::iter::once(0).chain(after).collect()
        })
    }
}
