//! Deployments: one ReplicaSet per pod template, and a controlled walk from the old ones to the new one.
//!
//! The rules are those of Kubernetes: the ReplicaSet whose template equals the Deployment's is the new one (created as
//! `NAME-HASH` when there is none, so that going back to an earlier template revives its ReplicaSet); revisions count
//! up in `deployment.kubernetes.io/revision`; a rolling update never has more than `replicas + maxSurge` pods nor fewer
//! than `replicas - maxUnavailable` available ones.

mod conditions;
mod rollout;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStatus, ReplicaSet, ReplicaSetSpec,
};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use serde_json::json;

use super::action::{Action, Kind};
use super::observed::{Observed, controller_uid};
use super::pods;

const REVISION: &str = "deployment.kubernetes.io/revision";
const HASH_LABEL: &str = "pod-template-hash";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// All Deployments.
pub fn reconcile(observed: &Observed) -> Vec<Action> {
    observed
        .deployments
        .iter()
        .flat_map(|deployment| one(deployment, observed))
        .collect()
}

/// A Deployment with its ReplicaSets told apart.
struct Family<'a> {
    deployment: &'a Deployment,
    spec: &'a DeploymentSpec,
    /// The ReplicaSet of the present template.
    new: Option<&'a ReplicaSet>,
    /// All others, oldest revision first.
    old: Vec<&'a ReplicaSet>,
    now: Timestamp,
}

fn one(deployment: &Deployment, observed: &Observed) -> Vec<Action> {
    let Some(spec) = &deployment.spec else {
        return Vec::new();
    };
    if deployment.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    let uid = deployment.uid().unwrap_or_default();
    let sets = observed.replica_sets.iter().map(Arc::as_ref);
    let mut owned: Vec<&ReplicaSet> = sets
        .filter(|set| controller_uid(*set) == Some(uid.as_str()))
        .collect();
    owned.sort_by_key(|set| (revision(set), set.name_any()));
    let new = owned.iter().copied().find(|set| is_new(set, spec));
    let old = owned
        .into_iter()
        .filter(|set| new.is_none_or(|new| new.name_any() != set.name_any()))
        .collect();
    let family = Family {
        deployment,
        spec,
        new,
        old,
        now: observed.now,
    };

    let mut actions = match (new, spec.paused.unwrap_or(false)) {
        (None, false) => vec![Action::Create(family.first_set(observed).into())],
        (None, true) => Vec::new(),
        (Some(new), false) => family.revise(new),
        (Some(_), true) => Vec::new(),
    };
    actions.extend(family.scale(observed));
    actions.extend(family.clean_up());
    actions.extend(family.report_revision());
    actions.extend(family.report_status());
    actions
}

// === impl Family ===

impl<'a> Family<'a> {
    fn desired(&self) -> i32 {
        self.spec.replicas.unwrap_or(1).max(0)
    }

    fn all(&self) -> impl Iterator<Item = &'a ReplicaSet> + '_ {
        self.old.iter().copied().chain(self.new)
    }

    fn next_revision(&self) -> i64 {
        self.old.iter().map(|set| revision(set)).max().unwrap_or(0) + 1
    }

    /// The ReplicaSet for a template that has none yet.
    fn first_set(&self, observed: &Observed) -> ReplicaSet {
        let mut template = self.spec.template.clone();
        let mut hash = pods::short_hash(&template, 10);
        let name = |hash: &str| format!("{}-{hash}", self.deployment.name_any());
        let namespace = self.deployment.namespace();
        let taken = |name: &str| {
            observed
                .replica_sets
                .iter()
                .any(|set| set.namespace() == namespace && set.name_any() == name)
        };
        if taken(&name(&hash)) {
            // A ReplicaSet that is not ours has the name: Kubernetes counts collisions, we hash once more.
            hash = pods::short_hash(&(&template, self.deployment.uid()), 10);
        }
        let template_meta = template.metadata.get_or_insert_default();
        template_meta
            .labels
            .get_or_insert_default()
            .insert(HASH_LABEL.to_owned(), hash.clone());
        let mut selector = self.spec.selector.clone();
        selector
            .match_labels
            .get_or_insert_default()
            .insert(HASH_LABEL.to_owned(), hash.clone());
        let labels = template
            .metadata
            .as_ref()
            .and_then(|meta| meta.labels.clone());
        let replicas = rollout::first_replicas(self);
        ReplicaSet {
            metadata: ObjectMeta {
                name: Some(name(&hash)),
                namespace,
                labels,
                annotations: Some(self.annotations()),
                owner_references: Some(vec![pods::owner_reference(self.deployment)]),
                ..ObjectMeta::default()
            },
            spec: Some(ReplicaSetSpec {
                min_ready_seconds: self.spec.min_ready_seconds,
                replicas: Some(replicas),
                selector,
                template: Some(template),
            }),
            status: None,
        }
    }

    /// The annotations of the new ReplicaSet: the Deployment's, and its place in history.
    fn annotations(&self) -> BTreeMap<String, String> {
        let mut annotations = self.deployment.annotations().clone();
        annotations.remove(LAST_APPLIED);
        annotations.insert(REVISION.to_owned(), self.next_revision().to_string());
        annotations
    }

    /// A ReplicaSet that became the new one again gets the next revision.
    fn revise(&self, new: &ReplicaSet) -> Vec<Action> {
        let next = self.next_revision();
        if revision(new) >= next {
            return Vec::new();
        }
        let body = json!({"metadata": {"annotations": {REVISION: next.to_string()}}});
        vec![Action::merge(Kind::ReplicaSet, new, body)]
    }

    fn scale(&self, observed: &Observed) -> Vec<Action> {
        let targets = rollout::plan(self, observed);
        let change = |(set, replicas): (&ReplicaSet, i32)| {
            (replicas_of(set) != replicas).then(|| {
                Action::merge(
                    Kind::ReplicaSet,
                    set,
                    json!({"spec": {"replicas": replicas}}),
                )
            })
        };
        targets.into_iter().filter_map(change).collect()
    }

    /// Empty old ReplicaSets beyond the history limit go.
    fn clean_up(&self) -> Vec<Action> {
        let limit = usize::try_from(self.spec.revision_history_limit.unwrap_or(10)).unwrap_or(0);
        let empty: Vec<_> = self
            .old
            .iter()
            .filter(|set| {
                let running = set.status.as_ref().map_or(0, |status| status.replicas);
                replicas_of(set) == 0 && running == 0 && set.metadata.deletion_timestamp.is_none()
            })
            .collect();
        let surplus = empty.len().saturating_sub(limit);
        empty
            .into_iter()
            .take(surplus)
            .map(|set| Action::delete(Kind::ReplicaSet, *set))
            .collect()
    }

    /// The Deployment carries the revision of its new ReplicaSet.
    fn report_revision(&self) -> Option<Action> {
        let revision = revision(self.new?).to_string();
        if self.deployment.annotations().get(REVISION) == Some(&revision) {
            return None;
        }
        let body = json!({"metadata": {"annotations": {REVISION: revision}}});
        Some(Action::merge(Kind::Deployment, self.deployment, body))
    }

    fn report_status(&self) -> Option<Action> {
        let status = |set: &ReplicaSet| set.status.clone().unwrap_or_default();
        let sum = |of: fn(&k8s_openapi::api::apps::v1::ReplicaSetStatus) -> i32| -> i32 {
            self.all().map(|set| of(&status(set))).sum()
        };
        let replicas = sum(|status| status.replicas);
        let available = sum(|status| status.available_replicas.unwrap_or(0));
        let mut wanted = DeploymentStatus {
            replicas: pods::nonzero(replicas),
            updated_replicas: self.new.and_then(|new| pods::nonzero(status(new).replicas)),
            ready_replicas: pods::nonzero(sum(|status| status.ready_replicas.unwrap_or(0))),
            available_replicas: pods::nonzero(available),
            unavailable_replicas: pods::nonzero(
                (self.all().map(replicas_of).sum::<i32>() - available).max(0),
            ),
            observed_generation: self.deployment.metadata.generation,
            ..DeploymentStatus::default()
        };
        let present = self.deployment.status.clone().unwrap_or_default();
        wanted.conditions = Some(conditions::of(self, &present, &wanted));
        (present != wanted).then(|| {
            let object = Deployment {
                status: Some(wanted),
                ..self.deployment.clone()
            };
            Action::ReplaceStatus(object.into())
        })
    }
}

fn is_new(set: &ReplicaSet, spec: &DeploymentSpec) -> bool {
    let Some(template) = set.spec.as_ref().and_then(|spec| spec.template.as_ref()) else {
        return false;
    };
    without_hash(template) == without_hash(&spec.template)
}

fn without_hash(template: &PodTemplateSpec) -> PodTemplateSpec {
    let mut template = template.clone();
    let metadata = template.metadata.get_or_insert_default();
    if let Some(labels) = &mut metadata.labels {
        labels.remove(HASH_LABEL);
    }
    // Both sides went through the server once, but only one of them may have had empty maps written out.
    metadata.labels = metadata.labels.take().filter(|labels| !labels.is_empty());
    metadata.annotations = metadata
        .annotations
        .take()
        .filter(|annotations| !annotations.is_empty());
    metadata.creation_timestamp = None;
    template
}

fn revision(set: &ReplicaSet) -> i64 {
    set.annotations()
        .get(REVISION)
        .and_then(|revision| revision.parse().ok())
        .unwrap_or(0)
}

fn replicas_of(set: &ReplicaSet) -> i32 {
    set.spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(0)
}

#[cfg(test)]
mod tests;
