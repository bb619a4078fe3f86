//! What a proxy should have: encoded resources by name, shared by every stream that sends them.

use std::any::Any;
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

/// All resources of one type, by name, in two layers: what many proxies have alike, and what one has of its own. What is its own hides
/// what is shared under the same name.
#[derive(Clone, Debug, Default)]
pub struct ResourceSet {
    shared: Arc<[(Arc<str>, Entry)]>,
    own: Box<[(Arc<str>, Entry)]>,
}

/// All resources of a proxy: one immutable set per type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceSnapshot {
    version: u64,
    sets: [Arc<ResourceSet>; ResourceType::ALL.len()],
}

/// Encodes configurations, each resource once: what was encoded for one proxy is shared with all whose configuration holds an equal
/// resource.
#[derive(Debug, Default)]
pub struct Encoder {
    /// By content.
    known: FxHashMap<(ResourceType, u64), Known>,
    /// By address: most values are the very ones that were encoded before, and need not even be looked at.
    seen: FxHashMap<(ResourceType, usize), Seen>,
    round: u64,
}

#[derive(Debug)]
struct Known {
    name: Arc<str>,
    any: Bytes,
    round: u64,
}

#[derive(Debug)]
struct Seen {
    /// Keeps the address from being given to another value.
    _value: Arc<dyn Any + Send + Sync>,
    version: u64,
    round: u64,
}

// === impl ResourceSet ===

impl ResourceSet {
    /// The resource of a name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.find(name).map(|(_, entry)| entry)
    }

    /// All resources in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Entry)> {
        let (mut own, mut shared) = (self.own.iter().peekable(), self.shared.iter().peekable());
        std::iter::from_fn(move || {
            let (name, entry) = match (own.peek(), shared.peek()) {
                (Some((own_name, _)), Some((shared_name, _))) => match own_name.cmp(shared_name) {
                    Ordering::Greater => shared.next()?,
                    Ordering::Less => own.next()?,
                    Ordering::Equal => {
                        shared.next();
                        own.next()?
                    }
                },
                (Some(_), None) => own.next()?,
                (None, _) => shared.next()?,
            };
            Some((name, entry))
        })
    }

    /// The shared copy of a name.
    pub(crate) fn name(&self, name: &str) -> Option<Arc<str>> {
        self.find(name).map(|(name, _)| name.clone())
    }

    /// The names whose resources are not the same in two sets.
    pub(crate) fn changed<'a>(&'a self, other: &'a Self) -> Vec<&'a Arc<str>> {
        if Arc::ptr_eq(&self.shared, &other.shared) {
            let mut names: Vec<&Arc<str>> = self
                .own
                .iter()
                .chain(&other.own)
                .map(|(name, _)| name)
                .collect();
            names.sort();
            names.dedup();
            names.retain(|name| {
                self.get(name).map(|entry| entry.version)
                    != other.get(name).map(|entry| entry.version)
            });
            return names;
        }
        let mut names = vec![];
        let (mut left, mut right) = (self.iter().peekable(), other.iter().peekable());
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
        let hidden = self
            .own
            .iter()
            .filter(|(name, _)| find(&self.shared, name).is_some())
            .count();
        self.shared.len() + self.own.len() - hidden
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.shared.is_empty() && self.own.is_empty()
    }

    fn find(&self, name: &str) -> Option<&(Arc<str>, Entry)> {
        find(&self.own, name).or_else(|| find(&self.shared, name))
    }
}

fn find<'a>(layer: &'a [(Arc<str>, Entry)], name: &str) -> Option<&'a (Arc<str>, Entry)> {
    let index = layer
        .binary_search_by(|(known, _)| (**known).cmp(name))
        .ok()?;
    layer.get(index)
}

/// Entries sorted by name; of several with one name the last counts.
fn layer<L: FromIterator<(Arc<str>, Entry)>>(
    entries: impl IntoIterator<Item = (Arc<str>, Entry)>,
) -> L {
    entries
        .into_iter()
        .collect::<BTreeMap<_, _>>()
        .into_iter()
        .collect()
}

impl PartialEq for ResourceSet {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for ResourceSet {}

impl<N: Into<Arc<str>>> FromIterator<(N, Entry)> for ResourceSet {
    fn from_iter<I: IntoIterator<Item = (N, Entry)>>(entries: I) -> Self {
        Self {
            shared: layer(
                entries
                    .into_iter()
                    .map(|(name, entry)| (name.into(), entry)),
            ),
            own: Box::default(),
        }
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
    pub fn encode(&mut self, config: &ProxyConfig) -> ResourceSnapshot {
        let ProxyConfig {
            listeners,
            routes,
            clusters,
            endpoints,
            secrets,
            names,
        } = config;
        ResourceSnapshot::default()
            .with(ResourceType::Cluster, self.lasting_set(clusters))
            .with(ResourceType::Endpoints, self.lasting_set(endpoints))
            .with(ResourceType::Secret, self.set(secrets))
            .with(ResourceType::Listener, self.set(listeners))
            .with(ResourceType::Route, self.set(routes))
            .with(
                ResourceType::NameTable,
                self.set(std::slice::from_ref(names)),
            )
    }

    /// Puts what a proxy has of its own over what it shares with others. The sets of types of which it has nothing are the very same.
    pub fn encode_over(
        &mut self,
        shared: &ResourceSnapshot,
        own: &ProxyConfig,
    ) -> ResourceSnapshot {
        let ProxyConfig {
            listeners,
            routes,
            clusters,
            endpoints,
            secrets,
            // There is one table for all; nobody has names of its own.
            names: _,
        } = own;
        let mut all = shared.clone();
        self.put_over(&mut all, clusters);
        self.put_over(&mut all, endpoints);
        self.put_over(&mut all, secrets);
        self.put_over(&mut all, listeners);
        self.put_over(&mut all, routes);
        all
    }

    fn put_over<T: XdsResource>(&mut self, all: &mut ResourceSnapshot, own: &[Arc<T>]) {
        if own.is_empty() {
            return;
        }
        let set = ResourceSet {
            shared: all.get(T::TYPE).shared.clone(),
            own: layer(own.iter().map(|value| self.entry(&**value))),
        };
        *all = std::mem::take(all).with(T::TYPE, Arc::new(set));
    }

    /// One set of resources.
    pub fn set<T: XdsResource>(&mut self, values: &[Arc<T>]) -> Arc<ResourceSet> {
        Arc::new(values.iter().map(|value| self.entry(&**value)).collect())
    }

    fn lasting_set<T: XdsResource + Send + Sync + 'static>(
        &mut self,
        values: &[Arc<T>],
    ) -> Arc<ResourceSet> {
        Arc::new(values.iter().map(|value| self.lasting(value)).collect())
    }

    /// Forgets what no configuration has used since the last call; to be called after each generation.
    pub fn sweep(&mut self) {
        let round = self.round;
        self.known.retain(|_, known| known.round == round);
        self.seen.retain(|_, seen| seen.round == round);
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

    /// Encodes a value, or finds it by its content.
    fn entry<T: XdsResource>(&mut self, value: &T) -> (Arc<str>, Entry) {
        self.entry_of(value, version_of(value))
    }

    /// The same for values that usually stay from one configuration to the next, so that it pays to remember their addresses.
    fn lasting<T: XdsResource + Send + Sync + 'static>(
        &mut self,
        value: &Arc<T>,
    ) -> (Arc<str>, Entry) {
        let round = self.round;
        let seen = self
            .seen
            .entry((T::TYPE, Arc::as_ptr(value).addr()))
            .or_insert_with(|| Seen {
                _value: value.clone(),
                version: version_of(&**value),
                round,
            });
        seen.round = round;
        let version = seen.version;
        self.entry_of(&**value, version)
    }

    fn entry_of<T: XdsResource>(&mut self, value: &T, version: u64) -> (Arc<str>, Entry) {
        let round = self.round;
        let known = self
            .known
            .entry((T::TYPE, version))
            .or_insert_with(|| Known {
                name: value.name().into(),
                any: value.encode(),
                round,
            });
        known.round = round;
        let entry = Entry {
            version,
            any: known.any.clone(),
        };
        (known.name.clone(), entry)
    }
}
