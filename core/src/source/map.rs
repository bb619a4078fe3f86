//! All texts of a run, so that findings can be shown in them.

use std::collections::BTreeMap;

use super::document::{self, Document};
use super::index::Part;
use super::text::Span;
use super::{Origin, SourceText, list};
use crate::diag::{Diagnostic, FieldPath};
use std::sync::Arc;

/// The documents of all texts, by origin.
#[derive(Debug, Default)]
pub struct SourceMap {
    texts: BTreeMap<Arc<str>, Arc<SourceText>>,
    documents: BTreeMap<Origin, Document>,
    broken: BTreeMap<Origin, Span>,
}

impl SourceMap {
    /// Reads a text as [`super::parse`] does and remembers its documents and the places of its faults.
    pub fn parse(&mut self, name: &str, text: &str) -> (Vec<Document>, Vec<Diagnostic>) {
        self.remember(name, text, document::read(name, text, list::expand))
    }

    /// Reads a text as [`super::parse_whole`] does and remembers its documents and the places of its faults.
    pub fn parse_whole(&mut self, name: &str, text: &str) -> (Vec<Document>, Vec<Diagnostic>) {
        let read = document::read(name, text, |value| vec![(FieldPath::root(), value)]);
        self.remember(name, text, read)
    }

    fn remember(
        &mut self,
        name: &str,
        text: &str,
        (documents, broken): (Vec<Document>, Vec<(Diagnostic, Span)>),
    ) -> (Vec<Document>, Vec<Diagnostic>) {
        for document in &documents {
            self.add(document.clone());
        }
        let mut findings = Vec::new();
        for (finding, span) in broken {
            self.broken.insert(finding.origin.clone(), span);
            findings.push(finding);
        }
        if !findings.is_empty() && documents.is_empty() {
            let source = Arc::new(SourceText::new(name, text));
            self.texts.insert(source.name.clone(), source);
        }
        (documents, findings)
    }

    /// Remembers a document.
    pub fn add(&mut self, document: Document) {
        self.texts
            .entry(document.source.name.clone())
            .or_insert_with(|| document.source.clone());
        self.documents.insert(document.origin.clone(), document);
    }

    /// The document of an origin.
    pub fn document(&self, origin: &Origin) -> Option<&Document> {
        self.documents.get(origin.written())
    }

    /// Where a field of an object is; none for objects that have no text, such as a cluster's.
    pub fn locate(&self, origin: &Origin, path: &FieldPath, part: Part) -> Option<Span> {
        let origin = origin.written();
        if let Some(span) = self.broken.get(origin) {
            return Some(span.clone());
        }
        Some(self.documents.get(origin)?.locate(path, part))
    }

    /// Where a finding is.
    pub fn locate_finding(&self, finding: &Diagnostic) -> Option<Span> {
        self.locate(&finding.origin, &finding.path, Part::Value)
    }

    /// The text of a name.
    pub fn text(&self, name: &str) -> Option<&SourceText> {
        self.texts.get(name).map(|source| &**source)
    }
}
