//! Workloads and whether they have all their pods: what `up` waits for.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use kube::{Resource, ResourceExt};

use crate::controllers::Caches;

/// The kinds that make pods and say when they have them.
pub const WORKLOAD_KINDS: &[&str] = &["Deployment", "StatefulSet", "DaemonSet", "Job"];

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
    let deployments = caches.deployments.list();
    let stateful_sets = caches.stateful_sets.list();
    let daemon_sets = caches.daemon_sets.list();
    let jobs = caches.jobs.list();
    let mut all = Vec::new();
    all.extend(
        deployments
            .iter()
            .map(|one| of(&**one, "Deployment", deployment(one))),
    );
    all.extend(
        stateful_sets
            .iter()
            .map(|one| of(&**one, "StatefulSet", stateful_set(one))),
    );
    all.extend(
        daemon_sets
            .iter()
            .map(|one| of(&**one, "DaemonSet", daemon_set(one))),
    );
    all.extend(jobs.iter().map(|one| of(&**one, "Job", job(one))));
    all
}

fn of<K: Resource>(object: &K, kind: &'static str, is_complete: bool) -> Workload {
    Workload {
        kind,
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        is_complete,
    }
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
