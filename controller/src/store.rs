//! All objects by key, owned by the event loop alone. What an event changes is what is passed on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mesh_core::resource::ResourceKey;
use mesh_core::snapshot::ChangeSet;

use crate::config::{Event, Observed};
use crate::versions::Versions;

/// The objects that are known.
#[derive(Debug)]
pub struct Store {
    objects: BTreeMap<ResourceKey, Observed>,
    versions: Arc<Versions>,
}

// === impl Store ===

impl Store {
    /// An empty store that tells which versions it has seen.
    pub fn new(versions: Arc<Versions>) -> Self {
        Self {
            objects: BTreeMap::new(),
            versions,
        }
    }

    /// Applies an event and says what has changed of what matters to the mesh.
    pub fn apply(&mut self, event: Event) -> ChangeSet {
        let mut changes = ChangeSet::default();
        match event {
            Event::Apply(resource) => self.insert(resource, &mut changes),
            Event::Delete(key, version) => self.remove(&key, version.as_deref(), &mut changes),
            Event::Replace(kind, resources) => {
                self.replace(resources, |key| key.kind == kind, &mut changes);
            }
            Event::ReplaceAll(resources) => self.replace(resources, |_| true, &mut changes),
            Event::KeySet(address, keys) => changes.record_key_set(address, keys),
            Event::Several(events) => {
                for event in events {
                    changes.merge(self.apply(event));
                }
            }
        }
        changes
    }

    fn insert(&mut self, object: Observed, changes: &mut ChangeSet) {
        let Observed { resource, meaning } = &object;
        let (key, version) = (&resource.key, &resource.meta.resource_version);
        let same = self
            .objects
            .get(key)
            .is_some_and(|known| known.meaning == *meaning);
        self.versions.note(key, version.as_deref(), !same);
        if !same {
            let (key, after) = (key.clone(), resource.clone());
            let before = self.objects.insert(key.clone(), object);
            changes.record(&key, before.map(|before| before.resource), Some(after));
        }
    }

    fn remove(&mut self, key: &ResourceKey, version: Option<&str>, changes: &mut ChangeSet) {
        let before = self.objects.remove(key);
        self.versions.note_gone(key, version, before.is_some());
        if let Some(before) = before {
            changes.record(key, Some(before.resource), None);
        }
    }

    fn replace(
        &mut self,
        resources: Vec<Observed>,
        concerned: impl Fn(&ResourceKey) -> bool,
        changes: &mut ChangeSet,
    ) {
        let known = self.objects.keys();
        let mut gone: BTreeSet<ResourceKey> = known.filter(|key| concerned(key)).cloned().collect();
        for resource in resources {
            gone.remove(&resource.resource.key);
            self.insert(resource, changes);
        }
        for key in &gone {
            self.remove(key, None, changes);
        }
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::resource::{Kind, Resource, decode_value};
    use mesh_core::source::Origin;
    use serde_json::{Value, json};

    use super::*;

    fn service(version: &str, port: u16, status: Value) -> Resource {
        let value = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "reviews", "namespace": "default", "resourceVersion": version},
            "spec": {"ports": [{"name": "http", "port": port}]},
            "status": status,
        });
        decode_value(value, Origin::Builtin, None).0.unwrap()
    }

    #[test]
    fn only_what_means_something_counts_as_a_change() {
        let mut store = Store::new(Arc::default());
        let mut apply = |resource: Resource| store.apply(Event::Apply(resource.into())).len();
        assert_eq!(apply(service("1", 80, json!({}))), 1);
        assert_eq!(apply(service("2", 80, json!({"loadBalancer": {}}))), 0);
        assert_eq!(apply(service("3", 81, json!({}))), 1);
    }

    #[test]
    fn addresses_that_a_service_entry_is_given_count_as_a_change() {
        let entry = |version: &str, status: Value| -> Observed {
            let value = json!({
                "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
                "metadata": {"name": "a", "namespace": "default", "resourceVersion": version},
                "spec": {"hosts": ["a.example"], "ports": [{"number": 80, "name": "http"}], "resolution": "DNS"},
                "status": status,
            });
            decode_value(value, Origin::Builtin, None).0.unwrap().into()
        };
        let mut store = Store::new(Arc::default());
        let given = json!({"addresses": [{"value": "240.240.0.1"}]});
        let mut apply = |object| store.apply(Event::Apply(object)).len();
        assert_eq!(apply(entry("1", json!({}))), 1);
        assert_eq!(apply(entry("2", given.clone())), 1);
        assert_eq!(apply(entry("3", given)), 0);
    }

    #[test]
    fn a_replacement_takes_away_what_it_does_not_name() {
        let mut store = Store::new(Arc::default());
        store.apply(Event::Apply(service("1", 80, json!({})).into()));
        assert!(
            store
                .apply(Event::Replace(Kind::VirtualService, vec![]))
                .is_empty()
        );
        assert_eq!(store.apply(Event::Replace(Kind::Service, vec![])).len(), 1);
        assert!(store.objects.is_empty());
    }
}
