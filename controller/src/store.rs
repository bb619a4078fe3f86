//! All objects by key, owned by the event loop alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_core::resource::{Resource, ResourceKey};

use crate::config::Event;
use crate::versions::Versions;

/// The objects that are known.
#[derive(Debug)]
pub struct Store {
    resources: BTreeMap<ResourceKey, Arc<Resource>>,
    versions: Arc<Versions>,
}

// === impl Store ===

impl Store {
    /// An empty store that tells which versions it has seen.
    pub fn new(versions: Arc<Versions>) -> Self {
        Self {
            resources: BTreeMap::new(),
            versions,
        }
    }

    /// Applies an event and says whether anything that matters has changed.
    pub fn apply(&mut self, event: Event) -> bool {
        match event {
            Event::Apply(resource) => self.insert(resource),
            Event::Delete(key, version) => {
                self.versions.note_gone(&key, version.as_deref());
                self.resources.remove(&key).is_some()
            }
            Event::Replace(kind, resources) => self.replace(resources, |key| key.kind == kind),
            Event::ReplaceAll(resources) => self.replace(resources, |_| true),
        }
    }

    /// The objects, cheap to take.
    pub fn resources(&self) -> Vec<Arc<Resource>> {
        self.resources.values().cloned().collect()
    }

    fn insert(&mut self, resource: Arc<Resource>) -> bool {
        let same = self
            .resources
            .get(&resource.key)
            .is_some_and(|old| Arc::ptr_eq(old, &resource) || is_same(old, &resource));
        self.versions.note(
            &resource.key,
            resource.meta.resource_version.as_deref(),
            !same,
        );
        if !same {
            self.resources.insert(resource.key.clone(), resource);
        }
        !same
    }

    fn replace(
        &mut self,
        resources: Vec<Arc<Resource>>,
        concerned: impl Fn(&ResourceKey) -> bool,
    ) -> bool {
        let mut gone: std::collections::BTreeSet<ResourceKey> = self
            .resources
            .keys()
            .filter(|key| concerned(key))
            .cloned()
            .collect();
        let mut changed = false;
        for resource in resources {
            gone.remove(&resource.key);
            changed |= self.insert(resource);
        }
        for key in &gone {
            self.versions.note_gone(key, None);
            self.resources.remove(key);
        }
        changed || !gone.is_empty()
    }
}

/// Whether two versions of an object mean the same to the mesh: status updates of its own making and heartbeats do not count.
fn is_same(old: &Resource, new: &Resource) -> bool {
    let version = &new.meta.resource_version;
    version.is_some() && old.meta.resource_version == *version
        || old.meta.labels == new.meta.labels
            && old.meta.annotations == new.meta.annotations
            && old.meta.deleting == new.meta.deleting
            && old.meta.created == new.meta.created
            && old.origin == new.origin
            && old
                .key
                .kind
                .row()
                .significant
                .iter()
                .all(|part| old.raw.pointer(part) == new.raw.pointer(part))
}

#[cfg(test)]
mod tests {
    use mesh_core::resource::{Kind, decode_value};
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
        let mut apply = |resource| store.apply(Event::Apply(Arc::new(resource)));
        assert!(apply(service("1", 80, json!({}))));
        assert!(!apply(service("2", 80, json!({"loadBalancer": {}}))));
        assert!(apply(service("3", 81, json!({}))));
    }

    #[test]
    fn addresses_that_a_service_entry_is_given_count_as_a_change() {
        let entry = |version: &str, status: Value| {
            let value = json!({
                "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
                "metadata": {"name": "a", "namespace": "default", "resourceVersion": version},
                "spec": {"hosts": ["a.example"], "ports": [{"number": 80, "name": "http"}], "resolution": "DNS"},
                "status": status,
            });
            Arc::new(decode_value(value, Origin::Builtin, None).0.unwrap())
        };
        let mut store = Store::new(Arc::default());
        let given = json!({"addresses": [{"value": "240.240.0.1"}]});
        assert!(store.apply(Event::Apply(entry("1", json!({})))));
        assert!(store.apply(Event::Apply(entry("2", given.clone()))));
        assert!(!store.apply(Event::Apply(entry("3", given))));
    }

    #[test]
    fn a_replacement_takes_away_what_it_does_not_name() {
        let mut store = Store::new(Arc::default());
        store.apply(Event::Apply(Arc::new(service("1", 80, json!({})))));
        assert!(!store.apply(Event::Replace(Kind::VirtualService, vec![])));
        assert!(store.apply(Event::Replace(Kind::Service, vec![])));
        assert!(store.resources().is_empty());
    }
}
