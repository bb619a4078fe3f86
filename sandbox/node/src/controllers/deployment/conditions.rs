//! The conditions of a Deployment: `Available` and `Progressing`, as `kubectl rollout status` reads them.

use jiff::SignedDuration;
use k8s_openapi::api::apps::v1::{DeploymentCondition, DeploymentStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use super::{Family, rollout};

/// The reason of a finished rollout.
const DONE: &str = "NewReplicaSetAvailable";

/// What a condition should say now; times come from the condition that is there.
struct Wanted {
    kind: &'static str,
    holds: bool,
    reason: &'static str,
    message: String,
}

/// The conditions that go with a status.
pub fn of(
    family: &Family<'_>,
    present: &DeploymentStatus,
    wanted: &DeploymentStatus,
) -> Vec<DeploymentCondition> {
    let known = present.conditions.as_deref().unwrap_or_default();
    let progressed = counts(present) != counts(wanted);
    let entries = [
        availability(family, wanted),
        progress(family, known, wanted, progressed),
    ];
    entries
        .into_iter()
        .map(|entry| merge(entry, known, progressed, family))
        .collect()
}

/// The figures whose change counts as progress.
fn counts(status: &DeploymentStatus) -> [Option<i32>; 4] {
    [
        status.replicas,
        status.updated_replicas,
        status.ready_replicas,
        status.available_replicas,
    ]
}

fn availability(family: &Family<'_>, status: &DeploymentStatus) -> Wanted {
    let enough = status.available_replicas.unwrap_or(0) >= rollout::bounds(family).least;
    let (reason, message) = if enough {
        (
            "MinimumReplicasAvailable",
            "Deployment has minimum availability.",
        )
    } else {
        (
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
        )
    };
    Wanted {
        kind: "Available",
        holds: enough,
        reason,
        message: message.to_owned(),
    }
}

fn progress(
    family: &Family<'_>,
    known: &[DeploymentCondition],
    status: &DeploymentStatus,
    progressed: bool,
) -> Wanted {
    let desired = family.desired();
    let subject = match family.new {
        Some(set) => format!("ReplicaSet \"{}\"", set.name_any()),
        None => format!("Deployment \"{}\"", family.deployment.name_any()),
    };
    let updated = status.updated_replicas.unwrap_or(0);
    let complete = family.new.is_some()
        && updated == desired
        && status.replicas.unwrap_or(0) == desired
        && status.available_replicas.unwrap_or(0) == desired;
    // Once rolled out, a pod that comes and goes is no rollout.
    let rolled_out = progressing(known)
        .is_some_and(|condition| condition.reason.as_deref() == Some(DONE))
        && family.new.is_some()
        && status.replicas.unwrap_or(0) == updated
        && !progressing_anew(family);
    let (holds, reason, what) = if complete || rolled_out {
        (true, DONE, "has successfully progressed.")
    } else if timed_out(family, known, progressed) {
        (
            false,
            "ProgressDeadlineExceeded",
            "has timed out progressing.",
        )
    } else if family.new.is_none() {
        (true, "NewReplicaSetCreated", "creates a new ReplicaSet.")
    } else {
        (true, "ReplicaSetUpdated", "is progressing.")
    };
    Wanted {
        kind: "Progressing",
        holds,
        reason,
        message: format!("{subject} {what}"),
    }
}

fn progressing(known: &[DeploymentCondition]) -> Option<&DeploymentCondition> {
    known
        .iter()
        .find(|condition| condition.type_ == "Progressing")
}

/// True when the Deployment was changed since its status was written.
fn progressing_anew(family: &Family<'_>) -> bool {
    let seen = family
        .deployment
        .status
        .as_ref()
        .and_then(|status| status.observed_generation);
    family.deployment.metadata.generation != seen
}

/// True when nothing has changed for `progressDeadlineSeconds` while the rollout was under way.
fn timed_out(family: &Family<'_>, known: &[DeploymentCondition], progressed: bool) -> bool {
    let Some(condition) = progressing(known) else {
        return false;
    };
    if progressed || progressing_anew(family) || family.spec.paused.unwrap_or(false) {
        return false;
    }
    if condition.reason.as_deref() == Some("ProgressDeadlineExceeded") {
        return true;
    }
    if condition.reason.as_deref() == Some(DONE) {
        return false;
    }
    let limit = i64::from(family.spec.progress_deadline_seconds.unwrap_or(600));
    let since = condition
        .last_update_time
        .as_ref()
        .map_or(family.now, |time| time.0);
    family.now.duration_since(since) > SignedDuration::from_secs(limit)
}

fn merge(
    wanted: Wanted,
    known: &[DeploymentCondition],
    progressed: bool,
    family: &Family<'_>,
) -> DeploymentCondition {
    let status = if wanted.holds { "True" } else { "False" };
    let old = known
        .iter()
        .find(|condition| condition.type_ == wanted.kind);
    let now = Some(Time(family.now));
    let same_status = old.filter(|old| old.status == status);
    let same = same_status
        .filter(|old| old.reason.as_deref() == Some(wanted.reason))
        .filter(|old| old.message.as_ref() == Some(&wanted.message))
        .filter(|_| !(progressed && wanted.kind == "Progressing"));
    DeploymentCondition {
        type_: wanted.kind.to_owned(),
        status: status.to_owned(),
        reason: Some(wanted.reason.to_owned()),
        message: Some(wanted.message),
        last_transition_time: same_status
            .map_or(now.clone(), |old| old.last_transition_time.clone()),
        last_update_time: same.map_or(now, |old| old.last_update_time.clone()),
    }
}
