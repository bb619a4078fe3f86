//! Key sets that were fetched for `jwksUri` of RequestAuthentications. Fetching is somebody else's; here they are told when one has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mesh_ir::PersistentMap;

use super::objects::Objects;
use super::{ChangeSet, Snapshot};
use crate::resource::{Kind, Object, Resource, ResourceKey};

/// JSON Web Key Sets by the addresses that they were fetched from.
#[derive(Clone, Debug, Default)]
pub(super) struct KeySets(PersistentMap<Arc<str>, Arc<str>>);

// === impl KeySets ===

impl KeySets {
    /// The key sets after a change, and the policies that this concerns.
    pub(super) fn update(
        &mut self,
        changes: &ChangeSet,
        objects: &Objects,
    ) -> BTreeSet<ResourceKey> {
        let fetched = changes.key_sets();
        for (address, keys) in fetched {
            self.0.insert(address.clone(), keys.clone());
        }
        if fetched.is_empty() {
            return BTreeSet::new();
        }
        let policies = objects.of(Kind::RequestAuthentication).iter();
        let concerned = policies
            .filter(|policy| addresses(policy).any(|address| fetched.contains_key(address)));
        concerned.map(|policy| policy.key.clone()).collect()
    }
}

/// Where a RequestAuthentication has keys fetched.
fn addresses(policy: &Resource) -> impl Iterator<Item = &str> {
    let spec = match &policy.object {
        Object::RequestAuthentication(spec) => Some(spec),
        _ => None,
    };
    let rules = spec.into_iter().flat_map(|spec| &spec.jwt_rules);
    rules.filter_map(|rule| rule.keys_address())
}

// === impl Snapshot ===

impl Snapshot {
    /// The addresses from which RequestAuthentications want keys fetched.
    pub fn key_addresses(&self) -> BTreeSet<&str> {
        let policies = self.resources(Kind::RequestAuthentication).iter();
        policies.flat_map(|policy| addresses(policy)).collect()
    }

    /// The keys that were fetched from an address.
    pub(crate) fn key_set(&self, address: &str) -> Option<&Arc<str>> {
        self.key_sets.0.get(address)
    }
}

// === impl ChangeSet ===

impl ChangeSet {
    /// Notes that other keys were fetched from an address.
    pub fn record_key_set(&mut self, address: Arc<str>, keys: Arc<str>) {
        self.key_sets.insert(address, keys);
    }

    fn key_sets(&self) -> &BTreeMap<Arc<str>, Arc<str>> {
        &self.key_sets
    }
}
