//! What is known of the objects whose status is written, and which of them must be looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use mesh_core::diag::Diagnostic;
use mesh_core::resource::{Kind, Resource, ResourceKey};
use serde_json::Value;
use tokio::sync::Notify;

/// Objects of the mesh's own kinds. Written by the watchers, read by the writer.
#[derive(Debug, Default)]
pub struct Ledger {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<ResourceKey, Observed>,
    /// Objects to look at.
    pending: BTreeSet<ResourceKey>,
}

/// An object as it was last seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// `metadata.resourceVersion`.
    pub version: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// What its compiler found.
    pub findings: Vec<Diagnostic>,
    /// Whether nothing of it can be used.
    pub malformed: bool,
    /// `status`.
    pub status: Value,
}

// === impl Ledger ===

impl Ledger {
    /// Takes note of an object, and says whether its findings are others than before.
    pub fn observe(&self, resource: &Resource) -> bool {
        if !is_written(resource.key.kind) {
            return true;
        }
        let meta = &resource.meta;
        let observed = Observed {
            version: meta
                .resource_version
                .as_deref()
                .unwrap_or_default()
                .to_owned(),
            generation: meta.generation.unwrap_or_default(),
            findings: resource.findings.clone(),
            malformed: resource.malformed,
            status: resource.raw["status"].clone(),
        };
        let mut state = self.lock();
        state.pending.insert(resource.key.clone());
        let before = state.objects.insert(resource.key.clone(), observed);
        drop(state);
        self.changed.notify_one();
        before.is_none_or(|before| before.findings != resource.findings)
    }

    /// An object is gone.
    pub fn forget(&self, key: &ResourceKey) {
        let mut state = self.lock();
        state.objects.remove(key);
        state.pending.remove(key);
    }

    /// All objects of a kind that are not among these are gone.
    pub fn keep(&self, kind: Kind, listed: &BTreeSet<ResourceKey>) {
        let keeps = |key: &ResourceKey| key.kind != kind || listed.contains(key);
        let mut state = self.lock();
        state.objects.retain(|key, _| keeps(key));
        state.pending.retain(keeps);
    }

    /// Lets objects be looked at again.
    pub fn revisit<'a>(&self, keys: impl IntoIterator<Item = &'a ResourceKey>) {
        let mut state = self.lock();
        for key in keys {
            if state.objects.contains_key(key) {
                state.pending.insert(key.clone());
            }
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Lets all objects be looked at again.
    pub fn revisit_all(&self) {
        let mut state = self.lock();
        state.pending = state.objects.keys().cloned().collect();
        drop(state);
        self.changed.notify_one();
    }

    /// The next object to look at.
    pub fn next(&self) -> Option<(ResourceKey, Observed)> {
        let mut state = self.lock();
        while let Some(key) = state.pending.pop_first() {
            if let Some(observed) = state.objects.get(&key) {
                let observed = observed.clone();
                return Some((key, observed));
            }
        }
        None
    }

    /// Waits until there may be an object to look at.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the status of a kind is ours to write.
fn is_written(kind: Kind) -> bool {
    kind.row().writes_status
}

#[cfg(test)]
mod tests {
    use mesh_core::resource::decode_value;
    use mesh_core::source::Origin;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_same_findings_are_no_news() {
        let sidecar = |version: &str, hosts: &[&str]| {
            let value = json!({
                "apiVersion": "networking.istio.io/v1", "kind": "Sidecar",
                "metadata": {"name": "a", "namespace": "default", "resourceVersion": version},
                "spec": {"egress": [{"hosts": hosts}]},
            });
            decode_value(value, Origin::Builtin, None).0.unwrap()
        };
        let ledger = Ledger::default();
        assert!(ledger.observe(&sidecar("1", &["./*"])));
        assert!(!ledger.observe(&sidecar("2", &["./*"])));
        assert!(ledger.observe(&sidecar("3", &[])));
    }
}
