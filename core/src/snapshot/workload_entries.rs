//! WorkloadEntries: workloads that are no pods. ServiceEntries and Services of their namespace select them by labels, as they select
//! pods.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use mesh_ir::PersistentMap;

use super::Change;
use super::objects::Objects;
use super::services::Services;
use crate::model::WorkloadEntrySpec;
use crate::resource::{Kind, Object, Resource, ResourceKey};

/// Entries by address, namespace and name.
#[derive(Clone, Debug, Default)]
pub(super) struct WorkloadEntries(PersistentMap<(IpAddr, Arc<str>, Arc<str>), Arc<Resource>>);

// === impl WorkloadEntries ===

impl WorkloadEntries {
    pub(super) fn update(&mut self, key: &ResourceKey, change: &Change) {
        let name = |address| (address, key.namespace.clone(), key.name.clone());
        if let Some(address) = change.before.as_ref().and_then(|entry| address(entry)) {
            self.0.remove(&name(address));
        }
        if let Some(entry) = &change.after
            && let Some(address) = address(entry)
        {
            self.0.insert(name(address), entry.clone());
        }
    }

    /// The entries with an address.
    pub(super) fn at(&self, address: IpAddr) -> impl Iterator<Item = &Arc<Resource>> {
        self.0
            .iter_from(move |(known, ..)| *known < address)
            .take_while(move |((known, ..), _)| *known == address)
            .map(|(_, entry)| entry)
    }
}

/// The address of an entry; none if it is a name or a socket.
pub(super) fn address(resource: &Resource) -> Option<IpAddr> {
    match &resource.object {
        Object::WorkloadEntry(spec) => spec.address.as_deref()?.parse().ok(),
        _ => None,
    }
}

/// The labels of an entry: those of its metadata before those of its spec.
pub(super) fn labels(resource: &Resource) -> BTreeMap<String, String> {
    let mut labels = match &resource.object {
        Object::WorkloadEntry(spec) => spec.labels.clone(),
        _ => BTreeMap::new(),
    };
    labels.extend(resource.meta.labels.clone());
    labels
}

/// The entries of a namespace that a selector selects, as endpoints with their names. Sockets and parts that were refused are left out.
pub(super) fn selected(
    objects: &Objects,
    namespace: &str,
    selector: &BTreeMap<String, String>,
) -> Vec<(Arc<str>, WorkloadEntrySpec)> {
    let entries = objects.within(Kind::WorkloadEntry, namespace);
    entries
        .filter(|entry| !entry.is_refused())
        .filter_map(|entry| {
            let Object::WorkloadEntry(spec) = &entry.object else {
                return None;
            };
            let labels = labels(entry);
            let socket = spec.address.as_deref()?.starts_with("unix:");
            (!socket && super::selects(selector, &labels)).then(|| {
                let spec = WorkloadEntrySpec {
                    labels,
                    ..(**spec).clone()
                };
                (entry.key.name.clone(), spec)
            })
        })
        .collect()
}

/// The hosts whose services select an entry, or selected it.
pub(super) fn users(change: &Change, services: &Services) -> BTreeSet<Arc<str>> {
    let mut hosts = BTreeSet::new();
    for entry in change.both() {
        for (key, value) in &labels(entry) {
            let selecting = services.with_label(&entry.key.namespace, (key, value));
            hosts.extend(selecting.map(|service| service.host.clone()));
        }
    }
    hosts
}
