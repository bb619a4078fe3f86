//! The objects of a snapshot by kind. Of several with the same key the last one counts, so that files overlay a cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::resource::{Kind, Resource, ResourceKey};

/// All objects, sorted by namespace and name within their kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Objects(BTreeMap<Kind, Vec<Arc<Resource>>>);

impl Objects {
    pub(super) fn new(resources: Vec<Arc<Resource>>) -> Self {
        let mut kinds: BTreeMap<Kind, Vec<Arc<Resource>>> = BTreeMap::new();
        for resource in resources {
            kinds.entry(resource.key.kind).or_default().push(resource);
        }
        for objects in kinds.values_mut() {
            // The sort is stable: of equal keys the last one given comes last, and is first once reversed.
            objects.reverse();
            objects.sort_by(|a, b| a.key.cmp(&b.key));
            objects.dedup_by(|later, first| later.key == first.key);
        }
        Self(kinds)
    }

    pub(super) fn of(&self, kind: Kind) -> &[Arc<Resource>] {
        self.0.get(&kind).map_or(&[], Vec::as_slice)
    }

    /// The objects of a kind in a namespace.
    pub(super) fn within(&self, kind: Kind, namespace: &str) -> &[Arc<Resource>] {
        let objects = self.of(kind);
        let start = objects.partition_point(|object| &*object.key.namespace < namespace);
        let objects = objects.get(start..).unwrap_or_default();
        let end = objects.partition_point(|object| &*object.key.namespace <= namespace);
        objects.get(..end).unwrap_or_default()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.0.values().flatten()
    }

    pub(super) fn get(&self, key: &ResourceKey) -> Option<&Arc<Resource>> {
        self.find(key.kind, &key.namespace, &key.name)
    }

    pub(super) fn find(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Arc<Resource>> {
        let objects = self.of(kind);
        objects
            .binary_search_by(|object| {
                (&*object.key.namespace, &*object.key.name).cmp(&(namespace, name))
            })
            .ok()
            .and_then(|position| objects.get(position))
    }
}
