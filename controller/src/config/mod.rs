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
use mesh_ir::version_of;
use serde_json::Value;

pub use backoff::WatchBackoff;
pub use files::watch as watch_files;
pub use kubernetes::watch as watch_kubernetes;
pub use reader::Reader;

/// How many events may wait for the event loop; sources wait when it is behind.
pub const QUEUE: usize = 1024;

/// An object as a source has it. Those of Kubernetes' own kinds, which are many, come without their raw form; what that means is kept as
/// a hash.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The object.
    pub resource: Arc<Resource>,
    /// Equal for versions of an object that mean the same to the mesh: status updates of its own making and heartbeats do not count.
    pub meaning: u64,
}

/// What happened to the configuration.
#[derive(Debug)]
pub enum Event {
    /// An object is there, or changed.
    Apply(Observed),
    /// An object is gone; the version is that of the deletion, where it is known.
    Delete(ResourceKey, Option<Arc<str>>),
    /// These are all objects of a kind; others of that kind are gone.
    Replace(Kind, Vec<Observed>),
    /// These are all objects of all kinds.
    ReplaceAll(Vec<Observed>),
    /// These keys of tokens were fetched from an address.
    KeySet(Arc<str>, Arc<str>),
    /// All of these at once: no snapshot holds some of them only.
    Several(Vec<Event>),
}

impl From<Resource> for Observed {
    fn from(resource: Resource) -> Self {
        let (meta, row) = (&resource.meta, resource.key.kind.row());
        let parts = row.significant.iter();
        let parts: Vec<Option<&Value>> = parts.map(|part| resource.raw.pointer(part)).collect();
        let common = (&meta.labels, &meta.annotations, meta.deleting, meta.created);
        let meaning = version_of(&(common, &resource.origin, parts));
        // The others are shown as they are by the debug pages.
        let group = row.group();
        let is_configuration = group.ends_with(".istio.io") || group == "gateway.networking.k8s.io";
        let resource = if is_configuration {
            resource
        } else {
            resource.without_raw()
        };
        Self {
            resource: Arc::new(resource),
            meaning,
        }
    }
}
