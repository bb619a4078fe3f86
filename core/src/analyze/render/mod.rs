//! Findings as `istioctl analyze` prints them, and as other programs read them. Only the form is decided here; colours and streams are
//! the command line's.

mod github;
mod junit;
mod sarif;

use serde::Serialize;

use super::Code;
use crate::diag::Diagnostic;
use crate::source::{Origin, Span};

pub use github::github;
pub use junit::junit;
pub use sarif::sarif;

/// A finding with its place in a text, if it has one.
pub type Located<'f> = (&'f Diagnostic, Option<Span>);

/// A finding in JSON and YAML output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rendered {
    /// `IST0101`.
    pub code: &'static str,
    /// The page that explains the code.
    pub documentation_url: String,
    /// `Error`, `Warning` or `Info`.
    pub level: String,
    /// What is wrong.
    pub message: String,
    /// The object: `VirtualService default/reviews`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// `FILE:LINE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

impl Rendered {
    /// A finding with its place, if it has one.
    pub fn new(found: &Diagnostic, span: Option<&Span>) -> Self {
        Self {
            code: found.code,
            documentation_url: Code::documentation_url(found.code),
            level: found.level.to_string(),
            message: found.message.clone(),
            origin: found.resource.as_ref().map(ToString::to_string),
            reference: reference(found, span),
        }
    }
}

/// A finding on one line: `Error [IST0101] (VirtualService default/reviews a.yaml:12) Referenced host not found: "x"`.
pub fn line(found: &Diagnostic, span: Option<&Span>) -> String {
    let object = found.resource.as_ref().map(ToString::to_string);
    let place: Vec<String> = object.into_iter().chain(reference(found, span)).collect();
    let Diagnostic {
        code,
        level,
        message,
        ..
    } = found;
    if place.is_empty() {
        format!("{level} [{code}] {message}")
    } else {
        format!("{level} [{code}] ({}) {message}", place.join(" "))
    }
}

fn reference(found: &Diagnostic, span: Option<&Span>) -> Option<String> {
    match (span, found.origin.written()) {
        (Some(span), _) => Some(format!("{}:{}", span.file, span.line)),
        (None, Origin::File { name, .. }) => Some(name.to_string()),
        (None, _) => None,
    }
}
