//! StatefulSets: pods with ordinals, made in order and replaced from the last to the first.
//!
//! A claim template becomes a volume whose claim is `TEMPLATE-POD`; the node keeps a claim's directory as long as the
//! sandbox lives, so a replaced pod finds its data again.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetStatus};
use k8s_openapi::api::core::v1::{PersistentVolumeClaimVolumeSource, Pod, Volume};
use kube::ResourceExt;

use super::action::{Action, Kind};
use super::observed::Observed;
use super::pods;

const REVISION_LABEL: &str = "controller-revision-hash";
const NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
const INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";

/// All StatefulSets.
pub fn reconcile(observed: &Observed) -> Vec<Action> {
    observed
        .stateful_sets
        .iter()
        .flat_map(|set| one(set, observed))
        .collect()
}

struct View<'a> {
    set: &'a StatefulSet,
    spec: &'a StatefulSetSpec,
    revision: String,
    /// Pods by ordinal, terminating ones included: a name is free only when its pod is gone.
    pods: BTreeMap<i32, Arc<Pod>>,
}

fn one(set: &StatefulSet, observed: &Observed) -> Vec<Action> {
    let Some(spec) = &set.spec else {
        return Vec::new();
    };
    let prefix = format!("{}-", set.name_any());
    let ordinal = |pod: &Arc<Pod>| pod.name_any().strip_prefix(&prefix)?.parse::<i32>().ok();
    let owned = observed.pods_of(&set.uid().unwrap_or_default());
    let pods = owned
        .iter()
        .filter_map(|pod| Some((ordinal(pod)?, pod.clone())))
        .collect();
    let view = View {
        set,
        spec,
        revision: format!("{prefix}{}", pods::short_hash(&spec.template, 10)),
        pods,
    };
    let mut actions = Vec::new();
    if set.metadata.deletion_timestamp.is_none() {
        actions.extend(view.walk());
    }
    actions.extend(view.report(observed));
    actions
}

// === impl View ===

impl View<'_> {
    fn parallel(&self) -> bool {
        self.spec.pod_management_policy.as_deref() == Some("Parallel")
    }

    fn ordinals(&self) -> std::ops::Range<i32> {
        let start = self
            .spec
            .ordinals
            .as_ref()
            .and_then(|ordinals| ordinals.start)
            .unwrap_or(0);
        start..start.saturating_add(self.spec.replicas.unwrap_or(1).max(0))
    }

    fn walk(&self) -> Vec<Action> {
        let mut actions = self.grow();
        if actions.is_empty() || self.parallel() {
            actions.extend(self.shrink());
        }
        if actions.is_empty() {
            actions.extend(self.update());
        }
        actions
    }

    /// Creates what is missing; in order, each only once all before it are ready.
    fn grow(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        for ordinal in self.ordinals() {
            match self.pods.get(&ordinal) {
                None => {
                    actions.push(Action::Create(self.pod(ordinal).into()));
                    if !self.parallel() {
                        return actions;
                    }
                }
                Some(pod)
                    if pods::is_finished(pod) && pod.metadata.deletion_timestamp.is_none() =>
                {
                    actions.push(Action::delete(Kind::Pod, &**pod));
                }
                Some(pod) if !(self.parallel() || pods::is_ready(pod) && pods::is_active(pod)) => {
                    return actions;
                }
                Some(_) => {}
            }
        }
        actions
    }

    /// Deletes what is too much, the highest ordinal first and, in order, one at a time.
    fn shrink(&self) -> Vec<Action> {
        let wanted = self.ordinals();
        let surplus = self
            .pods
            .iter()
            .rev()
            .filter(|(ordinal, _)| !wanted.contains(ordinal));
        let limit = if self.parallel() { usize::MAX } else { 1 };
        let first = surplus
            .take(limit)
            .filter(|(_, pod)| pod.metadata.deletion_timestamp.is_none());
        first
            .map(|(_, pod)| Action::delete(Kind::Pod, &**pod))
            .collect()
    }

    /// Replaces one outdated pod once everything is ready, from the highest ordinal down to the partition.
    fn update(&self) -> Option<Action> {
        let strategy = self.spec.update_strategy.as_ref();
        if strategy.is_some_and(|strategy| strategy.type_.as_deref() == Some("OnDelete")) {
            return None;
        }
        let partition = strategy
            .and_then(|s| s.rolling_update.as_ref())
            .and_then(|r| r.partition)
            .unwrap_or(0);
        for (ordinal, pod) in self.pods.iter().rev() {
            if *ordinal >= partition && !self.is_current(pod) {
                let alive = pod.metadata.deletion_timestamp.is_none();
                return alive.then(|| Action::delete(Kind::Pod, &**pod));
            }
            if !pods::is_ready(pod) || !pods::is_active(pod) {
                return None;
            }
        }
        None
    }

    fn is_current(&self, pod: &Pod) -> bool {
        pod.labels().get(REVISION_LABEL) == Some(&self.revision)
    }

    fn pod(&self, ordinal: i32) -> Pod {
        let name = format!("{}-{ordinal}", self.set.name_any());
        let mut pod = pods::pod_from_template(self.set, &self.spec.template);
        let labels = pod.metadata.labels.get_or_insert_default();
        labels.insert(REVISION_LABEL.to_owned(), self.revision.clone());
        labels.insert(NAME_LABEL.to_owned(), name.clone());
        labels.insert(INDEX_LABEL.to_owned(), ordinal.to_string());
        let spec = pod.spec.get_or_insert_default();
        spec.hostname = Some(name.clone());
        spec.subdomain.clone_from(&self.spec.service_name);
        for template in self.spec.volume_claim_templates.iter().flatten() {
            let volume = template.name_any();
            let claim = PersistentVolumeClaimVolumeSource {
                claim_name: format!("{volume}-{name}"),
                read_only: None,
            };
            let volumes = spec.volumes.get_or_insert_default();
            volumes.retain(|known| known.name != volume);
            let claim = Some(claim);
            volumes.push(Volume {
                name: volume,
                persistent_volume_claim: claim,
                ..Volume::default()
            });
        }
        pod.metadata.name = Some(name);
        pod
    }

    fn report(&self, observed: &Observed) -> Option<Action> {
        let wanted = self.ordinals();
        let live = self
            .pods
            .iter()
            .filter(|(ordinal, _)| wanted.contains(ordinal))
            .map(|(_, pod)| pod);
        let counts = pods::count(
            live.clone(),
            self.spec.min_ready_seconds.unwrap_or(0),
            observed.now,
        );
        let total = i32::try_from(self.pods.len()).unwrap_or(i32::MAX);
        let updated =
            i32::try_from(live.filter(|pod| self.is_current(pod)).count()).unwrap_or(i32::MAX);
        let known = self.set.status.clone().unwrap_or_default();
        let complete =
            updated == counts.total && counts.ready == counts.total && total == counts.total;
        let current = if complete {
            None
        } else {
            known.current_revision.clone()
        };
        let current = current.unwrap_or_else(|| self.revision.clone());
        let current_replicas = if current == self.revision {
            updated
        } else {
            counts.total - updated
        };
        let status = StatefulSetStatus {
            replicas: total,
            ready_replicas: pods::nonzero(counts.ready),
            available_replicas: Some(counts.available),
            updated_replicas: pods::nonzero(updated),
            current_replicas: pods::nonzero(current_replicas),
            current_revision: Some(current),
            update_revision: Some(self.revision.clone()),
            observed_generation: self.set.metadata.generation,
            collision_count: Some(0),
            conditions: None,
        };
        (known != status).then(|| {
            let object = StatefulSet {
                status: Some(status),
                ..self.set.clone()
            };
            Action::ReplaceStatus(object.into())
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::controllers::action::Object;

    fn observed(replicas: i32, policy: &str) -> Observed {
        let set = json!({
            "metadata": {"name": "db", "namespace": "n", "uid": "s"},
            "spec": {"replicas": replicas, "serviceName": "db", "selector": {}, "podManagementPolicy": policy,
                     "template": {"spec": {"containers": []}},
                     "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}]},
        });
        let set = Arc::new(serde_json::from_value(set).unwrap());
        Observed {
            stateful_sets: vec![set],
            ..Observed::default()
        }
    }

    /// Performs creations and deletions on the observation itself; new pods are ready or not as told.
    fn step(observed: Observed, ready: bool) -> (Observed, Vec<String>) {
        let mut done = Vec::new();
        let actions = reconcile(&observed);
        let mut observed = observed;
        for action in actions {
            match action {
                Action::Create(Object::Pod(mut pod)) => {
                    done.push(format!("+{}", pod.name_any()));
                    let status = if ready { "True" } else { "False" };
                    let status = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": status}]});
                    pod.status = Some(serde_json::from_value(status).unwrap());
                    observed.pods.push(Arc::from(pod));
                }
                Action::Delete { name, .. } => {
                    done.push(format!("-{name}"));
                    observed.pods.retain(|pod| pod.name_any() != name);
                }
                _ => {}
            }
        }
        (observed.indexed(), done)
    }

    #[test]
    fn ordered_pods_wait_for_their_predecessors() {
        let (world, done) = step(observed(2, "OrderedReady"), false);
        assert_eq!(done, ["+db-0"]);
        let spec = world.pods[0].spec.clone().unwrap();
        assert_eq!(spec.hostname.as_deref(), Some("db-0"));
        let claim = spec.volumes.unwrap()[0]
            .persistent_volume_claim
            .clone()
            .unwrap();
        assert_eq!(claim.claim_name, "data-db-0");
        assert!(step(world, true).1.is_empty(), "the first pod is not ready");
    }

    #[test]
    fn parallel_pods_do_not_wait() {
        assert_eq!(step(observed(2, "Parallel"), false).1, ["+db-0", "+db-1"]);
    }

    #[test]
    fn updates_go_from_the_last_to_the_first_and_scaling_down_too() {
        let (world, _) = step(observed(2, "OrderedReady"), true);
        let (mut world, _) = step(world, true);
        let set = Arc::make_mut(&mut world.stateful_sets[0]);
        set.spec
            .as_mut()
            .unwrap()
            .template
            .spec
            .as_mut()
            .unwrap()
            .host_pid = Some(true);
        let (world, done) = step(world, true);
        assert_eq!(done, ["-db-1"]);
        let (world, done) = step(world, true);
        assert_eq!(done, ["+db-1"]);
        let (mut world, done) = step(world, true);
        assert_eq!(done, ["-db-0"]);
        let set = Arc::make_mut(&mut world.stateful_sets[0]);
        set.spec.as_mut().unwrap().replicas = Some(0);
        assert_eq!(step(world, true).1, ["-db-1"]);
    }
}
