//! Values by name in layers: what many proxies share lies once at the bottom, what a namespace and then a proxy has otherwise lies
//! above it.
//!
//! ```text
//! Table:  own layer        inbound listeners of one proxy
//!         overlay          short names, private services of one namespace
//!         shared layer     what every namespace sees            <- one Arc for all
//! ```
//!
//! A layer is immutable. The next one is made from it by a few edits, shares everything else with it, and remembers what the edits
//! were: whoever holds something derived from the older layer (an encoding, a client that has it) brings it up to date in as many
//! steps as there were changes. Every value carries its version, a hash that is computed once.

use std::cmp::Ordering;
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
    items: PersistentMap<Arc<str>, Item<T>>,
    sum: Sum,
    /// What changed from one earlier layer to the next, the oldest first; the last step leads to this layer.
    history: Vec<Step>,
}

/// How many values there are, and the version of them all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    len: usize,
    version: u64,
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

/// Layers over each other. Of several items of a name the uppermost counts.
#[derive(Debug)]
pub struct Table<T> {
    /// The lowest first.
    layers: Vec<Arc<Layer<T>>>,
    sum: Sum,
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

// === impl Table ===

impl<T> Table<T> {
    /// A table of one layer.
    pub fn new(shared: Arc<Layer<T>>) -> Self {
        Self::default().over(shared)
    }

    /// The table with one more layer over it.
    pub fn over(&self, layer: Arc<Layer<T>>) -> Self {
        let mut sum = layer.sum;
        if !self.is_empty() {
            sum.len += self.sum.len;
            sum.version = sum.version.wrapping_add(self.sum.version);
            for (name, _) in layer.iter() {
                if let Some(below) = self.item(name) {
                    sum.remove(name, below);
                }
            }
        }
        let mut layers = self.layers.clone();
        layers.push(layer);
        Self { layers, sum }
    }

    /// The table with something derived from each value. `derive` gives of each layer what [`Layer::map`] makes of it, so that both
    /// tables have the same names and versions.
    pub fn map_layers<U>(&self, derive: impl FnMut(&Arc<Layer<T>>) -> Arc<Layer<U>>) -> Table<U> {
        Table {
            layers: self.layers.iter().map(derive).collect(),
            sum: self.sum,
        }
    }

    /// The layers, the lowest first.
    pub fn layers(&self) -> &[Arc<Layer<T>>] {
        &self.layers
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.sum.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sum.len == 0
    }

    /// The version of the whole: equal for tables of equal values, however they are layered.
    pub fn version(&self) -> u64 {
        self.sum.version
    }

    /// The value of a name, with its version.
    pub fn get(&self, name: &str) -> Option<(&Arc<T>, u64)> {
        let item = self.item(name)?;
        Some((item.value.as_ref()?, item.version))
    }

    /// The name as the layers have it, which is shared with all who have it.
    pub fn shared_name(&self, name: &str) -> Option<&Arc<str>> {
        let mut layers = self.layers.iter().rev();
        let (name, _) = layers.find_map(|layer| layer.items.get_key_value(name))?;
        Some(name)
    }

    /// All values with their names and versions, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<T>, u64)> {
        let layers = self.layers.iter().map(|layer| layer.items.iter());
        merge(layers.collect())
    }

    /// The same from the first name that is not before `start`.
    pub fn iter_from<'a>(
        &'a self,
        start: &str,
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a Arc<T>, u64)> + use<'a, T> {
        let layers = self.layers.iter();
        let layers = layers.map(|layer| layer.items.iter_from(|name| **name < *start));
        merge(layers.collect())
    }

    /// The names of which this table and an older one have different values, sorted. It takes as long as layers have changes, and
    /// is only as long as a whole comparison where layers do not know each other.
    pub fn changed_since(&self, older: &Self) -> Vec<Arc<str>> {
        if older.is_empty() {
            return self.iter().map(|(name, ..)| name.clone()).collect();
        }
        let mut names: Vec<&Arc<str>> = Vec::new();
        for index in 0..self.layers.len().max(older.layers.len()) {
            let (new, old) = (self.layers.get(index), older.layers.get(index));
            let known = new
                .zip(old)
                .and_then(|(new, old)| new.changed_since(old.id));
            match known {
                Some(changed) => names.extend(changed),
                None => {
                    let both = new.into_iter().chain(old);
                    names.extend(both.flat_map(|layer| layer.items.keys()));
                }
            }
        }
        names.sort_unstable();
        names.dedup();
        let version = |table: &Self, name| table.get(name).map(|(_, version)| version);
        names.retain(|name| version(self, name) != version(older, name));
        names.into_iter().cloned().collect()
    }

    fn item(&self, name: &str) -> Option<&Item<T>> {
        self.layers.iter().rev().find_map(|layer| layer.get(name))
    }
}

// === impl Sum ===

impl Sum {
    fn add<T>(&mut self, name: &str, item: &Item<T>) {
        if item.value.is_some() {
            self.len += 1;
            self.version = self.version.wrapping_add(version_of(&(name, item.version)));
        }
    }

    fn remove<T>(&mut self, name: &str, item: &Item<T>) {
        if item.value.is_some() {
            self.len -= 1;
            self.version = self.version.wrapping_sub(version_of(&(name, item.version)));
        }
    }
}

/// Entries of several layers, the lowest first, in the order of their names; the uppermost of a name counts.
fn merge<'a, T: 'a>(
    layers: Vec<impl Iterator<Item = (&'a Arc<str>, &'a Item<T>)>>,
) -> impl Iterator<Item = (&'a Arc<str>, &'a Arc<T>, u64)> {
    let mut layers: Vec<_> = layers.into_iter().map(Iterator::peekable).collect();
    std::iter::from_fn(move || {
        loop {
            let mut next: Option<(&'a Arc<str>, &'a Item<T>)> = None;
            for layer in &mut layers {
                if let Some((name, item)) = layer.peek()
                    && next.is_none_or(|(first, _)| *name <= first)
                {
                    next = Some((*name, *item));
                }
            }
            let (name, item) = next?;
            for layer in &mut layers {
                layer.next_if(|(other, _)| (**other).cmp(name) == Ordering::Equal);
            }
            if let Some(value) = &item.value {
                return Some((name, value, item.version));
            }
        }
    })
}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        Self {
            layers: self.layers.clone(),
            sum: self.sum,
        }
    }
}

impl<T> Default for Table<T> {
    /// The table without layers.
    fn default() -> Self {
        Self {
            layers: Vec::new(),
            sum: Sum::default(),
        }
    }
}

impl<T: PartialEq> PartialEq for Table<T> {
    /// Whether both have equal values under equal names, however they are layered.
    fn eq(&self, other: &Self) -> bool {
        self.sum == other.sum && self.iter().eq(other.iter())
    }
}

impl<T: Eq> Eq for Table<T> {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// What is done to a layer: put, hide or remove.
    type Edit = (u8, u8, u8);

    fn edits() -> impl Strategy<Value = Vec<Vec<Edit>>> {
        let edit = (0u8..3, 0u8..12, 0u8..3);
        prop::collection::vec(prop::collection::vec(edit, 0..4), 0..8)
    }

    fn name(key: u8) -> Arc<str> {
        format!("{key:03}").into()
    }

    fn edited(layer: &Arc<Layer<u8>>, edits: &[Edit]) -> Arc<Layer<u8>> {
        let mut edit = LayerEdit::new(layer);
        for &(what, key, value) in edits {
            match what {
                0 => edit.hide(name(key)),
                1 => edit.remove(&name(key)),
                _ => edit.put(name(key), Arc::new(value)),
            }
        }
        edit.finish()
    }

    /// What a table of these layers has.
    fn model(layers: &[Arc<Layer<u8>>]) -> BTreeMap<Arc<str>, u8> {
        let mut values = BTreeMap::new();
        for layer in layers {
            for (name, item) in layer.iter() {
                match &item.value {
                    Some(value) => values.insert(name.clone(), **value),
                    None => values.remove(name),
                };
            }
        }
        values
    }

    fn table(layers: &[Arc<Layer<u8>>]) -> Table<u8> {
        let table = Table::default();
        layers
            .iter()
            .fold(table, |table, layer| table.over(layer.clone()))
    }

    proptest! {
        /// A table has what its layers say, and knows what changed since any older one.
        #[test]
        fn tables_know_what_they_have_and_what_changed(below in edits(), above in edits()) {
            let mut layers = [Arc::<Layer<u8>>::default(), Arc::default()];
            let mut older = vec![(table(&layers), model(&layers))];
            for step in 0..below.len().max(above.len()) {
                for (layer, edits) in layers.iter_mut().zip([&below, &above]) {
                    *layer = edited(layer, edits.get(step).map_or(&[], Vec::as_slice));
                }
                let (table, model) = (table(&layers), model(&layers));
                let found: BTreeMap<Arc<str>, u8> = table.iter().map(|(name, value, _)| (name.clone(), **value)).collect();
                prop_assert_eq!(&found, &model);
                prop_assert_eq!(table.len(), model.len());
                let from: Vec<_> = table.iter_from("005").map(|(name, _, _)| name).collect();
                prop_assert!(from.into_iter().eq(model.range(name(5)..).map(|(name, _)| name)));
                for (old, old_model) in &older {
                    let names = table.changed_since(old);
                    let differ = |name: &&Arc<str>| model.get(*name) != old_model.get(*name);
                    let all: BTreeSet<&Arc<str>> = model.keys().chain(old_model.keys()).collect();
                    prop_assert!(names.iter().eq(all.into_iter().filter(differ)));
                    prop_assert_eq!(old.version() == table.version(), names.is_empty());
                    prop_assert_eq!(old == &table, names.is_empty());
                }
                older.push((table, model));
            }
        }

        /// What is derived step by step is what is derived at once.
        #[test]
        fn derived_layers_follow_their_source(steps in edits()) {
            let mut layer = Arc::<Layer<u8>>::default();
            let mut derived = layer.map(None, |_, value| u16::from(**value));
            for edits in &steps {
                layer = edited(&layer, edits);
                derived = layer.map(Some(&derived), |_, value| u16::from(**value));
                let whole = layer.map(None, |_, value| u16::from(**value));
                let listed = |layer: &Layer<u16>| -> Vec<_> {
                    layer.iter().map(|(name, item)| (name.clone(), item.version, item.value.clone())).collect()
                };
                prop_assert_eq!(listed(&derived), listed(&whole));
                prop_assert_eq!(derived.id(), layer.id());
            }
        }
    }

    #[test]
    fn an_edit_that_changes_nothing_gives_the_very_same_layer() {
        let layer = Layer::new([(name(1), Arc::new(1)), (name(2), Arc::new(2))]);
        let mut edit = LayerEdit::new(&layer);
        edit.put(name(1), Arc::new(1));
        edit.put(name(2), Arc::new(3));
        edit.put(name(2), Arc::new(2));
        edit.remove("none");
        assert!(Arc::ptr_eq(&edit.finish(), &layer));
    }

    #[test]
    fn only_what_changed_is_derived_again() {
        let layer = Layer::new((0..100).map(|key| (name(key), Arc::new(key))));
        let derived = layer.map(None, |_, value| u16::from(**value));
        let next = edited(&layer, &[(2, 7, 9), (1, 8, 0)]);
        let count = std::cell::Cell::new(0);
        let after = next.map(Some(&derived), |_, value| {
            count.set(count.get() + 1);
            u16::from(**value)
        });
        assert_eq!(count.get(), 1);
        assert_eq!(after.len(), 99);
        let mut names: Vec<_> = next.changed_since(layer.id()).unwrap().cloned().collect();
        names.sort();
        assert_eq!(names, [name(7), name(8)]);
    }
}
