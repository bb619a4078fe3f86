//! What a proxy should have: encoded resources by name, shared by every stream that sends them.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use mesh_ir::ProxyConfig;
use rustc_hash::FxHashMap;

use super::{ResourceType, XdsResource, version_of};

/// One encoded resource. The default stands for one of which nothing is known: no resource has version 0 in practice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Hash of its content; see [`version_of`].
    pub version: u64,
    /// The encoded `google.protobuf.Any`.
    pub any: Bytes,
}

/// All resources of one type, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceSet {
    entries: BTreeMap<Arc<str>, Entry>,
}

/// All resources of a proxy: one immutable set per type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    version: u64,
    sets: [Arc<ResourceSet>; ResourceType::ALL.len()],
}

/// Encodes configurations, each resource once: what was encoded for one proxy is shared with all whose configuration holds an equal
/// resource.
#[derive(Debug, Default)]
pub struct Encoder {
    known: FxHashMap<(ResourceType, u64), Known>,
    round: u64,
}

#[derive(Debug)]
struct Known {
    name: Arc<str>,
    any: Bytes,
    round: u64,
}

// === impl ResourceSet ===

impl ResourceSet {
    /// The resource of a name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// All resources in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Entry)> {
        self.entries.iter()
    }

    /// The shared copy of a name.
    pub(crate) fn name(&self, name: &str) -> Option<Arc<str>> {
        self.entries.get_key_value(name).map(|(key, _)| key.clone())
    }

    /// The names whose resources are not the same in two sets.
    pub(crate) fn changed<'a>(&'a self, other: &'a Self) -> Vec<&'a Arc<str>> {
        let mut names = vec![];
        let (mut left, mut right) = (
            self.entries.iter().peekable(),
            other.entries.iter().peekable(),
        );
        loop {
            let order = match (left.peek(), right.peek()) {
                (None, None) => return names,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                // Sets of one encoder share their names.
                (Some((a, _)), Some((b, _))) if Arc::ptr_eq(a, b) => Ordering::Equal,
                (Some((a, _)), Some((b, _))) => a.cmp(b),
            };
            match order {
                Ordering::Less => names.extend(left.next().map(|(name, _)| name)),
                Ordering::Greater => names.extend(right.next().map(|(name, _)| name)),
                Ordering::Equal => {
                    if let (Some((name, a)), Some((_, b))) = (left.next(), right.next())
                        && a.version != b.version
                    {
                        names.push(name);
                    }
                }
            }
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<N: Into<Arc<str>>> FromIterator<(N, Entry)> for ResourceSet {
    fn from_iter<I: IntoIterator<Item = (N, Entry)>>(entries: I) -> Self {
        Self {
            entries: entries
                .into_iter()
                .map(|(name, entry)| (name.into(), entry))
                .collect(),
        }
    }
}

// === impl Snapshot ===

impl Snapshot {
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
        let [clusters, endpoints, secrets, listeners, routes, names] = &self.sets;
        match kind {
            ResourceType::Cluster => clusters,
            ResourceType::Endpoints => endpoints,
            ResourceType::Secret => secrets,
            ResourceType::Listener => listeners,
            ResourceType::Route => routes,
            ResourceType::NameTable => names,
        }
    }

    /// The same snapshot with another set of one type.
    pub fn with(mut self, kind: ResourceType, set: Arc<ResourceSet>) -> Self {
        let [clusters, endpoints, secrets, listeners, routes, names] = &mut self.sets;
        *match kind {
            ResourceType::Cluster => clusters,
            ResourceType::Endpoints => endpoints,
            ResourceType::Secret => secrets,
            ResourceType::Listener => listeners,
            ResourceType::Route => routes,
            ResourceType::NameTable => names,
        } = set;
        self
    }
}

// === impl Encoder ===

impl Encoder {
    /// Encodes what is not known yet.
    pub fn encode(&mut self, config: &ProxyConfig) -> Snapshot {
        let ProxyConfig {
            listeners,
            routes,
            clusters,
            endpoints,
            secrets,
            names,
        } = config;
        Snapshot::default()
            .with(ResourceType::Cluster, self.set(clusters))
            .with(ResourceType::Endpoints, self.set(endpoints))
            .with(ResourceType::Secret, self.set(secrets))
            .with(ResourceType::Listener, self.set(listeners))
            .with(ResourceType::Route, self.set(routes))
            .with(
                ResourceType::NameTable,
                self.set(std::slice::from_ref(names)),
            )
    }

    /// One set of resources.
    pub fn set<T: XdsResource>(&mut self, values: &[Arc<T>]) -> Arc<ResourceSet> {
        let entries = values.iter().map(|value| self.entry(&**value)).collect();
        Arc::new(ResourceSet { entries })
    }

    /// Forgets what no configuration has used since the last call; to be called after each generation.
    pub fn sweep(&mut self) {
        let round = self.round;
        self.known.retain(|_, known| known.round == round);
        self.round += 1;
    }

    /// How many resources are remembered.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none are remembered.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    fn entry<T: XdsResource>(&mut self, value: &T) -> (Arc<str>, Entry) {
        let version = version_of(value);
        let known = self
            .known
            .entry((T::TYPE, version))
            .or_insert_with(|| Known {
                name: value.name().into(),
                any: value.encode(),
                round: 0,
            });
        known.round = self.round;
        let entry = Entry {
            version,
            any: known.any.clone(),
        };
        (known.name.clone(), entry)
    }
}
