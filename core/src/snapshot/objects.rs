//! The objects of a snapshot by kind. Of several with the same key the last one counts, so that files overlay a cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_ir::PersistentMap;

use super::ChangeSet;
use crate::resource::{Kind, Resource, ResourceKey};

/// All objects, sorted by namespace and name within their kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Objects(BTreeMap<Kind, ByName>);

/// By namespace and name.
type ByName = PersistentMap<(Arc<str>, Arc<str>), Arc<Resource>>;

/// The objects of one kind, sorted by namespace and name.
#[derive(Clone, Copy, Debug)]
pub struct Resources<'s>(Option<&'s ByName>);

// === impl Objects ===

impl Objects {
    /// The objects after a change.
    pub(super) fn next(&self, changes: &ChangeSet) -> Self {
        let mut next = self.clone();
        for (key, change) in changes.iter() {
            let kind = next.0.entry(key.kind).or_default();
            let name = (key.namespace.clone(), key.name.clone());
            match &change.after {
                Some(resource) => kind.insert(name, resource.clone()),
                None => kind.remove(&name),
            };
        }
        next
    }

    pub(super) fn of(&self, kind: Kind) -> Resources<'_> {
        Resources(self.0.get(&kind))
    }

    /// The objects of a kind in a namespace.
    pub(super) fn within<'s>(
        &'s self,
        kind: Kind,
        namespace: &'s str,
    ) -> impl Iterator<Item = &'s Arc<Resource>> {
        self.0
            .get(&kind)
            .into_iter()
            .flat_map(move |objects| objects.iter_from(move |(known, _)| **known < *namespace))
            .map(|(_, resource)| resource)
            .take_while(move |resource| &*resource.key.namespace == namespace)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.0.values().flat_map(PersistentMap::values)
    }

    pub(super) fn get(&self, key: &ResourceKey) -> Option<&Arc<Resource>> {
        self.find(key.kind, &key.namespace, &key.name)
    }

    pub(super) fn find(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Arc<Resource>> {
        let found = self.0.get(&kind)?;
        let found = found.get_by(|(a, b)| (&**a, &**b).cmp(&(namespace, name)))?;
        Some(found.1)
    }
}

// === impl Resources ===

impl<'s> Resources<'s> {
    /// The objects in order.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = &'s Arc<Resource>> + use<'s> {
        self.0.into_iter().flat_map(PersistentMap::values)
    }

    /// How many there are.
    pub fn len(self) -> usize {
        self.0.map_or(0, PersistentMap::len)
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl<'s> IntoIterator for Resources<'s> {
    type Item = &'s Arc<Resource>;
    type IntoIter = Box<dyn Iterator<Item = &'s Arc<Resource>> + 's>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}
