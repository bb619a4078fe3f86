//! The door of `kube-inject`: a text of documents.
//!
//! ```text
//! text --parse_whole--> documents --inject--> value changed? --no--> the bytes as they came
//!                                                  +-------yes--> head + new YAML + tail
//! ```
//!
//! Head and tail of a changed document are the markers, comments and empty documents around it; they stay.

use std::fmt;
use std::ops::Range;

use serde_json::Value;

use super::{
    Decision, InjectConfig, InjectError, Namespace, Owner, SkipReason, decide, inject_pod, workload,
};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::source::{Document, parse_whole};
use crate::yaml::to_yaml;

/// Documents with proxies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injected {
    /// The text.
    pub text: String,
    /// Objects that got a proxy, or have one: `Deployment "default/web"`.
    pub injected: Vec<String>,
    /// Objects with pods that got none.
    pub skipped: Vec<Skipped>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// An object with pods that got no proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Kind.
    pub kind: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Why.
    pub reason: SkipReason,
}

/// Injects all workloads of a text. `name` is the text's name in findings; objects without a namespace are in `namespace`.
///
/// # Errors
/// All findings about documents that cannot be read or injected. Nothing is injected then: half a text would be applied as if
/// it were whole.
pub fn inject_text(
    name: &str,
    text: &str,
    namespace: &str,
    config: &InjectConfig,
) -> Result<Injected, Vec<Diagnostic>> {
    let (documents, mut findings) = parse_whole(name, text);
    let mut run = Run {
        config,
        namespace,
        injected: Vec::new(),
        skipped: Vec::new(),
        warnings: Vec::new(),
        errors: Vec::new(),
    };
    let mut out = String::with_capacity(text.len() * 2);
    for document in &documents {
        let mut value = (*document.value).clone();
        run.object(&mut value, &FieldPath::root());
        findings.extend(run.errors.drain(..).map(|error| finding(document, error)));
        if value == *document.value {
            out.push_str(document.text());
            continue;
        }
        out.push_str(&rewrite(document.text(), &value));
    }
    if documents.is_empty() {
        out.push_str(text);
    }
    if !findings.is_empty() {
        return Err(findings);
    }
    Ok(Injected {
        text: out,
        injected: run.injected,
        skipped: run.skipped,
        warnings: run.warnings,
    })
}

fn finding(document: &Document, error: InjectError) -> Diagnostic {
    Diagnostic {
        code: error.code,
        level: Level::Error,
        resource: None,
        origin: document.origin.clone(),
        path: error.path,
        message: error.message,
        hint: None,
    }
}

/// One pass over the documents of a text.
struct Run<'a> {
    config: &'a InjectConfig,
    namespace: &'a str,
    injected: Vec<String>,
    skipped: Vec<Skipped>,
    warnings: Vec<String>,
    errors: Vec<InjectError>,
}

// === impl Run ===

impl Run<'_> {
    /// Changes an object, or the objects of a list.
    fn object(&mut self, object: &mut Value, path: &FieldPath) {
        if object["kind"] == "List" && object["apiVersion"] == "v1" {
            let path = path.key("items");
            let items = object.get_mut("items").and_then(Value::as_array_mut);
            for (index, item) in items.into_iter().flatten().enumerate() {
                self.object(item, &path.index(index));
            }
            return;
        }
        let Some(found) = workload::find(object, self.namespace) else {
            return;
        };
        if let Err(mut error) = self.workload(object, found.path, found.owner) {
            let mut whole = path.clone();
            whole.0.extend(workload::field_path(found.path).0);
            whole.0.append(&mut error.path.0);
            error.path = whole;
            self.errors.push(error);
        }
    }

    fn workload(
        &mut self,
        object: &mut Value,
        path: &[&str],
        owner: Owner,
    ) -> Result<(), InjectError> {
        let Some(template) = workload::lookup_mut(object, path) else {
            return Ok(());
        };
        let namespace = Namespace {
            name: &owner.namespace,
            labels: None,
        };
        if let Decision::Skip(reason) = decide(template, namespace, self.config)? {
            self.skipped.push(Skipped {
                kind: owner.kind,
                namespace: owner.namespace,
                name: owner.name,
                reason,
            });
            return Ok(());
        }
        let pod = inject_pod(template, &owner, self.config)?;
        let title = title(&owner.kind, &owner.namespace, &owner.name);
        let warnings = pod.warnings.iter();
        self.warnings
            .extend(warnings.map(|warning| format!("{title}: {warning}")));
        self.injected.push(title);
        *template = pod.value;
        Ok(())
    }
}

fn title(kind: &str, namespace: &str, name: &str) -> String {
    format!("{kind} \"{namespace}/{name}\"")
}

impl fmt::Display for Skipped {
    /// `Deployment "default/web" has host networking enabled`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = title(&self.kind, &self.namespace, &self.name);
        write!(f, "{title} {}", self.reason)
    }
}

/// A document's text with another value.
fn rewrite(text: &str, value: &Value) -> String {
    if text.trim_start().starts_with('{') && serde_json::from_str::<Value>(text).is_ok() {
        let start = text.len() - text.trim_start().len();
        return format!("{}{value:#}\n", &text[..start]);
    }
    let Range { start, end } = content(text);
    let mut head = text[..start].to_owned();
    if text[start..end].starts_with("---") {
        // Content on the marker's own line.
        head.push_str("---\n");
    }
    format!("{head}{}{}", to_yaml(value), &text[end..])
}

/// The lines of a document that hold its value: without what is before (comments, directives, the marker) and after (comments
/// that are not indented, the end, empty documents).
fn content(text: &str) -> Range<usize> {
    let mut start = 0;
    let mut end = None;
    let mut inside = false;
    let mut position = 0;
    for line in text.split_inclusive('\n') {
        let after = position + line.len();
        let bare = line.trim_start_matches('\u{feff}').trim_end();
        let silent = bare.is_empty() || bare.trim_start().starts_with('#');
        let marker = bare.strip_prefix("---").map(str::trim_start);
        if inside {
            let ends = bare == "..." || bare.starts_with("... ") || is_marker(bare);
            if ends {
                end.get_or_insert(position);
                break;
            }
            if line.starts_with('#') {
                end.get_or_insert(position);
            } else if !bare.is_empty() {
                end = None;
            }
        } else if silent
            || bare.starts_with('%')
            || (is_marker(bare)
                && marker.is_some_and(|rest| rest.is_empty() || rest.starts_with('#')))
        {
            start = after;
        } else {
            inside = true;
        }
        position = after;
    }
    start..end.unwrap_or(text.len())
}

fn is_marker(line: &str) -> bool {
    line.strip_prefix("---")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
}
