//! Reads the objects of a cluster: which of them are for this control plane, and what they say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use kube::core::DynamicObject;
use mesh_core::diag::{Diagnostic, Level};
use mesh_core::install::{DEFAULT_REVISION, MESH_CONFIG_MAP, REVISION_LABEL, revised};
use mesh_core::resource::{self, Kind, Resource, ResourceKey};
use mesh_core::source::Origin;

use crate::status::Ledger;

/// Reads objects for a control plane.
pub struct Reader {
    namespace: String,
    revision: String,
    ledger: Arc<Ledger>,
    /// Objects of lists that are under way.
    lists: Mutex<BTreeMap<Kind, BTreeSet<ResourceKey>>>,
}

/// What an object is.
pub enum Read {
    /// One that counts.
    Resource(Box<Resource>),
    /// One of another control plane, and its version.
    Foreign(ResourceKey, Option<Arc<str>>),
    /// One that cannot be read; its last good version stays.
    Unusable,
}

// === impl Reader ===

impl Reader {
    /// For the control plane of a revision in a namespace. What is found about objects goes into the ledger.
    pub fn new(namespace: &str, revision: &str, ledger: Arc<Ledger>) -> Arc<Self> {
        Arc::new(Self {
            namespace: namespace.to_owned(),
            revision: revision.to_owned(),
            ledger,
            lists: Mutex::default(),
        })
    }

    /// A list of a kind begins.
    pub fn begin_list(&self, kind: Kind) {
        self.lists().insert(kind, BTreeSet::new());
    }

    /// A list is complete: what it did not name is gone.
    pub fn end_list(&self, kind: Kind) {
        let listed = self.lists().remove(&kind);
        self.ledger.keep(kind, &listed.unwrap_or_default());
    }

    /// Reads an object.
    pub fn read(&self, kind: Kind, mut object: DynamicObject) -> Read {
        if !self.is_ours(kind, &object) {
            let (key, version) = self.gone(kind, object);
            return Read::Foreign(key, version);
        }
        self.rename(kind, &mut object);
        object.metadata.managed_fields = None;
        let Ok(value) = serde_json::to_value(&object) else {
            return Read::Unusable;
        };
        let origin = Origin::Cluster { context: "".into() };
        let (resource, diagnostics) = resource::decode_value(value, origin, None);
        diagnostics.iter().for_each(log);
        let Some(resource) = resource else {
            return Read::Unusable;
        };
        // A status that was written, or a list after an outage, is no reason to say the same again.
        if self.tells(&resource) && self.ledger.observe(&resource) {
            resource.findings.iter().for_each(log);
        }
        if let Some(listed) = self.lists().get_mut(&kind) {
            listed.insert(resource.key.clone());
        }
        match resource.malformed {
            true => Read::Unusable,
            false => Read::Resource(Box::new(resource)),
        }
    }

    /// An object that no longer counts: its key and version.
    pub fn gone(&self, kind: Kind, mut object: DynamicObject) -> (ResourceKey, Option<Arc<str>>) {
        let is_other_settings = is_settings_name(kind, &object) && !self.is_settings(kind, &object);
        self.rename(kind, &mut object);
        let metadata = &object.metadata;
        let name = metadata.name.as_deref().unwrap_or_default();
        // The settings of another revision may be called as ours are here.
        let name = if is_other_settings {
            format!("{name}/other")
        } else {
            name.to_owned()
        };
        let key = ResourceKey {
            kind,
            namespace: metadata.namespace.as_deref().unwrap_or_default().into(),
            name: name.into(),
        };
        self.ledger.forget(&key);
        (key, metadata.resource_version.as_deref().map(Arc::from))
    }

    /// Objects of the mesh's kinds that name a revision belong to it, and those that name none to all, as in Istio. Of the mesh's
    /// settings each revision has its own.
    fn is_ours(&self, kind: Kind, object: &DynamicObject) -> bool {
        if kind == Kind::ConfigMap {
            let holds_trust = object.data["data"]["ca.crt"].is_string();
            return self.is_settings(kind, object)
                || (holds_trust && !is_settings_name(kind, object));
        }
        let group = kind.row().group();
        if !group.ends_with(".istio.io") && group != "gateway.networking.k8s.io" {
            return true;
        }
        let labels = object.metadata.labels.as_ref();
        let revision = labels.and_then(|labels| labels.get(REVISION_LABEL));
        revision.is_none_or(|revision| revision.is_empty() || *revision == self.revision)
    }

    /// Whether this control plane tells people about an object. Of those that belong to all, the default one does: several would
    /// overwrite each other.
    fn tells(&self, resource: &Resource) -> bool {
        let revision = resource.meta.labels.get(REVISION_LABEL);
        let revision = revision.filter(|revision| !revision.is_empty());
        revision.map_or(DEFAULT_REVISION, String::as_str) == self.revision
    }

    /// Whether an object is the ConfigMap with the mesh's settings.
    fn is_settings(&self, kind: Kind, object: &DynamicObject) -> bool {
        let settings = revised(MESH_CONFIG_MAP, &self.revision);
        let metadata = &object.metadata;
        kind == Kind::ConfigMap
            && metadata.namespace.as_deref() == Some(&self.namespace)
            && metadata.name.as_deref() == Some(&settings)
    }

    /// The mesh's settings go by the name of the default revision's.
    fn rename(&self, kind: Kind, object: &mut DynamicObject) {
        if self.is_settings(kind, object) {
            object.metadata.name = Some(MESH_CONFIG_MAP.to_owned());
        }
    }

    fn lists(&self) -> std::sync::MutexGuard<'_, BTreeMap<Kind, BTreeSet<ResourceKey>>> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an object has the name of the ConfigMap with the mesh's settings.
fn is_settings_name(kind: Kind, object: &DynamicObject) -> bool {
    kind == Kind::ConfigMap && object.metadata.name.as_deref() == Some(MESH_CONFIG_MAP)
}

fn log(diagnostic: &Diagnostic) {
    let Diagnostic {
        code,
        level,
        resource,
        message,
        ..
    } = diagnostic;
    let resource = resource
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    match level {
        Level::Info => tracing::debug!(code, resource, "{message}"),
        Level::Warning | Level::Error => tracing::warn!(code, resource, "{message}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(revision: &str, kind: Kind, object: Value) -> Read {
        read_with(revision, kind, object, &Arc::default())
    }

    fn read_with(revision: &str, kind: Kind, object: Value, ledger: &Arc<Ledger>) -> Read {
        let reader = Reader::new("istio-system", revision, Arc::clone(ledger));
        reader.read(kind, serde_json::from_value(object).unwrap())
    }

    fn entry(revision: Option<&str>) -> Value {
        let labels: BTreeMap<&str, &str> = revision
            .map(|name| ("istio.io/rev", name))
            .into_iter()
            .collect();
        json!({"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
            "metadata": {"name": "e", "namespace": "default", "labels": labels},
            "spec": {"hosts": ["e.com"], "resolution": "DNS", "ports": [{"name": "http", "number": 80}]}})
    }

    #[test]
    fn objects_that_name_a_revision_belong_to_it_and_others_to_all() {
        for (own, named, counts) in [
            ("default", None, true),
            ("canary", None, true),
            ("canary", Some("canary"), true),
            ("default", Some("canary"), false),
            ("canary", Some("default"), false),
        ] {
            let is_resource = matches!(
                read(own, Kind::ServiceEntry, entry(named)),
                Read::Resource(_)
            );
            assert_eq!(is_resource, counts, "{own} reads {named:?}");
        }
    }

    #[test]
    fn one_control_plane_tells_about_an_object() {
        for (own, named, tells) in [
            ("default", None, true),
            ("canary", None, false),
            ("canary", Some("canary"), true),
            ("default", Some("canary"), false),
        ] {
            let ledger = Arc::<Ledger>::default();
            read_with(own, Kind::ServiceEntry, entry(named), &ledger);
            assert_eq!(ledger.next().is_some(), tells, "{own} reads {named:?}");
        }
    }

    #[test]
    fn every_revision_has_settings_of_its_own() {
        let settings = |name: &str| {
            json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": "istio-system"}, "data": {"mesh": "accessLogFile: /dev/stdout"}})
        };
        for (own, name, counts) in [
            ("default", "istio", true),
            ("default", "istio-canary", false),
            ("canary", "istio-canary", true),
            ("canary", "istio", false),
        ] {
            match read(own, Kind::ConfigMap, settings(name)) {
                Read::Resource(resource) => assert!(counts && &*resource.key.name == "istio"),
                Read::Foreign(key, _) => assert!(!counts && &*key.name != "istio", "{key}"),
                Read::Unusable => panic!("{name} cannot be read"),
            }
        }
    }
}
