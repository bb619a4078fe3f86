//! DaemonSets: with one node, one pod each.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::action::{Action, Kind};
use super::observed::Observed;
use super::{NODE_NAME, pods};

const REVISION_LABEL: &str = "controller-revision-hash";

/// All DaemonSets.
pub fn reconcile(observed: &Observed) -> Vec<Action> {
    observed
        .daemon_sets
        .iter()
        .flat_map(|set| one(set, observed))
        .collect()
}

fn one(set: &DaemonSet, observed: &Observed) -> Vec<Action> {
    let Some(spec) = &set.spec else {
        return Vec::new();
    };
    let owned = observed.pods_of(&set.uid().unwrap_or_default());
    let revision = pods::short_hash(&spec.template, 10);
    let active: Vec<Arc<Pod>> = owned
        .iter()
        .filter(|pod| pods::is_active(pod))
        .cloned()
        .collect();
    let is_current = |pod: &Arc<Pod>| pod.labels().get(REVISION_LABEL) == Some(&revision);

    let mut actions = Vec::new();
    if set.metadata.deletion_timestamp.is_none() {
        let on_delete = spec
            .update_strategy
            .as_ref()
            .is_some_and(|s| s.type_.as_deref() == Some("OnDelete"));
        let outdated = active.iter().filter(|pod| !on_delete && !is_current(pod));
        actions.extend(outdated.map(|pod| Action::delete(Kind::Pod, &**pod)));
        // Finished daemons are replaced; a terminating one still holds its place.
        let finished = owned.iter().filter(|pod| pods::is_finished(pod));
        actions.extend(finished.map(|pod| Action::delete(Kind::Pod, &**pod)));
        if owned.is_empty() {
            let mut pod = pods::pod_from_template(set, &spec.template);
            pod.metadata.generate_name = Some(pods::name_prefix(&set.name_any()));
            pod.metadata
                .labels
                .get_or_insert_default()
                .insert(REVISION_LABEL.to_owned(), revision.clone());
            pod.spec.get_or_insert_default().node_name = Some(NODE_NAME.to_owned());
            actions.push(Action::Create(pod.into()));
        }
    }

    let counts = pods::count(&active, spec.min_ready_seconds.unwrap_or(0), observed.now);
    let updated = active.iter().filter(|pod| is_current(pod)).count();
    let status = DaemonSetStatus {
        desired_number_scheduled: 1,
        current_number_scheduled: counts.total.min(1),
        number_ready: counts.ready,
        number_available: pods::nonzero(counts.available),
        number_unavailable: pods::nonzero((1 - counts.available).max(0)),
        updated_number_scheduled: pods::nonzero(i32::try_from(updated).unwrap_or(i32::MAX)),
        observed_generation: set.metadata.generation,
        ..DaemonSetStatus::default()
    };
    if set.status.as_ref() != Some(&status) {
        actions.push(Action::ReplaceStatus(
            DaemonSet {
                status: Some(status),
                ..set.clone()
            }
            .into(),
        ));
    }
    actions
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::controllers::action::Object;

    #[test]
    fn one_pod_on_the_node_and_a_new_one_for_a_new_template() {
        let set: DaemonSet = serde_json::from_value(json!({
            "metadata": {"name": "agent", "namespace": "n", "uid": "ds"},
            "spec": {"selector": {}, "template": {"spec": {"containers": []}}},
        }))
        .unwrap();
        let mut observed = Observed {
            daemon_sets: vec![Arc::new(set)],
            ..Observed::default()
        };
        let actions = reconcile(&observed);
        let Action::Create(Object::Pod(pod)) = &actions[0] else {
            panic!("{actions:?}")
        };
        assert_eq!(
            pod.spec.as_ref().unwrap().node_name.as_deref(),
            Some(NODE_NAME)
        );
        let mut pod = *pod.clone();
        pod.metadata.name = Some("agent-1".into());
        observed.pods = vec![Arc::new(pod)];
        let mut observed = observed.indexed();
        assert!(
            !reconcile(&observed)
                .iter()
                .any(|action| matches!(action, Action::Create(_)))
        );

        let set = Arc::make_mut(&mut observed.daemon_sets[0]);
        let template = &mut set.spec.as_mut().unwrap().template;
        template.spec.as_mut().unwrap().host_network = Some(true);
        assert!(
            matches!(&reconcile(&observed)[0], Action::Delete { name, .. } if name == "agent-1")
        );
    }
}
