//! Memory of costly entries, shared by all proxies and kept from one snapshot to the next where their inputs stay the same.
//!
//! Every piece is found by a key and checked against its inputs, so that a hit is always as good as a new computation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use mesh_ir::{NameTable, ProxyKind, VirtualHost};
use rustc_hash::FxHashMap;

use super::outbound::{ClusterLists, ServiceClusters, ServiceInputs};
use super::rules::CompiledRules;
use super::view::ViewKey;
use crate::model::HttpRetry;
use crate::resource::ResourceKey;
use crate::snapshot::{MeshVirtualService, Snapshot};

/// What was computed before.
#[derive(Debug, Default)]
pub(super) struct TranslationCache {
    rules: Mutex<FxHashMap<ResourceKey, Arc<RememberedRules>>>,
    clusters: Mutex<FxHashMap<ClustersKey, Vec<Arc<ServiceClusters>>>>,
    /// For one snapshot only, as all that follow.
    virtual_hosts: Mutex<FxHashMap<VirtualHostKey, Arc<VirtualHost>>>,
    names: Mutex<FxHashMap<ViewKey, Arc<NameTable>>>,
    /// The lists of all clients, where all clients are treated alike.
    all_clusters: Mutex<BTreeMap<ProxyKind, Arc<ClusterLists>>>,
}

/// A host of an object; a host may come from several objects.
type ClustersKey = (Arc<str>, ResourceKey);

/// What a virtual host of a service depends on within one snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct VirtualHostKey {
    pub(super) host: Arc<str>,
    pub(super) object: ResourceKey,
    pub(super) port: u16,
    /// The domains: all forms for the service's own namespace, those for other ones, or any domain.
    pub(super) domains: DomainForms,
    pub(super) key: ViewKey,
    pub(super) rules: Option<ResourceKey>,
}

/// Which domains a virtual host of a service has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum DomainForms {
    OwnNamespace,
    OtherNamespace,
    Any,
}

#[derive(Debug)]
struct RememberedRules {
    domain: Arc<str>,
    default_retry: Option<HttpRetry>,
    compiled: Arc<CompiledRules>,
}

// === impl TranslationCache ===

impl TranslationCache {
    /// The memory for the next snapshot: without what holds for one snapshot only, and without services that are gone.
    pub(super) fn next(&self, snapshot: &Snapshot) -> Self {
        let rules = lock(&self.rules)
            .iter()
            .filter(|(key, _)| snapshot.get(key).is_some())
            .map(|(key, rules)| (key.clone(), rules.clone()))
            .collect();
        let clusters = lock(&self.clusters)
            .iter()
            .filter(|((_, object), _)| snapshot.get(object).is_some())
            .map(|(key, clusters)| (key.clone(), clusters.clone()))
            .collect();
        Self {
            rules: Mutex::new(rules),
            clusters: Mutex::new(clusters),
            ..Self::default()
        }
    }

    /// The compiled form of a VirtualService.
    pub(super) fn rules(
        &self,
        snapshot: &Snapshot,
        source: &Arc<MeshVirtualService>,
    ) -> Arc<CompiledRules> {
        let key = &source.resource.key;
        let domain = &snapshot.options().dns_domain;
        let retry = &snapshot.mesh().default_http_retry_policy;
        let known = lock(&self.rules).get(key).cloned();
        let same_settings =
            |known: &RememberedRules| known.domain == *domain && known.default_retry == *retry;
        if let Some(known) = known.filter(|known| same_settings(known)) {
            if Arc::ptr_eq(&known.compiled.source, source) {
                return known.compiled.clone();
            }
            if Arc::ptr_eq(&known.compiled.source.resource, &source.resource)
                && known.compiled.source.visibility == source.visibility
            {
                return self.remember_rules(
                    snapshot,
                    CompiledRules {
                        source: source.clone(),
                        ..(*known.compiled).clone()
                    },
                );
            }
        }
        self.remember_rules(
            snapshot,
            CompiledRules::compile(source, snapshot.mesh(), domain),
        )
    }

    fn remember_rules(&self, snapshot: &Snapshot, compiled: CompiledRules) -> Arc<CompiledRules> {
        let compiled = Arc::new(compiled);
        let remembered = RememberedRules {
            domain: snapshot.options().dns_domain.clone(),
            default_retry: snapshot.mesh().default_http_retry_policy.clone(),
            compiled: compiled.clone(),
        };
        let key = compiled.source.resource.key.clone();
        lock(&self.rules).insert(key, Arc::new(remembered));
        compiled
    }

    /// The clusters and endpoints of a service. Several variants may live side by side, as clients may see different rules.
    pub(super) fn clusters(&self, inputs: ServiceInputs) -> Arc<ServiceClusters> {
        let key = (inputs.service.host.clone(), inputs.service.object.clone());
        let known = lock(&self.clusters).get(&key).cloned().unwrap_or_default();
        if let Some(found) = known
            .iter()
            .find(|known| known.inputs.is_identical(&inputs))
        {
            return found.clone();
        }
        let equal = known.iter().find(|known| known.inputs.is_equal(&inputs));
        let built = Arc::new(match equal {
            Some(known) => known.with_inputs(inputs),
            None => ServiceClusters::build(inputs),
        });
        let mut clusters = lock(&self.clusters);
        let variants = clusters.entry(key).or_default();
        // A variant whose service is of an older snapshot is not asked for again.
        variants.retain(|known| Arc::ptr_eq(&known.inputs.service, &built.inputs.service));
        variants.push(built.clone());
        built
    }

    /// The virtual host of a service.
    pub(super) fn virtual_host(
        &self,
        key: VirtualHostKey,
        make: impl FnOnce() -> VirtualHost,
    ) -> Arc<VirtualHost> {
        if let Some(known) = lock(&self.virtual_hosts).get(&key) {
            return known.clone();
        }
        let made = Arc::new(make());
        lock(&self.virtual_hosts).insert(key, made.clone());
        made
    }
}

impl TranslationCache {
    /// The addresses of the services that an key sees, under the names that are the same in all namespaces.
    pub(super) fn names(&self, key: &ViewKey, make: impl FnOnce() -> NameTable) -> Arc<NameTable> {
        if let Some(known) = lock(&self.names).get(key) {
            return known.clone();
        }
        let made = Arc::new(make());
        lock(&self.names).insert(key.clone(), made.clone());
        made
    }

    /// The clusters and endpoints of all services, for snapshots that treat all clients alike.
    pub(super) fn all_clusters(
        &self,
        kind: ProxyKind,
        make: impl FnOnce() -> ClusterLists,
    ) -> Arc<ClusterLists> {
        if let Some(known) = lock(&self.all_clusters).get(&kind) {
            return known.clone();
        }
        let made = Arc::new(make());
        lock(&self.all_clusters).insert(kind, made.clone());
        made
    }
}

/// Memory stays usable after a panic elsewhere: entries are only ever inserted whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
