//! Translation with memory, for those who serve many proxies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use mesh_ir::patch::PatchSet;
use mesh_ir::{ProxyConfig, ProxyKind, ProxyScope, ProxyTables};

use super::cache::TranslationCache;
use super::config::LocalResources;
use super::envoy_filters;
use super::gateway;
use super::outbound::{Outbound, OutboundKey, Public, PublicKey};
use super::telemetry;
use crate::diag::Diagnostic;
use crate::model::MeshConfig;
use crate::resource::ResourceKey;
use crate::snapshot::derived::backend_tls::is_of_policy;
use crate::snapshot::{Difference, Snapshot};

/// Snapshots in a row for which nobody has asked for a part, before it is forgotten.
const FORGOTTEN_AFTER: u64 = 32;

/// Translates one snapshot for many proxies, from any number of threads. Proxies that depend on the same share the same layers of
/// tables; [`Translator::next`] brings them up to date with a new snapshot.
#[derive(Debug)]
pub struct Translator {
    snapshot: Arc<Snapshot>,
    /// Counts snapshots.
    generation: u64,
    cache: TranslationCache,
    public: Mutex<Cells<PublicKey, Public>>,
    outbound: Mutex<Cells<OutboundKey, Outbound>>,
    own: Mutex<Cells<ProxyScope, Own>>,
}

/// Parts by what they depend on.
type Cells<K, T> = BTreeMap<K, Arc<Cell<T>>>;

/// A part that the first one makes who needs it.
#[derive(Debug)]
struct Cell<T> {
    value: OnceLock<Arc<T>>,
    /// The last snapshot for which it was asked for.
    asked: AtomicU64,
}

/// What a proxy has of its own.
#[derive(Debug)]
struct Own {
    tables: ProxyTables,
    /// None without any.
    patches: Option<Arc<PatchSet>>,
    diagnostics: Vec<Diagnostic>,
}

/// A configuration with the findings about the objects that it depends on.
#[derive(Clone, Debug)]
pub struct Translated {
    /// What the proxy must do.
    pub config: ProxyConfig,
    /// What is wrong with or without effect in the objects.
    pub diagnostics: Vec<Diagnostic>,
}

// === impl Translator ===

impl Translator {
    /// A translator without memory of earlier snapshots.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            snapshot,
            generation: FORGOTTEN_AFTER,
            cache: TranslationCache::default(),
            public: Mutex::default(),
            outbound: Mutex::default(),
            own: Mutex::default(),
        }
    }

    /// The translator of a newer snapshot, with the parts that were asked for lately. It takes as long as the snapshots differ.
    pub fn next(&self, snapshot: Arc<Snapshot>) -> Self {
        let difference = snapshot.difference_from(self.snapshot.id());
        let next = Self {
            generation: self.generation + 1,
            cache: self.cache.next(&difference),
            snapshot,
            public: Mutex::default(),
            outbound: Mutex::default(),
            own: Mutex::default(),
        };
        next.carry_over_own(self, &difference);
        if !difference.everything {
            next.carry_over_outbound(self, &difference);
        }
        next
    }

    /// The snapshot that is translated.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// What a proxy must do, as [`super::translate`] says it.
    pub fn translate(&self, scope: &ProxyScope) -> Translated {
        let key = OutboundKey::of(&self.snapshot, scope);
        let (outbound, own) = (self.outbound(&key), self.own(scope));
        let mut diagnostics = outbound.findings(&self.snapshot, &self.cache, &key);
        diagnostics.extend(own.diagnostics.iter().cloned());
        Translated {
            config: outbound.tables.over(&own.tables).to_config(),
            diagnostics,
        }
    }

    /// What a proxy must do, in layers that it shares with others: the public one, that of its namespace, and its own. Layers of which
    /// nothing has changed since an earlier snapshot are the very same.
    pub fn tables(&self, scope: &ProxyScope) -> ProxyTables {
        let key = OutboundKey::of(&self.snapshot, scope);
        self.outbound(&key).tables.over(&self.own(scope).tables)
    }

    /// What a proxy has of its own, apart from the outbound part that it shares with all that have its [`OutboundKey`]. Where both have
    /// a name, its own counts.
    pub fn own_tables(&self, scope: &ProxyScope) -> ProxyTables {
        self.own(scope).tables.clone()
    }

    /// What is wrong with the objects that a proxy's own part is made from.
    pub fn own_diagnostics(&self, scope: &ProxyScope) -> Vec<Diagnostic> {
        self.own(scope).diagnostics.clone()
    }

    /// Names of the secrets that a gateway may be given although it may not read the Secrets of its namespace: those that Gateways of the
    /// Gateway API name for pods of their own.
    pub fn granted_secrets(&self, scope: &ProxyScope) -> BTreeSet<Arc<str>> {
        gateway::granted(&self.snapshot, scope)
    }

    /// Whether a secret is anybody's: certificates to trust that a ConfigMap holds.
    pub fn is_public_secret(name: &str) -> bool {
        is_of_policy(name)
    }

    /// What is laid over a proxy's configuration once it is encoded; none without any.
    pub fn patches(&self, scope: &ProxyScope) -> Option<Arc<PatchSet>> {
        self.own(scope).patches.clone()
    }

    /// The outbound part for a key, the same `Arc` for all proxies that have the key.
    pub fn outbound(&self, key: &OutboundKey) -> Arc<Outbound> {
        self.part(&self.outbound, key, || {
            let public = self.public(key);
            Outbound::new(&self.snapshot, &self.cache, key, &public)
        })
    }

    /// What lies below the outbound part for a key.
    fn public(&self, key: &OutboundKey) -> Arc<Public> {
        let key = key.public();
        self.part(&self.public, &key, || {
            Public::new(&self.snapshot, &self.cache, &key)
        })
    }

    /// Proxies that differ by nothing but addresses share what they have of their own, unless a service lists the address.
    fn own(&self, scope: &ProxyScope) -> Arc<Own> {
        let mut scope = scope.clone();
        scope.address = scope
            .address
            .filter(|address| self.snapshot.lists(*address));
        self.part(&self.own, &scope, || Own::new(self, &scope, None))
    }

    fn part<K: Ord + Clone, T>(
        &self,
        cells: &Mutex<Cells<K, T>>,
        key: &K,
        make: impl FnOnce() -> T,
    ) -> Arc<T> {
        let known = lock(cells).get(key).cloned();
        let cell = known.unwrap_or_else(|| {
            let mut cells = lock(cells);
            cells.entry(key.clone()).or_default().clone()
        });
        cell.asked.store(self.generation, Ordering::Relaxed);
        cell.value.get_or_init(|| Arc::new(make())).clone()
    }
}

// === impl Translator: from one snapshot to the next ===

impl Translator {
    fn carry_over_outbound(&self, before: &Self, difference: &Difference) {
        let (snapshot, cache) = (&self.snapshot, &self.cache);
        for (key, old, _) in before.remembered(&before.public) {
            let next = old.next(snapshot, cache, &key, difference);
            // It lies below all others, and is therefore never forgotten.
            put(&self.public, key, next, self.generation);
        }
        for (key, old, asked) in before.remembered(&before.outbound) {
            // Rules that look at other labels now make other keys.
            let known = lock(&self.public).get(&key.public()).cloned();
            if let Some(public) = known.as_ref().and_then(|cell| cell.value.get()) {
                let next = old.next(snapshot, cache, &key, (public, difference));
                put(&self.outbound, key, next, asked);
            }
        }
    }

    fn carry_over_own(&self, before: &Self, difference: &Difference) {
        let sends_elsewhere = telemetry::is_concerned(&self.snapshot, difference);
        for (scope, old, asked) in before.remembered(&before.own) {
            let next = if sends_elsewhere || concerns_own(difference, self.snapshot.mesh(), &scope)
            {
                Arc::new(Own::new(self, &scope, Some(&old.tables)))
            } else {
                old
            };
            let cell = Cell {
                value: OnceLock::from(next),
                asked: AtomicU64::new(asked),
            };
            lock(&self.own).insert(scope, Arc::new(cell));
        }
    }

    /// The parts that somebody has asked for lately, with when that was.
    fn remembered<K: Clone, T>(&self, cells: &Mutex<Cells<K, T>>) -> Vec<(K, Arc<T>, u64)> {
        lock(cells)
            .iter()
            .filter_map(|(key, cell)| {
                let asked = cell.asked.load(Ordering::Relaxed);
                let lately = asked + FORGOTTEN_AFTER > self.generation;
                Some((key.clone(), cell.value.get()?.clone(), asked)).filter(|_| lately)
            })
            .collect()
    }
}

/// Whether what a proxy has of its own may be another. Sidecars read the services and pods of their namespace, gateways nearly
/// everything but endpoints.
fn concerns_own(difference: &Difference, mesh: &MeshConfig, scope: &ProxyScope) -> bool {
    let Difference {
        everything,
        services,
        instances: _,
        virtual_services,
        virtual_service_objects: _,
        destination_rules,
        service_namespaces,
        listed_addresses,
        pod_namespaces,
        secret_namespaces,
        policies,
        others,
    } = difference;
    let (namespace, root) = (scope.namespace.as_str(), mesh.root_namespace());
    // Policies name authorizers whose services may come and go.
    let asks_others = || mesh.authorizer_hosts().any(|host| services.contains(host));
    let counts =
        |policy: &ResourceKey| *policy.namespace == *namespace || *policy.namespace == *root;
    let for_all = *everything
        || *others
        || policies.iter().any(counts)
        || !destination_rules.is_empty()
        || pod_namespaces.contains(namespace)
        || asks_others();
    match scope.kind {
        ProxyKind::Sidecar => {
            let mut address = scope.address.iter();
            for_all
                || service_namespaces.contains(namespace)
                || address.any(|address| listed_addresses.contains(address))
        }
        ProxyKind::Gateway => {
            for_all
                // Objects of the Gateway API may name certificates of other namespaces.
                || !secret_namespaces.is_empty()
                || !services.is_empty()
                || !virtual_services.is_empty()
        }
    }
}

// === impl Own ===

impl Own {
    fn new(translator: &Translator, scope: &ProxyScope, before: Option<&ProxyTables>) -> Self {
        let own = LocalResources::translate(&translator.snapshot, &translator.cache, scope);
        Self {
            tables: ProxyTables::of(&own.to_config(), before),
            patches: envoy_filters::patches(&translator.snapshot, scope),
            diagnostics: own.diagnostics().to_vec(),
        }
    }
}

impl<T> Default for Cell<T> {
    fn default() -> Self {
        Self {
            value: OnceLock::new(),
            asked: AtomicU64::new(0),
        }
    }
}

fn put<K: Ord, T>(cells: &Mutex<Cells<K, T>>, key: K, value: T, asked: u64) {
    let cell = Cell {
        value: OnceLock::from(Arc::new(value)),
        asked: AtomicU64::new(asked),
    };
    lock(cells).insert(key, Arc::new(cell));
}

/// Memory stays usable after a panic elsewhere: entries are only ever inserted whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
