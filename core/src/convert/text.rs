//! Texts in, texts out: documents of old kinds are replaced where the first of them stood, with the comments of all of them above, and
//! everything else stays as it came, byte for byte.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;

use super::{Converted, Legacy, LegacyKind, Note, Services, Surroundings, convert, legacy_kind};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::resource::{Resource, decode};
use crate::source::{Document, Part, Span, parse};
use crate::yaml::to_yaml;

/// A text with the name that the user gave for it.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Name.
    pub name: &'a str,
    /// Text.
    pub text: &'a str,
}

/// What becomes of texts.
#[derive(Clone, Debug, Default)]
pub struct ConvertedText {
    /// All of them as one text.
    pub text: String,
    /// The objects of today's that the text has.
    pub objects: Vec<Value>,
    /// How many old objects there were.
    pub legacy: usize,
    /// What is wrong, lost or said otherwise, in order.
    pub notes: Vec<NotedText>,
}

/// A note with its place.
#[derive(Clone, Debug)]
pub struct NotedText {
    /// Where.
    pub span: Span,
    /// The object, `RouteRule default/reviews`.
    pub object: String,
    /// The field.
    pub path: FieldPath,
    /// How bad it is.
    pub level: Level,
    /// What.
    pub message: String,
}

/// A part of a text between markers.
struct Chunk {
    range: Range<usize>,
}

/// A document of an old kind, by its number among all documents.
struct Old<'a> {
    document: &'a Document,
    legacy: Legacy,
}

/// Converts texts. Objects without a namespace are in `namespace`.
///
/// # Errors
/// Documents that cannot be read.
pub fn convert_texts(
    inputs: &[Input<'_>],
    namespace: &str,
    root_namespace: &str,
) -> Result<ConvertedText, Vec<Diagnostic>> {
    let mut documents: Vec<Vec<Document>> = Vec::new();
    let mut unreadable = Vec::new();
    for input in inputs {
        let (found, findings) = parse(input.name, input.text);
        documents.push(found);
        unreadable.extend(findings);
    }
    if !unreadable.is_empty() {
        return Err(unreadable);
    }
    let resources: Vec<Resource> = documents
        .iter()
        .flatten()
        .filter_map(|document| decode(document, Some(namespace)).0)
        .collect();
    let around = Surroundings {
        services: Services::new(resources.iter()),
        root_namespace: root_namespace.into(),
        domain: "cluster.local".into(),
        suffix: "",
        assumes_authorization: true,
    };
    let olds: Vec<Old<'_>> = documents
        .iter()
        .flatten()
        .filter_map(|document| old(document, namespace, root_namespace))
        .collect();
    let legacy: Vec<Legacy> = olds.iter().map(|old| old.legacy.clone()).collect();
    let (mut converted, notes) = convert(&legacy, &around);
    let taken = documents.iter().flatten().map(|document| &*document.value);
    rename(&mut converted, taken.filter_map(identity).collect());
    let written = Written::new(&olds, &converted);
    let mut text = String::new();
    for (input, documents) in inputs.iter().zip(&documents) {
        let part = written.text(input.text, documents, &olds);
        if !text.is_empty() && !part.is_empty() && !part.starts_with("---") {
            text.push_str("---\n");
        }
        text.push_str(&part);
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
    }
    Ok(ConvertedText {
        text,
        objects: written.objects(&documents, &olds),
        legacy: olds.len(),
        notes: notes.iter().map(|note| noted(note, &olds)).collect(),
    })
}

fn old<'a>(document: &'a Document, namespace: &str, root_namespace: &str) -> Option<Old<'a>> {
    let value = &document.value;
    let kind = legacy_kind(
        value.get("apiVersion")?.as_str()?,
        value.get("kind")?.as_str()?,
    )?;
    let own = value.pointer("/metadata/namespace").and_then(Value::as_str);
    let namespace = match kind {
        LegacyKind::MeshPolicy | LegacyKind::ClusterRbacConfig => root_namespace,
        _ => own.unwrap_or(namespace),
    };
    Some(Old {
        document,
        legacy: Legacy {
            kind,
            namespace: namespace.into(),
            value: value.clone(),
        },
    })
}

/// Kind, namespace and name.
type Identity = (String, String, String);

fn identity(value: &Value) -> Option<Identity> {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
    let namespace = text("/metadata/namespace").unwrap_or_default();
    Some((
        text("/kind")?.to_owned(),
        namespace.to_owned(),
        text("/metadata/name")?.to_owned(),
    ))
}

/// Gives another name to objects whose name another object has already.
fn rename(converted: &mut [Converted], mut taken: Vec<Identity>) {
    for one in converted {
        let Some((kind, namespace, name)) = identity(&one.value) else {
            continue;
        };
        let free = (0..).map(|count| match count {
            0 => name.clone(),
            1 => format!("{name}-converted"),
            more => format!("{name}-converted-{more}"),
        });
        let is_free =
            |name: &String| !taken.contains(&(kind.clone(), namespace.clone(), name.clone()));
        let chosen = free.into_iter().find(is_free).unwrap_or_default();
        one.value["metadata"]["name"] = chosen.clone().into();
        taken.push((kind, namespace, chosen));
    }
}

fn noted(note: &Note, olds: &[Old<'_>]) -> NotedText {
    let Old { document, legacy } = &olds[note.source];
    let text = |pointer| legacy.value.pointer(pointer).and_then(Value::as_str);
    let (kind, name) = (text("/kind"), text("/metadata/name"));
    NotedText {
        span: document.locate(&note.path, Part::Key),
        object: format!(
            "{} {}/{}",
            kind.unwrap_or_default(),
            legacy.namespace,
            name.unwrap_or_default()
        ),
        path: note.path.clone(),
        level: note.level,
        message: note.message.clone(),
    }
}

/// New objects by the old one in whose place they stand.
struct Written<'a>(BTreeMap<usize, Vec<(&'a Converted, String)>>);

// === impl Written ===

impl<'a> Written<'a> {
    fn new(olds: &[Old<'_>], converted: &'a [Converted]) -> Self {
        let mut all: BTreeMap<usize, Vec<_>> = BTreeMap::new();
        let mut told = std::collections::BTreeSet::new();
        for one in converted {
            let Some(first) = one.sources.iter().min() else {
                continue;
            };
            // Comments are told once, above the first object that an old one is part of.
            let fresh = one.sources.iter().filter(|source| told.insert(**source));
            let comments: String = fresh
                .map(|source| comments(olds[*source].document))
                .collect();
            all.entry(*first).or_default().push((one, comments));
        }
        Self(all)
    }

    /// The text of one input.
    fn text(&self, text: &str, documents: &[Document], olds: &[Old<'_>]) -> String {
        let mut written = String::new();
        for chunk in chunks(text) {
            let inside: Vec<&Document> = documents
                .iter()
                .filter(|document| chunk.range.contains(&first_byte(document)))
                .collect();
            let position = |document: &Document| {
                olds.iter()
                    .position(|old| std::ptr::eq(old.document, document))
            };
            if inside.iter().all(|document| position(document).is_none()) {
                written.push_str(&text[chunk.range]);
                continue;
            }
            for document in inside {
                let yaml: Vec<String> = match position(document) {
                    None => vec![to_yaml(&document.value)],
                    Some(position) => {
                        let new = self.0.get(&position).into_iter().flatten();
                        new.map(|(one, comments)| format!("{comments}{}", to_yaml(&one.value)))
                            .collect()
                    }
                };
                for yaml in yaml {
                    if !written.is_empty() {
                        if !written.ends_with('\n') {
                            written.push('\n');
                        }
                        written.push_str("---\n");
                    }
                    written.push_str(&yaml);
                }
            }
        }
        written
    }

    /// All objects in the order of the text.
    fn objects(&self, documents: &[Vec<Document>], olds: &[Old<'_>]) -> Vec<Value> {
        let mut objects = Vec::new();
        for document in documents.iter().flatten() {
            let position = olds
                .iter()
                .position(|old| std::ptr::eq(old.document, document));
            match position {
                None => objects.push(Value::clone(&document.value)),
                Some(position) => {
                    let new = self.0.get(&position).into_iter().flatten();
                    objects.extend(new.map(|(one, _)| one.value.clone()));
                }
            }
        }
        objects
    }
}

/// The parts of a text; each but the first begins with its marker.
fn chunks(text: &str) -> Vec<Chunk> {
    let mut starts = vec![0];
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let is_marker =
            line.starts_with("---") && !line[3..].starts_with(|c: char| !c.is_whitespace());
        if is_marker && at > 0 {
            starts.push(at);
        }
        at += line.len();
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let ranges = starts.iter().copied().zip(ends);
    ranges
        .map(|(start, end)| Chunk { range: start..end })
        .collect()
}

/// Where the first key of a document is.
fn first_byte(document: &Document) -> usize {
    let path = FieldPath::parse("apiVersion");
    document.locate(&path, Part::Key).bytes.start
}

/// The whole-line comments above and in a document.
fn comments(document: &Document) -> String {
    let text: &str = &document.source.text;
    let at = first_byte(document);
    let chunk = chunks(text)
        .into_iter()
        .find(|chunk| chunk.range.contains(&at));
    let lines = chunk
        .map(|chunk| &text[chunk.range])
        .unwrap_or_default()
        .lines();
    lines
        .map(str::trim)
        .filter(|line| line.starts_with('#'))
        .map(|line| format!("{line}\n"))
        .collect()
}
