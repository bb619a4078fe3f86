//! What happens to the objects, and what that means for a snapshot.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::resource::{Kind, Resource, ResourceKey};

/// An object before and after.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// What it was; nothing if it is new.
    pub before: Option<Arc<Resource>>,
    /// What it is; nothing if it is gone.
    pub after: Option<Arc<Resource>>,
}

/// Objects that were added, changed or removed, each once: what happened to it from the first to the last.
#[derive(Clone, Debug, Default)]
pub struct ChangeSet {
    changes: BTreeMap<ResourceKey, Change>,
    /// Keys of tokens by the addresses that they were fetched from.
    pub(super) key_sets: BTreeMap<Arc<str>, Arc<str>>,
}

/// What of a snapshot is not as it was in the one before. What is not named here is the same, and in most cases even the very same
/// `Arc`.
#[derive(Clone, Debug, Default)]
pub struct Difference {
    /// Anything may differ: settings of the mesh have changed, or there was no snapshot before.
    pub everything: bool,
    /// Hosts whose services differ.
    pub services: BTreeSet<Arc<str>>,
    /// Hosts of which the instances differ.
    pub instances: BTreeSet<Arc<str>>,
    /// Hosts and patterns of VirtualServices that differ.
    pub virtual_services: BTreeSet<Arc<str>>,
    /// VirtualServices that differ.
    pub virtual_service_objects: BTreeSet<ResourceKey>,
    /// Hosts and patterns of DestinationRules that differ.
    pub destination_rules: BTreeSet<Arc<str>>,
    /// Namespaces of which services differ.
    pub service_namespaces: BTreeSet<Arc<str>>,
    /// Addresses that services that differ list as endpoints, or listed, and those of WorkloadEntries that differ.
    pub listed_addresses: BTreeSet<IpAddr>,
    /// Namespaces of which pods came, went, or have other labels or ports.
    pub pod_namespaces: BTreeSet<Arc<str>>,
    /// Namespaces of which Secrets differ.
    pub secret_namespaces: BTreeSet<Arc<str>>,
    /// Security policies that differ.
    pub policies: BTreeSet<ResourceKey>,
    /// Whether objects differ of a kind that is not among those above.
    pub others: bool,
}

// === impl ChangeSet ===

impl ChangeSet {
    /// Notes what happened to an object.
    pub fn record(
        &mut self,
        key: &ResourceKey,
        before: Option<Arc<Resource>>,
        after: Option<Arc<Resource>>,
    ) {
        let known = self.changes.get_mut(key);
        match known {
            Some(change) => change.after = after,
            None => {
                self.changes.insert(key.clone(), Change { before, after });
            }
        }
        // What came and went again has not happened.
        if self
            .changes
            .get(key)
            .is_some_and(|change| change.before.is_none() && change.after.is_none())
        {
            self.changes.remove(key);
        }
    }

    /// Adds what happened later.
    pub fn merge(&mut self, later: Self) {
        for (key, change) in later.changes {
            self.record(&key, change.before, change.after);
        }
        self.key_sets.extend(later.key_sets);
    }

    /// These and those that are derived from them; both are about different objects.
    pub(super) fn and(&self, derived: Self) -> Cow<'_, Self> {
        if derived.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut all = self.clone();
        all.merge(derived);
        Cow::Owned(all)
    }

    /// How many objects and sets of keys were changed.
    pub fn len(&self) -> usize {
        self.changes.len() + self.key_sets.len()
    }

    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.key_sets.is_empty()
    }

    /// The objects and what happened to them, sorted by kind, namespace and name.
    pub fn iter(&self) -> impl Iterator<Item = (&ResourceKey, &Change)> {
        self.changes.iter()
    }

    /// The same for the objects of one kind.
    pub(super) fn of(&self, kind: Kind) -> impl Iterator<Item = (&ResourceKey, &Change)> {
        self.iter().filter(move |(key, _)| key.kind == kind)
    }
}

impl FromIterator<Arc<Resource>> for ChangeSet {
    /// All of these are new. Of several with the same key the last one counts.
    fn from_iter<I: IntoIterator<Item = Arc<Resource>>>(resources: I) -> Self {
        let change = |resource: Arc<Resource>| {
            let change = Change {
                before: None,
                after: Some(resource.clone()),
            };
            (resource.key.clone(), change)
        };
        Self {
            changes: resources.into_iter().map(change).collect(),
            key_sets: BTreeMap::new(),
        }
    }
}

// === impl Change ===

impl Change {
    /// The object before and the object after, as far as they exist.
    pub(super) fn both(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.before.iter().chain(&self.after)
    }
}

// === impl Difference ===

impl Difference {
    /// Anything may differ.
    pub fn everything() -> Self {
        Self {
            everything: true,
            ..Self::default()
        }
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        let Self {
            everything,
            services,
            instances,
            virtual_services,
            virtual_service_objects,
            destination_rules,
            service_namespaces,
            listed_addresses,
            pod_namespaces,
            secret_namespaces,
            policies,
            others,
        } = self;
        let sets = [
            services,
            instances,
            virtual_services,
            destination_rules,
            service_namespaces,
            pod_namespaces,
            secret_namespaces,
        ];
        !everything
            && !others
            && virtual_service_objects.is_empty()
            && policies.is_empty()
            && listed_addresses.is_empty()
            && sets.iter().all(|set| set.is_empty())
    }

    /// Adds what differs in a later snapshot.
    pub fn merge(&mut self, later: &Self) {
        let Self {
            everything,
            services,
            instances,
            virtual_services,
            virtual_service_objects,
            destination_rules,
            service_namespaces,
            listed_addresses,
            pod_namespaces,
            secret_namespaces,
            policies,
            others,
        } = later;
        self.everything |= everything;
        self.others |= others;
        self.services.extend(services.iter().cloned());
        self.instances.extend(instances.iter().cloned());
        self.virtual_services
            .extend(virtual_services.iter().cloned());
        self.virtual_service_objects
            .extend(virtual_service_objects.iter().cloned());
        self.destination_rules
            .extend(destination_rules.iter().cloned());
        self.service_namespaces
            .extend(service_namespaces.iter().cloned());
        self.listed_addresses.extend(listed_addresses);
        self.pod_namespaces.extend(pod_namespaces.iter().cloned());
        self.secret_namespaces
            .extend(secret_namespaces.iter().cloned());
        self.policies.extend(policies.iter().cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::resources;
    use super::*;

    #[test]
    fn an_object_that_changes_twice_has_changed_once() {
        let versions: Vec<Arc<Resource>> = ["1", "2", "3"]
            .iter()
            .flat_map(|port| {
                resources(&format!(
                    "apiVersion: v1\nkind: Service\nmetadata: {{name: a}}\nspec: {{ports: [{{port: {port}}}]}}\n"
                ))
            })
            .collect();
        let [one, two, three] = versions.as_slice() else {
            panic!("three versions");
        };
        let key = &one.key;
        let mut changes = ChangeSet::default();
        changes.record(key, Some(one.clone()), Some(two.clone()));
        changes.record(key, Some(two.clone()), Some(three.clone()));
        let (_, change) = changes.iter().next().unwrap();
        assert!(Arc::ptr_eq(change.before.as_ref().unwrap(), one));
        assert!(Arc::ptr_eq(change.after.as_ref().unwrap(), three));

        let mut changes = ChangeSet::default();
        changes.record(key, None, Some(one.clone()));
        changes.record(key, Some(one.clone()), None);
        assert!(changes.is_empty());
    }
}
