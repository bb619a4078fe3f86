//! Deployments walk from template to template within their bounds.

use k8s_openapi::api::apps::v1::ReplicaSetStatus;
use serde_json::Value;

use super::*;
use crate::controllers::action::Object;

fn deployment(image: &str, replicas: i32, strategy: Value) -> Deployment {
    serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "n", "uid": "d", "generation": 1},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "strategy": strategy,
                 "template": {"metadata": {"labels": {"app": "web"}},
                              "spec": {"containers": [{"name": "c", "image": image}]}}},
    }))
    .unwrap()
}

/// A tiny cluster: applies actions to itself, and every pod is available at once.
struct World {
    observed: Observed,
    /// The most pods and the fewest available ones seen while stepping.
    most: i32,
    least: i32,
}

impl World {
    fn new(deployment: Deployment) -> Self {
        let observed = Observed {
            deployments: vec![Arc::new(deployment)],
            ..Observed::default()
        };
        Self {
            observed,
            most: 0,
            least: i32::MAX,
        }
    }

    fn set_deployment(&mut self, mut deployment: Deployment) {
        deployment.status = self.observed.deployments[0].status.clone();
        deployment.metadata.generation =
            Some(self.observed.deployments[0].metadata.generation.unwrap() + 1);
        self.observed.deployments = vec![Arc::new(deployment)];
    }

    /// One pass; true when it did something.
    fn step(&mut self) -> bool {
        let actions = reconcile(&self.observed);
        for action in &actions {
            self.take(action);
        }
        let sets = &mut self.observed.replica_sets;
        self.most = self.most.max(sets.iter().map(|set| replicas_of(set)).sum());
        let available = sets
            .iter()
            .map(|set| replicas_of(set).min(set.status.as_ref().map_or(0, |s| s.replicas)));
        self.least = self.least.min(available.sum());
        for set in sets {
            let size = replicas_of(set);
            let status = ReplicaSetStatus {
                replicas: size,
                available_replicas: Some(size),
                ready_replicas: Some(size),
                ..Default::default()
            };
            Arc::make_mut(set).status = Some(status);
        }
        !actions.is_empty()
    }

    fn settle(&mut self) {
        for _ in 0..100 {
            if !self.step() {
                return;
            }
        }
        panic!("the deployment never came to rest");
    }

    fn take(&mut self, action: &Action) {
        match action {
            Action::Create(Object::ReplicaSet(set)) => {
                let mut set = *set.clone();
                set.metadata.uid = set.metadata.name.clone();
                self.observed.replica_sets.push(Arc::new(set));
            }
            Action::ReplaceStatus(Object::Deployment(deployment)) => {
                self.observed.deployments = vec![Arc::new(*deployment.clone())];
            }
            Action::Merge {
                kind: Kind::ReplicaSet,
                name,
                body,
                ..
            } => {
                let sets = &mut self.observed.replica_sets;
                let set = sets.iter_mut().find(|set| set.name_any() == *name).unwrap();
                *set = Arc::new(merged(&**set, body));
            }
            Action::Merge {
                kind: Kind::Deployment,
                body,
                ..
            } => {
                let merged = merged(&*self.observed.deployments[0], body);
                self.observed.deployments = vec![Arc::new(merged)];
            }
            Action::Delete { name, .. } => {
                self.observed
                    .replica_sets
                    .retain(|set| set.name_any() != *name);
            }
            other => panic!("unexpected {other:?}"),
        }
    }

    /// Image and size of every ReplicaSet that has pods.
    fn sizes(&self) -> Vec<(String, i32)> {
        let sets = self
            .observed
            .replica_sets
            .iter()
            .filter(|set| replicas_of(set) > 0);
        sets.map(|set| (image(set), replicas_of(set))).collect()
    }

    fn status(&self) -> DeploymentStatus {
        self.observed.deployments[0].status.clone().unwrap()
    }
}

fn image(set: &ReplicaSet) -> String {
    let spec = set
        .spec
        .as_ref()
        .unwrap()
        .template
        .as_ref()
        .unwrap()
        .spec
        .as_ref()
        .unwrap();
    spec.containers[0].image.clone().unwrap()
}

fn merged<K: serde::Serialize + serde::de::DeserializeOwned>(object: &K, body: &Value) -> K {
    let mut value = serde_json::to_value(object).unwrap();
    json_patch::merge(&mut value, body);
    serde_json::from_value(value).unwrap()
}

fn reason(status: &DeploymentStatus, kind: &str) -> String {
    let conditions = status.conditions.as_ref().unwrap();
    conditions
        .iter()
        .find(|c| c.type_ == kind)
        .unwrap()
        .reason
        .clone()
        .unwrap()
}

#[test]
fn the_first_rollout_creates_one_set_and_reports_it() {
    let mut world = World::new(deployment("a", 3, json!({})));
    world.settle();
    assert_eq!(world.sizes(), [("a".to_owned(), 3)]);
    let set = &world.observed.replica_sets[0];
    let hash = &set.labels()[HASH_LABEL];
    assert_eq!(set.name_any(), format!("web-{hash}"));
    assert_eq!(
        set.spec
            .as_ref()
            .unwrap()
            .selector
            .match_labels
            .as_ref()
            .unwrap()[HASH_LABEL],
        *hash
    );
    let status = world.status();
    assert_eq!(
        (status.updated_replicas, status.available_replicas),
        (Some(3), Some(3))
    );
    assert_eq!(reason(&status, "Available"), "MinimumReplicasAvailable");
    assert_eq!(reason(&status, "Progressing"), "NewReplicaSetAvailable");
    assert_eq!(world.observed.deployments[0].annotations()[REVISION], "1");
}

#[test]
fn a_rolling_update_stays_within_its_bounds() {
    let strategy = json!({"rollingUpdate": {"maxSurge": 2, "maxUnavailable": 1}});
    let mut world = World::new(deployment("a", 5, strategy.clone()));
    world.settle();
    (world.most, world.least) = (0, i32::MAX);
    world.set_deployment(deployment("b", 5, strategy));
    world.settle();
    assert_eq!(world.sizes(), [("b".to_owned(), 5)]);
    assert!(world.most <= 7, "{} pods at once", world.most);
    assert!(world.least >= 4, "only {} available", world.least);
    assert_eq!(world.observed.deployments[0].annotations()[REVISION], "2");
}

#[test]
fn going_back_revives_the_old_set_with_a_new_revision() {
    let mut world = World::new(deployment("a", 1, json!({})));
    world.settle();
    world.set_deployment(deployment("b", 1, json!({})));
    world.settle();
    world.set_deployment(deployment("a", 1, json!({})));
    world.settle();
    assert_eq!(world.observed.replica_sets.len(), 2);
    assert_eq!(world.sizes(), [("a".to_owned(), 1)]);
    assert_eq!(world.observed.deployments[0].annotations()[REVISION], "3");
}

#[test]
fn recreate_empties_the_old_set_first() {
    let mut world = World::new(deployment("a", 2, json!({"type": "Recreate"})));
    world.settle();
    world.most = 0;
    world.set_deployment(deployment("b", 2, json!({"type": "Recreate"})));
    world.settle();
    assert_eq!(world.sizes(), [("b".to_owned(), 2)]);
    assert_eq!(world.most, 2);
}

#[test]
fn scaling_to_zero_and_up_again() {
    let mut world = World::new(deployment("a", 2, json!({})));
    world.settle();
    world.set_deployment(deployment("a", 0, json!({})));
    world.settle();
    assert_eq!(world.sizes(), []);
    assert_eq!(
        reason(&world.status(), "Progressing"),
        "NewReplicaSetAvailable"
    );
    world.set_deployment(deployment("a", 4, json!({})));
    world.settle();
    assert_eq!(world.sizes(), [("a".to_owned(), 4)]);
}

#[test]
fn a_rollout_without_progress_exceeds_its_deadline() {
    let mut world = World::new(deployment("a", 1, json!({})));
    world.step();
    for set in &mut world.observed.replica_sets {
        Arc::make_mut(set).status = Some(ReplicaSetStatus {
            replicas: 1,
            ..Default::default()
        });
    }
    for action in reconcile(&world.observed) {
        world.take(&action);
    }
    assert_eq!(reason(&world.status(), "Progressing"), "ReplicaSetUpdated");
    world.observed.now += jiff::SignedDuration::from_secs(601);
    for action in reconcile(&world.observed) {
        world.take(&action);
    }
    assert_eq!(
        reason(&world.status(), "Progressing"),
        "ProgressDeadlineExceeded"
    );
}
