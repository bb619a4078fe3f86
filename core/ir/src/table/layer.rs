//! One layer: values by name with their versions, made from an older layer by edits that it remembers.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{self, AtomicU64};

use crate::persistent::PersistentMap;

/// Steps that a layer remembers.
const STEPS: usize = 16;
/// Names of all steps that a layer remembers. Comparing everything is as good as a longer list.
const STEP_NAMES: usize = 1024;

/// Tells layers apart. A layer and what [`Layer::map`] makes of it have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LayerId(u64);

/// A value with its version.
#[derive(Debug)]
pub struct Item<T> {
    /// Hash of the value; see [`version_of`].
    pub version: u64,
    /// The value; none hides what lower layers have under the name.
    pub value: Option<Arc<T>>,
}

/// Values by name, immutable.
#[derive(Debug)]
pub struct Layer<T> {
    id: LayerId,
    pub(super) items: PersistentMap<Arc<str>, Item<T>>,
    pub(super) sum: Sum,
    /// What changed from one earlier layer to the next, the oldest first; the last step leads to this layer.
    history: Vec<Step>,
}

/// How many values there are, and the version of them all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) len: usize,
    pub(super) version: u64,
}

#[derive(Clone, Debug)]
struct Step {
    from: LayerId,
    names: Arc<[Arc<str>]>,
}

/// Makes a layer from an older one.
#[derive(Debug)]
pub struct LayerEdit<T> {
    base: Arc<Layer<T>>,
    items: PersistentMap<Arc<str>, Item<T>>,
    sum: Sum,
    changed: BTreeSet<Arc<str>>,
}

/// The version of a value: a hash of its content, equal in every process of one build.
///
/// It is SipHash with fixed keys, so equal values have equal versions after a restart, and different values practically never do.
pub fn version_of(value: &impl Hash) -> u64 {
    // `DefaultHasher::new` (unlike `RandomState`) has no random keys.
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

// === impl Layer ===

impl<T> Layer<T> {
    /// Tells it apart from all others.
    pub fn id(&self) -> LayerId {
        self.id
    }

    /// The item of a name.
    pub fn get(&self, name: &str) -> Option<&Item<T>> {
        self.items.get(name)
    }

    /// All items in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Item<T>)> {
        self.items.iter()
    }

    /// How many items there are, those that only hide others included.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The names whose items may differ from those of an earlier layer, perhaps several times; nothing if that is too long ago.
    pub fn changed_since(&self, earlier: LayerId) -> Option<impl Iterator<Item = &Arc<str>>> {
        let steps = if earlier == self.id {
            &[]
        } else {
            let first = self.history.iter().rposition(|step| step.from == earlier)?;
            self.history.get(first..)?
        };
        Some(steps.iter().flat_map(|step| step.names.iter()))
    }

    /// Earlier layers that [`Self::changed_since`] knows, the newest first.
    pub fn earlier(&self) -> impl Iterator<Item = LayerId> {
        self.history.iter().rev().map(|step| step.from)
    }

    /// The layer with something derived from each value, under the same names and versions and with the same identity. Only what
    /// changed since `previous`, the result for an earlier layer, is derived again.
    pub fn map<U>(
        &self,
        previous: Option<&Layer<U>>,
        derive: impl Fn(&Arc<str>, &Arc<T>) -> U,
    ) -> Layer<U> {
        let item = |name: &Arc<str>, item: &Item<T>| Item {
            version: item.version,
            value: item
                .value
                .as_ref()
                .map(|value| Arc::new(derive(name, value))),
        };
        let known = previous.and_then(|known| Some((known, self.changed_since(known.id)?)));
        let items = match known {
            None => self
                .iter()
                .map(|(name, found)| (name.clone(), item(name, found)))
                .collect(),
            Some((known, changed)) => {
                let mut items = known.items.clone();
                for name in changed.collect::<BTreeSet<_>>() {
                    match self.items.get_key_value(&**name) {
                        Some((name, found)) => items.insert(name.clone(), item(name, found)),
                        None => items.remove(&**name),
                    };
                }
                items
            }
        };
        Layer {
            id: self.id,
            items,
            sum: self.sum,
            history: self.history.clone(),
        }
    }
}

impl<T: Hash + Eq> Layer<T> {
    /// A layer of values; of several with one name the last counts.
    pub fn new(values: impl IntoIterator<Item = (Arc<str>, Arc<T>)>) -> Arc<Self> {
        let mut edit = LayerEdit::new(&Arc::default());
        for (name, value) in values {
            edit.put(name, value);
        }
        edit.finish()
    }
}

impl<T> Default for Layer<T> {
    /// The empty layer. All empty layers are told apart nevertheless.
    fn default() -> Self {
        Self {
            id: LayerId::next(),
            items: PersistentMap::default(),
            sum: Sum::default(),
            history: Vec::new(),
        }
    }
}

// === impl LayerId ===

impl LayerId {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, atomic::Ordering::Relaxed))
    }
}

// === impl LayerEdit ===

impl<T: Hash + Eq> LayerEdit<T> {
    /// Begins with what a layer has.
    pub fn new(base: &Arc<Layer<T>>) -> Self {
        Self {
            items: base.items.clone(),
            sum: base.sum,
            base: base.clone(),
            changed: BTreeSet::new(),
        }
    }

    /// The item of a name, as the edits so far have left it.
    pub fn get(&self, name: &str) -> Option<&Item<T>> {
        self.items.get(name)
    }

    /// Puts a value under a name. A value that is equal to the one there changes nothing; the one there stays.
    pub fn put(&mut self, name: Arc<str>, value: Arc<T>) {
        let known = self.items.get(&*name);
        if let Some(known) = known.and_then(|known| known.value.as_ref())
            && Arc::ptr_eq(known, &value)
        {
            return;
        }
        let version = version_of(&*value);
        if known
            .is_some_and(|known| known.version == version && known.value.as_ref() == Some(&value))
        {
            return;
        }
        let value = Some(value);
        self.set(name, Item { version, value });
    }

    /// Hides what lower layers have under a name.
    pub fn hide(&mut self, name: Arc<str>) {
        let hidden = |known: &Item<T>| known.value.is_none();
        if !self.items.get(&*name).is_some_and(hidden) {
            self.set(name, Item::hidden());
        }
    }

    /// Takes a name out of the layer.
    pub fn remove(&mut self, name: &str) {
        if let Some((name, item)) = self.items.get_key_value(name) {
            self.sum.remove(name, item);
            self.changed.insert(name.clone());
            let name = name.clone();
            self.items.remove(&*name);
        }
    }

    /// The layer; the very one it began with when nothing changed.
    pub fn finish(self) -> Arc<Layer<T>> {
        let Self {
            base,
            items,
            sum,
            mut changed,
        } = self;
        changed.retain(|name| {
            base.get(name).map(Item::identity) != items.get(&**name).map(Item::identity)
        });
        if changed.is_empty() {
            return base;
        }
        let mut history = base.history.clone();
        history.push(Step {
            from: base.id,
            names: changed.into_iter().collect(),
        });
        let mut names = 0;
        let kept = history.iter().rev().take(STEPS).take_while(|step| {
            names += step.names.len();
            names <= STEP_NAMES
        });
        let kept = kept.count();
        history.drain(..history.len() - kept);
        Arc::new(Layer {
            id: LayerId::next(),
            items,
            sum,
            history,
        })
    }

    fn set(&mut self, name: Arc<str>, item: Item<T>) {
        // The name that is there already is shared with older layers.
        let name = match self.items.get_key_value(&*name) {
            Some((known, item)) => {
                self.sum.remove(known, item);
                known.clone()
            }
            None => name,
        };
        self.sum.add(&name, &item);
        self.changed.insert(name.clone());
        self.items.insert(name, item);
    }
}

// === impl Item ===

impl<T> Item<T> {
    fn hidden() -> Self {
        Self {
            version: 0,
            value: None,
        }
    }

    /// What tells it apart from another item of the name.
    fn identity(&self) -> (u64, bool) {
        (self.version, self.value.is_some())
    }
}

impl<T> Clone for Item<T> {
    fn clone(&self) -> Self {
        Self {
            version: self.version,
            value: self.value.clone(),
        }
    }
}

// === impl Sum ===

impl Sum {
    pub(super) fn add<T>(&mut self, name: &str, item: &Item<T>) {
        if item.value.is_some() {
            self.len += 1;
            self.version = self.version.wrapping_add(version_of(&(name, item.version)));
        }
    }

    pub(super) fn remove<T>(&mut self, name: &str, item: &Item<T>) {
        if item.value.is_some() {
            self.len -= 1;
            self.version = self.version.wrapping_sub(version_of(&(name, item.version)));
        }
    }
}
