//! The fields of built-in kinds, by the types that describe them: what a type does not take in, its kind does not have.

use k8s_openapi::api::{
    admissionregistration::v1 as admission, apps::v1 as apps, autoscaling::v2 as autoscaling,
    batch::v1 as batch, coordination::v1 as coordination, core::v1 as core,
    discovery::v1 as discovery, networking::v1 as networking, policy::v1 as policy,
    rbac::v1 as rbac, scheduling::v1 as scheduling, storage::v1 as storage,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::kinds::Served;
use crate::status::Status;

type Reader = fn(&[u8]) -> Result<Vec<u8>, serde_json::Error>;

/// Reads and writes an object once: what comes out is what the type knows.
fn through<T: DeserializeOwned + Serialize>(text: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&serde_json::from_slice::<T>(text)?)
}

/// The type of each kind, by plural and group.
const READERS: &[(&str, Reader)] = &[
    ("configmaps", through::<core::ConfigMap>),
    ("endpoints", through::<core::Endpoints>),
    ("events", through::<core::Event>),
    ("limitranges", through::<core::LimitRange>),
    ("namespaces", through::<core::Namespace>),
    ("nodes", through::<core::Node>),
    ("persistentvolumes", through::<core::PersistentVolume>),
    (
        "persistentvolumeclaims",
        through::<core::PersistentVolumeClaim>,
    ),
    ("pods", through::<core::Pod>),
    ("podtemplates", through::<core::PodTemplate>),
    (
        "replicationcontrollers",
        through::<core::ReplicationController>,
    ),
    ("resourcequotas", through::<core::ResourceQuota>),
    ("secrets", through::<core::Secret>),
    ("services", through::<core::Service>),
    ("serviceaccounts", through::<core::ServiceAccount>),
    (
        "controllerrevisions.apps",
        through::<apps::ControllerRevision>,
    ),
    ("daemonsets.apps", through::<apps::DaemonSet>),
    ("deployments.apps", through::<apps::Deployment>),
    ("replicasets.apps", through::<apps::ReplicaSet>),
    ("statefulsets.apps", through::<apps::StatefulSet>),
    ("jobs.batch", through::<batch::Job>),
    ("cronjobs.batch", through::<batch::CronJob>),
    (
        "horizontalpodautoscalers.autoscaling",
        through::<autoscaling::HorizontalPodAutoscaler>,
    ),
    (
        "poddisruptionbudgets.policy",
        through::<policy::PodDisruptionBudget>,
    ),
    (
        "ingresses.networking.k8s.io",
        through::<networking::Ingress>,
    ),
    (
        "ingressclasses.networking.k8s.io",
        through::<networking::IngressClass>,
    ),
    (
        "networkpolicies.networking.k8s.io",
        through::<networking::NetworkPolicy>,
    ),
    (
        "endpointslices.discovery.k8s.io",
        through::<discovery::EndpointSlice>,
    ),
    (
        "clusterroles.rbac.authorization.k8s.io",
        through::<rbac::ClusterRole>,
    ),
    (
        "clusterrolebindings.rbac.authorization.k8s.io",
        through::<rbac::ClusterRoleBinding>,
    ),
    ("roles.rbac.authorization.k8s.io", through::<rbac::Role>),
    (
        "rolebindings.rbac.authorization.k8s.io",
        through::<rbac::RoleBinding>,
    ),
    (
        "storageclasses.storage.k8s.io",
        through::<storage::StorageClass>,
    ),
    (
        "priorityclasses.scheduling.k8s.io",
        through::<scheduling::PriorityClass>,
    ),
    ("leases.coordination.k8s.io", through::<coordination::Lease>),
    (
        "mutatingwebhookconfigurations.admissionregistration.k8s.io",
        through::<admission::MutatingWebhookConfiguration>,
    ),
    (
        "validatingwebhookconfigurations.admissionregistration.k8s.io",
        through::<admission::ValidatingWebhookConfiguration>,
    ),
    (
        "validatingadmissionpolicies.admissionregistration.k8s.io",
        through::<admission::ValidatingAdmissionPolicy>,
    ),
    (
        "validatingadmissionpolicybindings.admissionregistration.k8s.io",
        through::<admission::ValidatingAdmissionPolicyBinding>,
    ),
    (
        "customresourcedefinitions.apiextensions.k8s.io",
        through::<apiextensions::CustomResourceDefinition>,
    ),
];

/// Objects whose values are quantities, which may be written as plain numbers.
const QUANTITIES: [&str; 7] = [
    "limits",
    "requests",
    "capacity",
    "allocatable",
    "hard",
    "used",
    "overhead",
];

/// The object without unknown fields, and their paths.
pub fn known(served: &Served, mut object: Value) -> Result<(Value, Vec<String>), Status> {
    let id = served.kind.id();
    let Some((_, reader)) = READERS.iter().find(|(name, _)| *name == id) else {
        return Ok((object, Vec::new()));
    };
    spell_quantities(&mut object);
    let text = object.to_string();
    let known = reader(text.as_bytes()).map_err(|error| refuse(served, &text, &error))?;
    let known = super::super::body::json(&known)?;
    let mut unknown = Vec::new();
    find_unknown(&object, &known, "", &mut unknown);
    Ok((known, unknown))
}

fn refuse(served: &Served, text: &str, error: &serde_json::Error) -> Status {
    let path = path_at(text, error.column());
    let told = error.to_string();
    let why = told.split(" at line ").next().unwrap_or_default();
    let kind = &served.kind.kind;
    Status::bad_request(format!(
        "{kind} in version {:?} cannot be handled as a {kind}: {path}: {why}",
        served.version
    ))
}

/// The path of the field in which a byte of a JSON text without spaces lies.
fn path_at(text: &str, column: usize) -> String {
    enum Level {
        Object(String),
        Array(usize),
    }
    let bytes = text.as_bytes();
    let end = column.min(bytes.len());
    let mut levels = Vec::new();
    let mut key = String::new();
    let mut at = 0;
    while at < end {
        match bytes[at] {
            b'{' => levels.push(Level::Object(String::new())),
            b'[' => levels.push(Level::Array(0)),
            b'}' | b']' if at + 1 < end => {
                levels.pop();
            }
            b',' => {
                if let Some(Level::Array(index)) = levels.last_mut() {
                    *index += 1;
                }
            }
            b':' => {
                if let Some(Level::Object(name)) = levels.last_mut() {
                    *name = std::mem::take(&mut key);
                }
            }
            b'"' => {
                let start = at + 1;
                at = start;
                while at < end && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                key = text.get(start..at.min(end)).unwrap_or_default().to_owned();
            }
            _ => {}
        }
        at += 1;
    }
    let mut path = String::new();
    for level in &levels {
        match level {
            Level::Object(name) if path.is_empty() => path.push_str(name),
            Level::Object(name) if !name.is_empty() => {
                path.push('.');
                path.push_str(name);
            }
            Level::Object(_) => {}
            Level::Array(index) => path.push_str(&format!("[{index}]")),
        }
    }
    path
}

/// Fields of the input that did not come through. Empty values may vanish, and null means nothing.
fn find_unknown(given: &Value, known: &Value, path: &str, unknown: &mut Vec<String>) {
    match (given, known) {
        (Value::Object(given), Value::Object(known)) => {
            for (name, value) in given {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                match known.get(name) {
                    Some(known) => find_unknown(value, known, &path, unknown),
                    None if is_empty(value) => {}
                    None => unknown.push(path),
                }
            }
        }
        (Value::Array(given), Value::Array(known)) => {
            for (index, (given, known)) in given.iter().zip(known).enumerate() {
                find_unknown(given, known, &format!("{path}[{index}]"), unknown);
            }
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(elements) => elements.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// `memory: 200` means `memory: "200"`.
fn spell_quantities(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::Object(quantities) if QUANTITIES.contains(&name.as_str()) => {
                        for quantity in quantities.values_mut().filter(|value| value.is_number()) {
                            *quantity = Value::String(quantity.to_string());
                        }
                    }
                    // Free data, not fields.
                    _ if matches!(name.as_str(), "managedFields" | "data" | "annotations") => {}
                    value => spell_quantities(value),
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(spell_quantities),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::Kinds;

    fn check(object: Value) -> Result<(Value, Vec<String>), Status> {
        let kinds = Kinds::builtin();
        known(kinds.find("apps", "v1", "deployments").unwrap(), object)
    }

    #[test]
    fn unknown_fields_are_named_and_left_out() {
        let (known, unknown) = check(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x", "creationTimestamp": null},
            "spec": {"foo": 1, "replicas": 2, "selector": {}, "template": {"spec": {"containers": [
                {"name": "c", "imagee": "x", "resources": {"limits": {"memory": 200}}}]}}},
        }))
        .unwrap();
        assert_eq!(
            unknown,
            ["spec.foo", "spec.template.spec.containers[0].imagee"]
        );
        assert_eq!(known["spec"]["replicas"], 2);
        let limits = &known["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"];
        assert_eq!(limits["memory"], "200");
    }

    #[test]
    fn wrong_types_are_told_with_their_path() {
        let error = check(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {},
            "spec": {"selector": {}, "template": {"spec": {"containers": [{"name": "a"}, {"name": 1}]}}}}))
        .unwrap_err();
        assert!(
            error
                .message
                .contains("spec.template.spec.containers[1].name: invalid type"),
            "{}",
            error.message
        );
    }
}
