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

mod layer;

use std::cmp::Ordering;
use std::sync::Arc;

pub use layer::{Item, Layer, LayerEdit, LayerId, version_of};

use layer::Sum;

/// Layers over each other. Of several items of a name the uppermost counts.
#[derive(Debug)]
pub struct Table<T> {
    /// The lowest first.
    layers: Vec<Arc<Layer<T>>>,
    sum: Sum,
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
                .and_then(|(new, old)| new.changed_since(old.id()));
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
    use std::collections::{BTreeMap, BTreeSet};

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
