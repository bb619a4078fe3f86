//! Tokens of service accounts: a new pod gets that of its account mounted.

use serde_json::{Value, json};

use crate::status::Status;
use crate::store::State;
use crate::{initial, metadata};

/// Where programs look for their account's token.
const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// A little more than an hour: clients that do not renew it notice within the hour.
const TOKEN_SECONDS: u64 = 3607;

/// What the names of volumes with tokens begin with.
const VOLUME: &str = "kube-api-access-";

/// Mounts the token of the pod's account into containers that do not have one there. Webhooks may add containers, which get it as
/// well.
pub fn mount_token(state: &State, namespace: &str, pod: &mut Value) -> Result<(), Status> {
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
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let mut names = volumes.filter_map(|volume| volume["name"].as_str());
    let known = names
        .find(|name| name.starts_with(VOLUME))
        .map(str::to_owned);
    let is_known = known.is_some();
    let volume = known.unwrap_or_else(|| format!("{VOLUME}{}", metadata::generate_name("")));
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
    if any && !is_known {
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
        {"configMap": {"name": initial::ROOT_CA, "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [
            {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
        ]}},
    ]}})
}
