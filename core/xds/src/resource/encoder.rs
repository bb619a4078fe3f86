//! Encodes layers, each once.
//!
//! ```text
//! Table<Cluster>:  layer of all | layer of a namespace | layer of a proxy
//!                       |  encoded once, its successor from it by what changed
//! ResourceSet:     layer of all | layer of a namespace | layer of a proxy
//! ```

use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use mesh_ir::patch::PatchSet;
use mesh_ir::{Layer, LayerId, ProxyTables, Table, VirtualHost};
use rustc_hash::FxHashMap;

use super::patched::PatchedLayers;
use super::{
    DiscoveredHost, Entry, PerType, ResourceSet, ResourceSnapshot, ResourceType, XdsResource,
};

/// Grows when the same values are encoded otherwise, so that clients that come back are sent them again.
const ENCODING: &str = concat!(env!("CARGO_PKG_VERSION"), "/2");

/// Encoded layers that are remembered at least before those that nobody uses any more are looked for.
const FEW: usize = 64;

/// Encodes tables. It remembers encoded layers as long as a snapshot has them; its locks are held for look-ups only, never while
/// something is encoded.
#[derive(Debug, Default)]
pub struct Encoder {
    layers: PerType<Mutex<Layers>>,
    /// The same for proxies that patches are for.
    patched: PatchedLayers,
}

#[derive(Debug, Default)]
struct Layers {
    known: FxHashMap<LayerId, Weak<Layer<Entry>>>,
    /// How many there were after the last look for unused ones.
    used: usize,
}

// === impl Encoder ===

impl Encoder {
    /// Encodes what is not known yet.
    pub fn encode(&self, tables: &ProxyTables) -> ResourceSnapshot {
        self.encode_after(&ResourceSnapshot::default(), tables)
    }

    /// The same for what had another snapshot before. Sets in which nothing has changed are the very same ones.
    pub fn encode_after(
        &self,
        before: &ResourceSnapshot,
        tables: &ProxyTables,
    ) -> ResourceSnapshot {
        self.encode_patched(before, tables, None)
    }

    /// The same with patches laid over. Types of resources that they do not concern are shared with all other proxies.
    pub fn encode_patched(
        &self,
        before: &ResourceSnapshot,
        tables: &ProxyTables,
        patches: Option<&PatchSet>,
    ) -> ResourceSnapshot {
        let ProxyTables {
            listeners,
            routes,
            virtual_hosts,
            clusters,
            endpoints,
            secrets,
            names,
        } = tables;
        let mut snapshot = before.clone();
        self.put(&mut snapshot, clusters, patches);
        self.put(&mut snapshot, endpoints, patches);
        self.put(&mut snapshot, secrets, patches);
        self.put(&mut snapshot, listeners, patches);
        self.put(&mut snapshot, routes, patches);
        self.put(&mut snapshot, names, patches);
        let kind = ResourceType::VirtualHost;
        self.put_with(
            kind,
            &mut snapshot,
            virtual_hosts,
            patches,
            encode_virtual_host,
        );
        snapshot
    }

    fn put<T: XdsResource>(
        &self,
        snapshot: &mut ResourceSnapshot,
        table: &Table<T>,
        patches: Option<&PatchSet>,
    ) {
        self.put_with(T::TYPE, snapshot, table, patches, |_, value| value.encode());
    }

    fn put_with<T>(
        &self,
        kind: ResourceType,
        snapshot: &mut ResourceSnapshot,
        table: &Table<T>,
        patches: Option<&PatchSet>,
        encode: impl Fn(&Arc<str>, &Arc<T>) -> Bytes,
    ) {
        if let Some(patches) = patches.filter(|patches| crate::patch::concerns(kind, patches)) {
            let table = self.patched.table(kind, table, patches, &encode);
            put_table(snapshot, kind, table);
            return;
        }
        let before = snapshot.get(kind).table().layers().iter().map(|it| it.id());
        if before.eq(table.layers().iter().map(|layer| layer.id())) {
            return;
        }
        let table = table.map_layers(|layer| self.layer(kind, layer, &encode));
        put_table(snapshot, kind, table);
    }

    fn layer<T>(
        &self,
        kind: ResourceType,
        layer: &Arc<Layer<T>>,
        encode: impl Fn(&Arc<str>, &Arc<T>) -> Bytes,
    ) -> Arc<Layer<Entry>> {
        let known = self.layers.get(kind);
        let lock = || known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(encoded) = lock().get(layer.id()) {
            return encoded;
        }
        let earlier = layer.earlier().find_map(|id| lock().get(id));
        let encoded = layer.map(earlier.as_deref(), |name, value| {
            let version = wire_version(layer.get(name).map_or(0, |item| item.version));
            Entry::new(name, version, &encode(name, value))
        });
        let encoded = Arc::new(encoded);
        lock().put(&encoded);
        encoded
    }

    /// How many encoded layers are remembered.
    pub fn len(&self) -> usize {
        let count = |kind| {
            let layers = self.layers.get(kind).lock();
            let layers = layers.unwrap_or_else(PoisonError::into_inner);
            layers
                .known
                .values()
                .filter(|known| known.strong_count() > 0)
                .count()
        };
        ResourceType::ALL.into_iter().map(count).sum()
    }

    /// Whether none are remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Puts the set of a type, unless it is the one that is there.
fn put_table(snapshot: &mut ResourceSnapshot, kind: ResourceType, table: Table<Entry>) {
    let ids = |table: &Table<Entry>| -> Vec<LayerId> {
        table.layers().iter().map(|layer| layer.id()).collect()
    };
    if ids(snapshot.get(kind).table()) != ids(&table) {
        let set = Arc::new(ResourceSet::from(table));
        *snapshot = std::mem::take(snapshot).with(kind, set);
    }
}

fn encode_virtual_host(name: &Arc<str>, host: &Arc<VirtualHost>) -> Bytes {
    let (name, host) = (name.clone(), host.clone());
    DiscoveredHost { name, host }.encode()
}

// === impl Layers ===

impl Layers {
    fn get(&self, id: LayerId) -> Option<Arc<Layer<Entry>>> {
        self.known.get(&id)?.upgrade()
    }

    fn put(&mut self, layer: &Arc<Layer<Entry>>) {
        if self.known.len() >= (self.used * 2).max(FEW) {
            self.known.retain(|_, known| known.strong_count() > 0);
            self.used = self.known.len();
        }
        self.known.insert(layer.id(), Arc::downgrade(layer));
    }
}

/// The version that clients are told for a value of this version.
pub(super) fn wire_version(version: u64) -> u64 {
    super::version_of(&(ENCODING, version))
}

/// The same for what patches have changed.
pub(super) fn patched_version(version: u64, patches: u64) -> u64 {
    super::version_of(&(ENCODING, version, patches))
}
