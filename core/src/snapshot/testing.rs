//! Objects for tests from YAML text.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Snapshot, SnapshotOptions};
use crate::diag::Diagnostic;
use crate::resource::{Kind, Meta, Object, Resource, ResourceKey};
use crate::source::Origin;

/// The snapshot of the documents in a text.
#[track_caller]
pub(crate) fn snapshot(text: &str) -> (Snapshot, Vec<Diagnostic>) {
    Snapshot::build(resources(text), &SnapshotOptions::default())
}

/// The objects of the documents in a text.
#[track_caller]
pub(crate) fn resources(text: &str) -> Vec<Arc<Resource>> {
    serde_yaml::Deserializer::from_str(text)
        .map(|document| Value::deserialize(document).unwrap())
        .filter(|value| !value.is_null())
        .enumerate()
        .map(|(document, value)| Arc::new(resource(document, value)))
        .collect()
}

fn resource(document: usize, value: Value) -> Resource {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
    let map = |pointer: &str| -> BTreeMap<String, String> {
        value.pointer(pointer).map_or_else(BTreeMap::new, |map| {
            serde_json::from_value(map.clone()).unwrap()
        })
    };
    let spec = value.get("spec").cloned().unwrap_or(Value::Null);
    let (kind, object) = match text("/kind").unwrap_or("MeshConfig") {
        "Service" => (Kind::Service, Object::Service(typed(&value))),
        "Endpoints" => (Kind::Endpoints, Object::Endpoints(typed(&value))),
        "EndpointSlice" => (Kind::EndpointSlice, Object::EndpointSlice(typed(&value))),
        "Pod" => (Kind::Pod, Object::Pod(typed(&value))),
        "Node" => (Kind::Node, Object::Node(typed(&value))),
        "ReplicaSet" => (Kind::ReplicaSet, Object::ReplicaSet(typed(&value))),
        "ConfigMap" => (Kind::ConfigMap, Object::ConfigMap(typed(&value))),
        "MeshConfig" => (Kind::ConfigMap, Object::MeshConfig(typed(&value))),
        "VirtualService" => (Kind::VirtualService, Object::VirtualService(typed(&spec))),
        "DestinationRule" => (Kind::DestinationRule, Object::DestinationRule(typed(&spec))),
        "Gateway" => (Kind::Gateway, Object::Gateway(typed(&spec))),
        "ServiceEntry" => (Kind::ServiceEntry, Object::ServiceEntry(typed(&spec))),
        kind => panic!("kind {kind} is not read by tests"),
    };
    let cluster_scoped = matches!(kind, Kind::Node | Kind::Namespace);
    let default = if cluster_scoped { "" } else { "default" };
    Resource {
        key: ResourceKey {
            kind,
            namespace: text("/metadata/namespace").unwrap_or(default).into(),
            name: text("/metadata/name").unwrap_or("istio").into(),
        },
        meta: Meta {
            labels: map("/metadata/labels"),
            annotations: map("/metadata/annotations"),
            created: text("/metadata/creationTimestamp")
                .map(|time| time.parse::<jiff::Timestamp>().unwrap().as_second()),
            ..Meta::default()
        },
        object,
        origin: Origin::File {
            name: "input.yaml".into(),
            document,
        },
        raw: Arc::new(value),
    }
}

fn typed<T: DeserializeOwned>(value: &Value) -> Arc<T> {
    Arc::new(serde_json::from_value(value.clone()).unwrap())
}
