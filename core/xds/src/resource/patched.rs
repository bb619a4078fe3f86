//! Encoded layers with patches laid over, each made once for all proxies that have the same patches.
//!
//! A layer is made from the one of an earlier value of the same patches by what changed, like those without patches. What patches leave as
//! it is keeps its version, so that a new patch sends what it changes and nothing else.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use mesh_ir::patch::PatchSet;
use mesh_ir::{Item, Layer, LayerEdit, LayerId, Table};
use rustc_hash::FxHashMap;

use super::encoder::{patched_version, wire_version};
use super::{Entry, PerType, ResourceType};
use crate::patch;

/// Layers that are remembered at least before those that nobody uses any more are looked for.
const FEW: usize = 64;

/// The layer that was patched, or none for what patches add; and which patches.
type Key = (Option<LayerId>, u64);

/// Remembers patched layers as long as a snapshot has them.
#[derive(Debug, Default)]
pub(super) struct PatchedLayers(PerType<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    layers: FxHashMap<Key, Weak<Layer<Entry>>>,
    /// How many there were after the last look for unused ones.
    used: usize,
}

// === impl PatchedLayers ===

impl PatchedLayers {
    /// The patched resources of a table.
    pub(super) fn table<T>(
        &self,
        kind: ResourceType,
        table: &Table<T>,
        patches: &PatchSet,
        encode: &impl Fn(&Arc<str>, &Arc<T>) -> Bytes,
    ) -> Table<Entry> {
        let version = patches.version();
        let patched = table
            .layers()
            .iter()
            .fold(Table::default(), |below, layer| {
                below.over(self.layer(kind, layer, patches, version, encode))
            });
        let added = self.added(kind, patches, version);
        if added.is_empty() {
            patched
        } else {
            patched.over(added)
        }
    }

    fn layer<T>(
        &self,
        kind: ResourceType,
        layer: &Arc<Layer<T>>,
        patches: &PatchSet,
        version: u64,
        encode: &impl Fn(&Arc<str>, &Arc<T>) -> Bytes,
    ) -> Arc<Layer<Entry>> {
        let key = (Some(layer.id()), version);
        if let Some(known) = self.get(kind, key) {
            return known;
        }
        let earlier = layer
            .earlier()
            .find_map(|id| Some((id, self.get(kind, (Some(id), version))?)));
        let mut edit = LayerEdit::new(earlier.as_ref().map_or(&Arc::default(), |(_, it)| it));
        let changed = earlier.and_then(|(id, _)| layer.changed_since(id));
        let names: BTreeSet<&Arc<str>> = match changed {
            Some(changed) => changed.collect(),
            None => layer.iter().map(|(name, _)| name).collect(),
        };
        for name in names {
            let Some(Item { version: of, value }) = layer.get(name) else {
                edit.remove(name);
                continue;
            };
            let entry = value
                .as_ref()
                .and_then(|value| entry(kind, name, *of, &encode(name, value), (patches, version)));
            match entry {
                Some(entry) => edit.put(name.clone(), Arc::new(entry)),
                None => edit.hide(name.clone()),
            }
        }
        self.put(kind, key, edit.finish())
    }

    /// What patches add.
    fn added(&self, kind: ResourceType, patches: &PatchSet, version: u64) -> Arc<Layer<Entry>> {
        let key = (None, version);
        self.get(kind, key).unwrap_or_else(|| {
            let entries = patch::added(kind, patches).into_iter().map(|(name, any)| {
                let of = super::version_of(&any);
                let entry = Entry::new(&name, patched_version(of, version), &any);
                (name.into(), Arc::new(entry))
            });
            self.put(kind, key, Layer::new(entries))
        })
    }

    fn get(&self, kind: ResourceType, key: Key) -> Option<Arc<Layer<Entry>>> {
        let known = self.0.get(kind).lock();
        let known = known.unwrap_or_else(PoisonError::into_inner);
        known.layers.get(&key)?.upgrade()
    }

    fn put(&self, kind: ResourceType, key: Key, layer: Arc<Layer<Entry>>) -> Arc<Layer<Entry>> {
        let known = self.0.get(kind).lock();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        if known.layers.len() >= (known.used * 2).max(FEW) {
            known.layers.retain(|_, layer| layer.strong_count() > 0);
            known.used = known.layers.len();
        }
        known.layers.insert(key, Arc::downgrade(&layer));
        layer
    }
}

/// A patched resource; none if patches remove it.
fn entry(
    kind: ResourceType,
    name: &str,
    of: u64,
    plain: &Bytes,
    (patches, version): (&PatchSet, u64),
) -> Option<Entry> {
    let any = patch::patched(kind, name, plain, patches)?;
    let version = if any == *plain {
        wire_version(of)
    } else {
        patched_version(of, version)
    };
    Some(Entry::new(name, version, &any))
}
