//! Jobs: pods that run to completion.

use std::sync::Arc;

use k8s_openapi::api::batch::v1::{Job, JobCondition, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use super::action::{Action, Kind};
use super::observed::Observed;
use super::pods;

/// All Jobs.
pub fn reconcile(observed: &Observed) -> Vec<Action> {
    observed
        .jobs
        .iter()
        .flat_map(|job| one(job, observed))
        .collect()
}

/// The pods of a job, counted.
struct Tally {
    active: Vec<Arc<Pod>>,
    succeeded: i32,
    failed: i32,
}

enum Verdict {
    Complete,
    Failed {
        reason: &'static str,
        message: String,
    },
}

fn one(job: &Job, observed: &Observed) -> Vec<Action> {
    let Some(spec) = &job.spec else {
        return Vec::new();
    };
    let known = job.status.clone().unwrap_or_default();
    let over = known
        .conditions
        .iter()
        .flatten()
        .any(|c| matches!(c.type_.as_str(), "Complete" | "Failed"));
    if over || job.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    let tally = tally(observed.pods_of(&job.uid().unwrap_or_default()));
    let verdict = verdict(spec, &tally, &known, observed);
    let mut actions = match &verdict {
        Some(_) => tally
            .active
            .iter()
            .map(|pod| Action::delete(Kind::Pod, &**pod))
            .collect(),
        None => resize(job, spec, &tally),
    };
    let wanted = status(spec, &tally, verdict, &known, observed);
    if wanted != known {
        actions.push(Action::ReplaceStatus(
            Job {
                status: Some(wanted),
                ..job.clone()
            }
            .into(),
        ));
    }
    actions
}

fn tally(owned: &[Arc<Pod>]) -> Tally {
    let in_phase = |phase: &str| owned.iter().filter(|pod| pods::phase(pod) == phase).count();
    Tally {
        active: owned
            .iter()
            .filter(|pod| pods::is_active(pod))
            .cloned()
            .collect(),
        succeeded: i32::try_from(in_phase("Succeeded")).unwrap_or(i32::MAX),
        failed: i32::try_from(in_phase("Failed")).unwrap_or(i32::MAX),
    }
}

fn verdict(
    spec: &JobSpec,
    tally: &Tally,
    known: &JobStatus,
    observed: &Observed,
) -> Option<Verdict> {
    let done = match spec.completions {
        Some(completions) => tally.succeeded >= completions,
        // Without a number, the first success ends the job once its other pods have ended.
        None => tally.succeeded > 0 && tally.active.is_empty(),
    };
    if done {
        return Some(Verdict::Complete);
    }
    let age = known
        .start_time
        .as_ref()
        .map_or(0, |start| observed.now.duration_since(start.0).as_secs());
    if spec
        .active_deadline_seconds
        .is_some_and(|deadline| age >= deadline)
    {
        let message = "Job was active longer than specified deadline".to_owned();
        return Some(Verdict::Failed {
            reason: "DeadlineExceeded",
            message,
        });
    }
    if tally.failed > spec.backoff_limit.unwrap_or(6) {
        let message = "Job has reached the specified backoff limit".to_owned();
        return Some(Verdict::Failed {
            reason: "BackoffLimitExceeded",
            message,
        });
    }
    None
}

fn resize(job: &Job, spec: &JobSpec, tally: &Tally) -> Vec<Action> {
    let left = spec
        .completions
        .map_or(i32::MAX, |completions| completions - tally.succeeded);
    let suspended = spec.suspend.unwrap_or(false);
    let parallelism = if suspended {
        0
    } else {
        spec.parallelism.unwrap_or(1).clamp(0, 100)
    };
    let wanted = if spec.completions.is_none() && tally.succeeded > 0 {
        0
    } else {
        parallelism.min(left)
    };
    let wanted = usize::try_from(wanted).unwrap_or(0);
    let surplus = if suspended { tally.active.len() } else { 0 };
    let mut actions: Vec<Action> = tally.active[..surplus]
        .iter()
        .map(|pod| Action::delete(Kind::Pod, &**pod))
        .collect();
    for _ in tally.active.len()..wanted {
        let mut pod = pods::pod_from_template(job, &spec.template);
        pod.metadata.generate_name = Some(pods::name_prefix(&job.name_any()));
        let labels = pod.metadata.labels.get_or_insert_default();
        for (key, value) in [
            ("job-name", job.name_any()),
            ("controller-uid", job.uid().unwrap_or_default()),
        ] {
            labels.insert(key.to_owned(), value.clone());
            labels.insert(format!("batch.kubernetes.io/{key}"), value);
        }
        actions.push(Action::Create(pod.into()));
    }
    actions
}

fn status(
    spec: &JobSpec,
    tally: &Tally,
    verdict: Option<Verdict>,
    known: &JobStatus,
    observed: &Observed,
) -> JobStatus {
    let now = Some(Time(observed.now));
    let ready = tally
        .active
        .iter()
        .filter(|pod| pods::is_ready(pod))
        .count();
    let active = if verdict.is_some() {
        0
    } else {
        tally.active.len()
    };
    let condition = |kind: &str, reason: &str, message: String| JobCondition {
        type_: kind.to_owned(),
        status: "True".to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_probe_time: now.clone(),
        last_transition_time: now.clone(),
    };
    let (conditions, completion_time) = match verdict {
        None => (known.conditions.clone(), None),
        Some(Verdict::Complete) => {
            let message = "Reached expected number of succeeded pods".to_owned();
            (
                Some(vec![condition("Complete", "CompletionsReached", message)]),
                now.clone(),
            )
        }
        Some(Verdict::Failed { reason, message }) => {
            (Some(vec![condition("Failed", reason, message)]), None)
        }
    };
    let started = !spec.suspend.unwrap_or(false);
    JobStatus {
        active: pods::nonzero(i32::try_from(active).unwrap_or(i32::MAX)),
        ready: Some(i32::try_from(ready).unwrap_or(i32::MAX)),
        succeeded: pods::nonzero(tally.succeeded),
        failed: pods::nonzero(tally.failed),
        start_time: known.start_time.clone().or(now.clone().filter(|_| started)),
        conditions,
        completion_time,
        ..known.clone()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::controllers::action::Object;

    fn observed(phases: &[&str]) -> Observed {
        let job = json!({
            "metadata": {"name": "once", "namespace": "n", "uid": "j"},
            "spec": {"completions": 2, "parallelism": 1, "backoffLimit": 1,
                     "template": {"spec": {"containers": [], "restartPolicy": "Never"}}},
        });
        let pod = |(i, phase): (usize, &&str)| {
            let owner = json!({"apiVersion": "batch/v1", "kind": "Job", "name": "once", "uid": "j", "controller": true});
            let metadata =
                json!({"name": format!("once-{i}"), "namespace": "n", "ownerReferences": [owner]});
            let pod = json!({"metadata": metadata, "status": {"phase": phase}});
            Arc::new(serde_json::from_value(pod).unwrap())
        };
        let pods = phases.iter().enumerate().map(pod).collect();
        let jobs = vec![Arc::new(serde_json::from_value(job).unwrap())];
        Observed {
            jobs,
            pods,
            ..Observed::default()
        }
        .indexed()
    }

    fn outcome(phases: &[&str]) -> (usize, Option<String>) {
        let actions = reconcile(&observed(phases));
        let created = actions
            .iter()
            .filter(|a| matches!(a, Action::Create(_)))
            .count();
        let condition = actions.iter().find_map(|action| match action {
            Action::ReplaceStatus(Object::Job(job)) => Some(
                job.status
                    .as_ref()?
                    .conditions
                    .as_ref()?
                    .first()?
                    .type_
                    .clone(),
            ),
            _ => None,
        });
        (created, condition)
    }

    #[test]
    fn runs_until_completions_or_backoff_limit() {
        assert_eq!(outcome(&[]), (1, None));
        assert_eq!(outcome(&["Running"]), (0, None));
        assert_eq!(outcome(&["Succeeded"]), (1, None));
        assert_eq!(
            outcome(&["Succeeded", "Succeeded"]),
            (0, Some("Complete".into()))
        );
        assert_eq!(outcome(&["Failed"]), (1, None));
        assert_eq!(outcome(&["Failed", "Failed"]), (0, Some("Failed".into())));
    }
}
