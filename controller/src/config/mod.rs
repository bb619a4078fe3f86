//! Where configuration comes from. Both sources speak the same few events, so the store does not know which one feeds it.
//!
//! ```text
//! kubernetes (one watcher per kind) --+
//!                                     +--> Event --> the event loop
//! files (a directory) ----------------+
//! ```

mod backoff;
mod files;
mod installed;
mod kubernetes;
mod reader;

use std::sync::Arc;

use mesh_core::resource::{Kind, Resource, ResourceKey};

pub use backoff::WatchBackoff;
pub use files::watch as watch_files;
pub use kubernetes::watch as watch_kubernetes;
pub use reader::Reader;

/// How many events may wait for the event loop; sources wait when it is behind.
pub const QUEUE: usize = 1024;

/// What happened to the configuration.
#[derive(Debug)]
pub enum Event {
    /// An object is there, or changed.
    Apply(Arc<Resource>),
    /// An object is gone; the version is that of the deletion, where it is known.
    Delete(ResourceKey, Option<Arc<str>>),
    /// These are all objects of a kind; others of that kind are gone.
    Replace(Kind, Vec<Arc<Resource>>),
    /// These are all objects of all kinds.
    ReplaceAll(Vec<Arc<Resource>>),
}
