//! All objects by key, owned by the event loop alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_core::resource::{Kind, Resource, ResourceKey};

use crate::config::Event;

/// The objects that are known.
#[derive(Debug, Default)]
pub struct Store {
    resources: BTreeMap<ResourceKey, Arc<Resource>>,
}

// === impl Store ===

impl Store {
    /// Applies an event and says whether anything that matters has changed.
    pub fn apply(&mut self, event: Event) -> bool {
        match event {
            Event::Apply(resource) => self.insert(*resource),
            Event::Delete(key) => self.resources.remove(&key).is_some(),
            Event::Replace(kind, resources) => self.replace(resources, |key| key.kind == kind),
            Event::ReplaceAll(resources) => self.replace(resources, |_| true),
        }
    }

    /// The objects, cheap to take.
    pub fn resources(&self) -> Vec<Arc<Resource>> {
        self.resources.values().cloned().collect()
    }

    /// How many objects there are of a kind.
    pub fn count(&self, kind: Kind) -> usize {
        self.resources.keys().filter(|key| key.kind == kind).count()
    }

    fn insert(&mut self, resource: Resource) -> bool {
        let same = self.resources.get(&resource.key).is_some_and(|old| is_same(old, &resource));
        if !same {
            self.resources.insert(resource.key.clone(), Arc::new(resource));
        }
        !same
    }

    fn replace(&mut self, resources: Vec<Resource>, concerned: impl Fn(&ResourceKey) -> bool) -> bool {
        let mut gone: std::collections::BTreeSet<ResourceKey> =
            self.resources.keys().filter(|key| concerned(key)).cloned().collect();
        let mut changed = false;
        for resource in resources {
            gone.remove(&resource.key);
            changed |= self.insert(resource);
        }
        for key in &gone {
            self.resources.remove(key);
        }
        changed || !gone.is_empty()
    }
}

/// Whether two versions of an object mean the same to the mesh: status updates of its own making and heartbeats do not count.
fn is_same(old: &Resource, new: &Resource) -> bool {
    fn meaning(resource: &Resource) -> impl PartialEq {
        let raw = &resource.raw;
        let status = match resource.key.kind {
            // Pods and nodes say in their status where and how they are.
            Kind::Pod => raw.pointer("/status/podIP").into_iter().chain(raw.pointer("/status/conditions")).cloned().collect(),
            _ => Vec::new(),
        };
        let body: Vec<serde_json::Value> = ["spec", "data", "endpoints", "ports", "subsets", "addressType"]
            .iter()
            .map(|field| raw.get(field).cloned().unwrap_or_default())
            .collect();
        (body, status, resource.meta.labels.clone(), resource.meta.annotations.clone(), resource.meta.deleting)
    }
    old.meta.resource_version.is_some() && old.meta.resource_version == new.meta.resource_version
        || meaning(old) == meaning(new)
}
