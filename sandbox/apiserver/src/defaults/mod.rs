//! Defaults: what an object means without saying so, filled in on every write, as clients and controllers rely on it.

mod cluster;
mod pods;
mod services;
mod workloads;

use serde_json::{Map, Value, json};

use super::kinds::Kind;
use super::state::Api;
use super::status::Status;
use super::store::{Key, State};

/// Fills in the defaults of a kind.
pub fn apply(kind: &Kind, object: &mut Value, old: Option<&Value>) {
    if let Some(custom) = kind.custom.get(&kind.version) {
        custom.default(object);
        return;
    }
    match (kind.group.as_str(), kind.plural.as_str()) {
        ("", "pods") => pods::pod(object),
        ("", "services") => services::service(object, old),
        ("", "replicationcontrollers") => workloads::replication_controller(object),
        ("apps", "deployments") => workloads::deployment(object),
        ("apps", "replicasets") => workloads::replica_set(object),
        ("apps", "statefulsets") => workloads::stateful_set(object),
        ("apps", "daemonsets") => workloads::daemon_set(object),
        ("batch", "jobs") => workloads::job(object),
        ("batch", "cronjobs") => workloads::cron_job(object),
        ("", "namespaces") => cluster::namespace(object),
        ("", "secrets") => cluster::secret(object),
        ("", "persistentvolumeclaims") => cluster::claim(object),
        ("autoscaling", "horizontalpodautoscalers") => cluster::autoscaler(object),
        ("rbac.authorization.k8s.io", _) => cluster::binding(object),
        ("admissionregistration.k8s.io", _) => cluster::webhooks(object),
        ("apiextensions.k8s.io", _) => cluster::definition(object),
        _ => {}
    }
}

/// Gives out what no two objects may have: addresses and ports of Services.
pub fn allocate(
    api: &Api,
    kind: &Kind,
    state: &State,
    key: &Key,
    object: &mut Value,
) -> Result<(), Status> {
    if kind.is("", "services") {
        services::allocate(&api.addresses, state, key, object)?;
    }
    Ok(())
}

/// An object at a field, which is made when it is missing; `None` when something else is there.
fn section<'a>(
    object: &'a mut Map<String, Value>,
    name: &str,
) -> Option<&'a mut Map<String, Value>> {
    let place = object.entry(name.to_owned()).or_insert_with(|| json!({}));
    if place.is_null() {
        *place = json!({});
    }
    place.as_object_mut()
}

/// The `spec`.
fn spec(object: &mut Value) -> Option<&mut Map<String, Value>> {
    section(object.as_object_mut()?, "spec")
}

/// Sets a field that is missing.
fn fill(object: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    let place = object.entry(name.to_owned()).or_insert(Value::Null);
    if place.is_null() {
        *place = value.into();
    }
}

/// The objects in a list.
fn elements<'a>(
    object: &'a mut Map<String, Value>,
    name: &str,
) -> impl Iterator<Item = &'a mut Map<String, Value>> + use<'a> {
    let list = object.get_mut(name).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_object_mut)
}
