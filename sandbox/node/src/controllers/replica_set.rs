//! ReplicaSets and ReplicationControllers: as many pods of one template as asked.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetStatus};
use k8s_openapi::api::core::v1::{
    Pod, PodTemplateSpec, ReplicationController, ReplicationControllerStatus,
};
use kube::{Resource, ResourceExt};

use super::action::{Action, Kind};
use super::observed::Observed;
use super::pods;

/// The largest number of pods one pass creates for one owner.
const BURST: usize = 100;

/// ReplicaSets.
pub fn reconcile(observed: &Observed) -> Vec<Action> {
    let sets = observed.replica_sets.iter();
    sets.flat_map(|set| {
        one_set(
            set,
            observed.pods_of(&set.uid().unwrap_or_default()),
            observed.now,
        )
    })
    .collect()
}

/// ReplicationControllers.
pub fn reconcile_controllers(observed: &Observed) -> Vec<Action> {
    let controllers = observed.replication_controllers.iter();
    controllers
        .flat_map(|rc| {
            one_controller(
                rc,
                observed.pods_of(&rc.uid().unwrap_or_default()),
                observed.now,
            )
        })
        .collect()
}

fn one_set(set: &ReplicaSet, owned: &[Arc<Pod>], now: Timestamp) -> Vec<Action> {
    let Some(spec) = &set.spec else {
        return Vec::new();
    };
    let Some(template) = &spec.template else {
        return Vec::new();
    };
    let active = active(owned);
    let mut actions = resize(set, template, spec.replicas.unwrap_or(1), &active);
    let counts = pods::count(&active, spec.min_ready_seconds.unwrap_or(0), now);
    let status = ReplicaSetStatus {
        replicas: counts.total,
        fully_labeled_replicas: pods::nonzero(counts.total),
        ready_replicas: pods::nonzero(counts.ready),
        available_replicas: pods::nonzero(counts.available),
        observed_generation: set.metadata.generation,
        ..ReplicaSetStatus::default()
    };
    if set.status.as_ref() != Some(&status) {
        actions.push(Action::ReplaceStatus(
            ReplicaSet {
                status: Some(status),
                ..set.clone()
            }
            .into(),
        ));
    }
    actions
}

fn one_controller(rc: &ReplicationController, owned: &[Arc<Pod>], now: Timestamp) -> Vec<Action> {
    let Some(spec) = &rc.spec else {
        return Vec::new();
    };
    let Some(template) = &spec.template else {
        return Vec::new();
    };
    let active = active(owned);
    let mut actions = resize(rc, template, spec.replicas.unwrap_or(1), &active);
    let counts = pods::count(&active, spec.min_ready_seconds.unwrap_or(0), now);
    let status = ReplicationControllerStatus {
        replicas: counts.total,
        fully_labeled_replicas: pods::nonzero(counts.total),
        ready_replicas: pods::nonzero(counts.ready),
        available_replicas: pods::nonzero(counts.available),
        observed_generation: rc.metadata.generation,
        ..ReplicationControllerStatus::default()
    };
    if rc.status.as_ref() != Some(&status) {
        let object = ReplicationController {
            status: Some(status),
            ..rc.clone()
        };
        actions.push(Action::ReplaceStatus(object.into()));
    }
    actions
}

fn active(owned: &[Arc<Pod>]) -> Vec<Arc<Pod>> {
    owned
        .iter()
        .filter(|pod| pods::is_active(pod))
        .cloned()
        .collect()
}

/// Creates what is missing or deletes what is too much; nothing for an owner that is being deleted.
fn resize<K: Resource<DynamicType = ()>>(
    owner: &K,
    template: &PodTemplateSpec,
    replicas: i32,
    active: &[Arc<Pod>],
) -> Vec<Action> {
    if owner.meta().deletion_timestamp.is_some() {
        return Vec::new();
    }
    let wanted = usize::try_from(replicas).unwrap_or(0);
    let create = wanted.saturating_sub(active.len()).min(BURST);
    let mut actions: Vec<Action> = (0..create)
        .map(|_| {
            let mut pod = pods::pod_from_template(owner, template);
            pod.metadata.generate_name = Some(pods::name_prefix(&owner.name_any()));
            Action::Create(pod.into())
        })
        .collect();
    let surplus = pods::victims(active, active.len().saturating_sub(wanted));
    actions.extend(surplus.iter().map(|pod| Action::delete(Kind::Pod, &**pod)));
    actions
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::controllers::action::Object;

    fn observed(replicas: i32, pods: &[serde_json::Value]) -> Observed {
        let set: ReplicaSet = serde_json::from_value(json!({
            "metadata": {"name": "web-1", "namespace": "n", "uid": "rs", "generation": 3},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
                     "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}}},
        }))
        .unwrap();
        let pods = pods
            .iter()
            .map(|pod| Arc::new(serde_json::from_value(pod.clone()).unwrap()))
            .collect();
        Observed {
            replica_sets: vec![Arc::new(set)],
            pods,
            ..Observed::default()
        }
        .indexed()
    }

    fn pod(name: &str, ready: bool) -> serde_json::Value {
        json!({
            "metadata": {"name": name, "namespace": "n", "uid": name, "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "rs", "controller": true}]},
            "spec": {"containers": [], "nodeName": "sandbox"},
            "status": {"phase": "Running", "conditions": [
                {"type": "Ready", "status": if ready { "True" } else { "False" }}]},
        })
    }

    #[test]
    fn missing_pods_are_created_with_owner_and_prefix() {
        let actions = reconcile(&observed(2, &[pod("a", true)]));
        let Action::Create(Object::Pod(created)) = &actions[0] else {
            panic!("{actions:?}")
        };
        assert_eq!(created.metadata.generate_name.as_deref(), Some("web-1-"));
        assert_eq!(created.metadata.labels.as_ref().unwrap()["app"], "web");
        let owner = &created.metadata.owner_references.as_ref().unwrap()[0];
        assert_eq!(
            (owner.kind.as_str(), owner.uid.as_str()),
            ("ReplicaSet", "rs")
        );
        assert_eq!(owner.api_version, "apps/v1");
        assert_eq!(actions.len(), 2, "one pod and the status");
    }

    #[test]
    fn surplus_goes_with_the_unready_first() {
        let actions = reconcile(&observed(1, &[pod("a", true), pod("b", false)]));
        let deleted = Action::Delete {
            kind: Kind::Pod,
            namespace: "n".into(),
            name: "b".into(),
            uid: "b".into(),
        };
        assert_eq!(actions[0], deleted);
    }

    #[test]
    fn status_counts_and_then_rests() {
        let mut observed = observed(2, &[pod("a", true), pod("b", false)]);
        let actions = reconcile(&observed);
        let [Action::ReplaceStatus(Object::ReplicaSet(set))] = &actions[..] else {
            panic!("{actions:?}")
        };
        let status = set.status.clone().unwrap();
        assert_eq!(
            (
                status.replicas,
                status.ready_replicas,
                status.available_replicas
            ),
            (2, Some(1), Some(1))
        );
        assert_eq!(status.observed_generation, Some(3));
        observed.replica_sets = vec![Arc::new(*set.clone())];
        assert_eq!(reconcile(&observed), []);
    }
}
