//! Admission of new objects: what a cluster does with a pod before it stores it.
//!
//! ```text
//! pod -> sidecar (admission) -> mounts of its account's token
//! ```

use serde_json::{Value, json};

use super::status::{Cause, Status};
use super::store::State;
use super::verbs::Context;
use super::{admission, metadata};

/// Where programs look for their account's token.
const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// A little more than an hour: clients that do not renew it notice within the hour.
const TOKEN_SECONDS: u64 = 3607;

/// Changes a new object as the cluster is configured to.
pub fn create(context: &Context<'_>, state: &State, object: &mut Value) -> Result<(), Status> {
    if !context.kind.is("", "pods") {
        return Ok(());
    }
    let place = context.call.path.namespace();
    let namespace = state.get("namespaces", "", place).unwrap_or_default();
    let config_map = |name: &str| {
        let map = state.get("configmaps", admission::NAMESPACE, name)?;
        Some(Value::clone(&map))
    };
    let pod = admission::inject(object.take(), &namespace, config_map).map_err(|error| {
        let cause = Cause::invalid("spec", &json!(null), &error);
        Status::bad_request(format!("admission of the pod failed: {error}")).with_cause(cause)
    })?;
    *object = pod;
    mount_token(state, place, object)
}

/// Mounts the token of the pod's account into containers that do not have one there.
fn mount_token(state: &State, namespace: &str, pod: &mut Value) -> Result<(), Status> {
    let name = pod["spec"]["serviceAccountName"]
        .as_str()
        .unwrap_or("default")
        .to_owned();
    let account = state.get("serviceaccounts", namespace, &name);
    let account = account.ok_or_else(|| {
        let why = format!(
            "error looking up service account {namespace}/{name}: serviceaccount {name:?} not found"
        );
        let pod = pod["metadata"]["name"].as_str().unwrap_or_default();
        Status::forbidden("", "pods", pod, &why)
    })?;
    let wanted = [&pod["spec"], &*account]
        .into_iter()
        .find_map(|object| object["automountServiceAccountToken"].as_bool());
    if wanted == Some(false) {
        return Ok(());
    }
    let volume = format!("kube-api-access-{}", metadata::generate_name(""));
    let mount = json!({"name": volume, "readOnly": true, "mountPath": TOKEN_PATH});
    let mut any = false;
    for group in ["containers", "initContainers"] {
        let containers = pod["spec"][group].as_array_mut();
        let containers = containers.into_iter().flatten();
        for container in containers.filter_map(Value::as_object_mut) {
            let mounts = container.entry("volumeMounts").or_insert_with(|| json!([]));
            let Some(mounts) = mounts.as_array_mut() else {
                continue;
            };
            if mounts.iter().all(|mount| mount["mountPath"] != TOKEN_PATH) {
                mounts.push(mount.clone());
                any = true;
            }
        }
    }
    if any {
        let volumes = pod["spec"].as_object_mut();
        let volumes = volumes.map(|spec| spec.entry("volumes").or_insert_with(|| json!([])));
        if let Some(volumes) = volumes.and_then(Value::as_array_mut) {
            volumes.push(token_volume(&volume));
        }
    }
    Ok(())
}

fn token_volume(name: &str) -> Value {
    json!({"name": name, "projected": {"defaultMode": 0o644, "sources": [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": super::initial::ROOT_CA, "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [
            {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
        ]}},
    ]}})
}
