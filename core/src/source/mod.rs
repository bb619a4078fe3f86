//! Where configuration text comes from, and the documents in it.
//!
//! ```text
//! text --parse--> Document { value, origin, index: field path -> byte span } --decode--> Resource
//! ```
//!
//! YAML is read from the parser's events in one pass straight into JSON values, with the scalar rules of `kubectl` (YAML 1.1:
//! `yes` is true, `0644` is octal). The index from field paths to spans is built only when somebody asks for a position,
//! because most documents are never complained about.

use std::sync::Arc;

mod document;
mod index;
mod json;
mod list;
mod map;
mod scalar;
mod text;
mod yaml;

pub(crate) use document::value;
pub use document::{Document, parse, parse_whole};
pub use index::Part;
pub use map::SourceMap;
pub use text::{SourceText, Span};

/// Code of findings about text that is not even a document.
pub const UNPARSABLE: &str = "MESH0003";

/// Where a document came from. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// A file or pipe: its name as the user gave it (`-` for standard input), and which document of it, from 0. The items of
    /// a List count as documents of their own.
    File {
        /// Name as given.
        name: Arc<str>,
        /// Position of the document among the file's documents.
        document: usize,
    },
    /// A cluster, by the name of its context.
    Cluster {
        /// Name of the context; may be empty inside a cluster.
        context: Arc<str>,
    },
    /// Made from another object, whose place is the source's: an Ingress, or one of the Gateway API.
    Derived(Arc<Derivation>),
    /// Made by the program itself, such as defaults.
    Builtin,
}

/// What an object is made from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Derivation {
    /// Where the object came from that it is made from.
    pub source: Origin,
    /// The only namespace whose pods apply it, if it is a Gateway of such pods.
    pub pods_of: Option<Arc<str>>,
    /// Whether that is an object of Istio's first API versions, which means what Istio's own objects do.
    pub is_legacy: bool,
}

// === impl Origin ===

impl Origin {
    /// Where the text is that one would change: of a derived object, that of the object it is made from.
    pub fn written(&self) -> &Self {
        match self {
            Self::Derived(derivation) => derivation.source.written(),
            Self::File { .. } | Self::Cluster { .. } | Self::Builtin => self,
        }
    }

    /// Whether another object stands behind the object, so that nobody can change it.
    pub fn is_derived(&self) -> bool {
        matches!(self, Self::Derived(_))
    }

    /// Whether an object of Istio's first API versions stands behind the object.
    pub fn is_legacy(&self) -> bool {
        matches!(self, Self::Derived(derivation) if derivation.is_legacy)
    }
}

#[cfg(test)]
mod tests;
