//! Workloads and whether they have all their pods, and Services and whether they have all their endpoints: what `up` waits for.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, ReplicationController};
use kube::ResourceExt;

use mesh_node::controllers::{self, Cache, Cacheable, Caches, Observed};

/// The kinds that make pods and say when they have them, and pods themselves.
pub const WORKLOAD_KINDS: &[&str] = &[
    "Deployment",
    "ReplicaSet",
    "ReplicationController",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "Pod",
];

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    pub kind: &'static str,
    pub namespace: String,
    pub name: String,
    /// The latest state of its spec is carried out and all of its pods are ready.
    pub is_complete: bool,
}

/// All workloads of the sandbox.
pub fn workloads(caches: &Caches) -> Vec<Workload> {
    let mut all = Vec::new();
    let mut add = |found: Vec<Workload>| all.extend(found);
    add(each(&caches.deployments, "Deployment", deployment));
    add(each(&caches.replica_sets, "ReplicaSet", replica_set));
    add(each(
        &caches.replication_controllers,
        "ReplicationController",
        replication_controller,
    ));
    add(each(&caches.stateful_sets, "StatefulSet", stateful_set));
    add(each(&caches.daemon_sets, "DaemonSet", daemon_set));
    add(each(&caches.jobs, "Job", job));
    add(each(&caches.pods, "Pod", pod));
    all
}

/// The newest versions of Services, EndpointSlices and Pods, by the plural of their kind; none while the endpoints of a Service are not
/// yet those that its pods make.
pub fn endpoint_versions(caches: &Caches) -> Option<[(&'static str, u64); 3]> {
    let observed = Observed::read(caches, Timestamp::now());
    controllers::are_endpoints_settled(&observed).then(|| {
        [
            ("services", caches.services.newest()),
            ("endpointslices", caches.endpoint_slices.newest()),
            ("pods", caches.pods.newest()),
        ]
    })
}

fn each<K: Cacheable>(
    cache: &Cache<K>,
    kind: &'static str,
    is_complete: fn(&K) -> bool,
) -> Vec<Workload> {
    let objects = cache.list();
    let of = |object: &K| Workload {
        kind,
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        is_complete: is_complete(object),
    };
    objects.iter().map(|object| of(object)).collect()
}

fn deployment(object: &Deployment) -> bool {
    let wanted = object
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    let status = object.status.clone().unwrap_or_default();
    status.observed_generation >= object.metadata.generation
        && status.updated_replicas.unwrap_or(0) == wanted
        && status.replicas.unwrap_or(0) == wanted
        && status.available_replicas.unwrap_or(0) == wanted
}

fn replica_set(object: &ReplicaSet) -> bool {
    let wanted = object.spec.as_ref().and_then(|spec| spec.replicas);
    object.status.as_ref().is_some_and(|status| {
        status.observed_generation >= object.metadata.generation
            && status.ready_replicas.unwrap_or(0) == wanted.unwrap_or(1)
    })
}

fn replication_controller(object: &ReplicationController) -> bool {
    let wanted = object.spec.as_ref().and_then(|spec| spec.replicas);
    object.status.as_ref().is_some_and(|status| {
        status.observed_generation >= object.metadata.generation
            && status.ready_replicas.unwrap_or(0) == wanted.unwrap_or(1)
    })
}

fn stateful_set(object: &StatefulSet) -> bool {
    let wanted = object
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    object.status.as_ref().is_some_and(|status| {
        status.observed_generation >= object.metadata.generation
            && status.ready_replicas.unwrap_or(0) == wanted
    })
}

fn daemon_set(object: &DaemonSet) -> bool {
    object.status.as_ref().is_some_and(|status| {
        status.observed_generation >= object.metadata.generation
            && status.number_ready == status.desired_number_scheduled
    })
}

/// A job need not have ended; that its pods run is seen at the pods themselves.
fn job(object: &Job) -> bool {
    object.status.is_some()
}

fn pod(object: &Pod) -> bool {
    controllers::is_ready(object) || controllers::is_finished(object)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_deployment_is_complete_when_its_latest_state_is_carried_out() {
        let with = |generation: i64, available: i32| -> Deployment {
            let status = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": available});
            let object = json!({"metadata": {"generation": generation}, "spec": {"replicas": 2, "selector": {}, "template": {}},
                "status": status});
            serde_json::from_value(object).unwrap()
        };
        assert!(deployment(&with(2, 2)));
        assert!(!deployment(&with(2, 1)), "one is not available");
        assert!(
            !deployment(&with(3, 2)),
            "the latest change is not seen yet"
        );
    }
}
