//! Where configuration text comes from, and the documents in it.
//!
//! ```text
//! text --parse--> Document { value, origin, index: field path -> byte span } --decode--> Resource
//! ```

use std::sync::Arc;

/// Where a document came from. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A file or pipe: its name as the user gave it (`-` for standard input), and which document of it, from 0.
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
    /// Made by the program itself, such as defaults.
    Builtin,
}
