//! What a proxy should have: encoded resources by name, shared by every stream that sends them.

use std::sync::Arc;

use bytes::Bytes;
use mesh_ir::{Layer, Table};
use prost::Message as _;

use super::{PerType, ResourceType, format_version};
use crate::discovery::Resource;

/// One encoded resource. The default stands for one of which nothing is known: no resource has version 0 in practice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Hash of its content and of how it is encoded.
    pub version: u64,
    /// The encoded `google.protobuf.Any`.
    pub any: Bytes,
    /// The same with its name and version: a [`Resource`] of a delta response, of which `any` is a part.
    pub(crate) named: Bytes,
}

/// All resources of one type, by name, in layers: what all proxies have alike, what a namespace has, and what one proxy has of its
/// own. Sets share their layers, and know what changed from one to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceSet(Table<Entry>);

/// All resources of a proxy: one immutable set per type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceSnapshot {
    version: u64,
    sets: PerType<Arc<ResourceSet>>,
}

// === impl Entry ===

impl Entry {
    /// The resource of a name.
    pub fn new(name: &str, version: u64, any: &Bytes) -> Self {
        let resource = Resource {
            version: format_version(version),
            resource: any.clone(),
            name: name.to_owned(),
        };
        let named = Bytes::from(resource.encode_to_vec());
        // Only the field of the name comes behind it.
        let start = named.len() - any.len() - name_len(&resource.name);
        Self {
            version,
            any: named.slice(start..start + any.len()),
            named,
        }
    }

    /// One that a client is said to have: only its version is known.
    pub(crate) fn told(version: u64) -> Self {
        Self {
            version,
            ..Self::default()
        }
    }
}

/// Length of the field [`Resource::name`]. An empty one is left out.
fn name_len(name: &String) -> usize {
    if name.is_empty() {
        0
    } else {
        prost::encoding::string::encoded_len(3, name)
    }
}

// === impl ResourceSet ===

impl ResourceSet {
    /// The resource of a name.
    pub fn get(&self, name: &str) -> Option<&Arc<Entry>> {
        self.0.get(name).map(|(entry, _)| entry)
    }

    /// All resources in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<Entry>)> {
        self.0.iter().map(|(name, entry, _)| (name, entry))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The layers.
    pub(super) fn table(&self) -> &Table<Entry> {
        &self.0
    }

    /// The resources from the first name that is not before `start`.
    pub(crate) fn iter_from(&self, start: &str) -> impl Iterator<Item = (&Arc<str>, &Arc<Entry>)> {
        self.0
            .iter_from(start)
            .map(|(name, entry, _)| (name, entry))
    }

    /// The shared copy of a name.
    pub(crate) fn name(&self, name: &str) -> Option<Arc<str>> {
        self.0.shared_name(name).cloned()
    }

    /// The names whose resources are not the same as in an older set.
    pub(crate) fn changed_since(&self, older: &Self) -> Vec<Arc<str>> {
        self.0.changed_since(&older.0)
    }
}

impl From<Table<Entry>> for ResourceSet {
    fn from(table: Table<Entry>) -> Self {
        Self(table)
    }
}

impl<N: Into<Arc<str>>> FromIterator<(N, Entry)> for ResourceSet {
    fn from_iter<I: IntoIterator<Item = (N, Entry)>>(entries: I) -> Self {
        let entries = entries.into_iter();
        let values = entries.map(|(name, entry)| (name.into(), Arc::new(entry)));
        Self(Table::new(Layer::new(values)))
    }
}

// === impl ResourceSnapshot ===

impl ResourceSnapshot {
    /// The number that the caller has given it; 0 otherwise. Status reports speak of it.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The same snapshot under another number, which must grow from one to the next.
    pub fn with_version(mut self, version: u64) -> Self {
        self.version = version;
        self
    }

    /// The set of a type.
    pub fn get(&self, kind: ResourceType) -> &Arc<ResourceSet> {
        self.sets.get(kind)
    }

    /// The same snapshot with another set of one type.
    pub fn with(mut self, kind: ResourceType, set: Arc<ResourceSet>) -> Self {
        *self.sets.get_mut(kind) = set;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_lies_within_its_message() {
        let any = Bytes::from(vec![7; 300]);
        for name in ["a", &"n".repeat(127), &"n".repeat(128), &"n".repeat(20_000)] {
            let entry = Entry::new(name, 5, &any);
            assert_eq!(entry.any, any);
            let Resource {
                version,
                resource,
                name: read,
            } = Resource::decode(entry.named).unwrap();
            assert_eq!(
                (&*version, resource, &*read),
                (&*format_version(5), any.clone(), name)
            );
        }
    }
}
