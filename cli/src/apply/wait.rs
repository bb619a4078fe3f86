//! Waiting until written objects are there and run, and finding out why they do not.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, ListParams};
use kube::{Api, Client, ResourceExt as _};

use mesh_core::install::{Phase, Plan};
use serde_json::Value;

use super::{api_resource, explain};
use crate::failure;
use crate::reporter::Step;

/// First and longest pause between two looks.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// How long a CRD may take until its kind is served.
const DEFINITION_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a reason is looked for while waiting.
const REASON_EVERY: Duration = Duration::from_secs(1);

/// Pauses that grow, until a deadline.
pub struct Pace {
    deadline: Instant,
    pause: Duration,
}

/// Waits until the kinds of CRDs are served.
pub async fn established(client: &Client, names: &[String]) -> anyhow::Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut pace = Pace::new(DEFINITION_TIMEOUT);
    for name in names {
        loop {
            let tried = format!("failed to look at CustomResourceDefinition {name}");
            let crd = api
                .get(name)
                .await
                .map_err(|error| explain(&tried, error))?;
            let status = crd.status.unwrap_or_default();
            let conditions = status.conditions.unwrap_or_default();
            let is = |kind: &str, value: &str| {
                let found = conditions.iter().find(|one| one.type_ == kind);
                found.filter(|one| one.status == value)
            };
            if is("Established", "True").is_some() {
                break;
            }
            if let Some(refused) = is("NamesAccepted", "False") {
                let why = refused.message.clone().unwrap_or_default();
                return Err(anyhow!("the API server does not serve {name}: {why}"));
            }
            if !pace.rest().await {
                let limit = DEFINITION_TIMEOUT.as_secs();
                return Err(anyhow!(
                    "the API server does not serve {name} after {limit} s"
                ));
            }
        }
    }
    Ok(())
}

/// Waits until the control plane has made webhook configurations usable: each knows its CA, and requests that it cannot be asked about
/// fail.
pub async fn webhooks_served(
    client: &Client,
    plan: &Plan,
    timeout: Duration,
) -> anyhow::Result<()> {
    let mut pace = Pace::new(timeout);
    for object in plan.phase(Phase::Webhooks) {
        let (kind, name) = (object.resource.kind, object.name());
        let resource = api_resource(&object.resource);
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let is_served = |webhook: &Value| {
            webhook["clientConfig"]["caBundle"].is_string() && webhook["failurePolicy"] == "Fail"
        };
        loop {
            let tried = format!("failed to look at {kind} {name}");
            let found = api.get(name).await;
            let found = found.map_err(|error| explain(&tried, error))?;
            let webhooks = found.data["webhooks"].as_array();
            if webhooks.is_none_or(|webhooks| webhooks.iter().all(is_served)) {
                break;
            }
            if !pace.rest().await {
                let limit = timeout.as_secs();
                let error = anyhow!(
                    "the control plane does not serve the webhooks of {kind} {name} after {limit} s"
                );
                let hint = format!(
                    "`kubectl -n {} logs -l app=istiod` says why",
                    plan.namespace
                );
                return Err(failure::advise(error, hint));
            }
        }
    }
    Ok(())
}

/// Waits until all pods of a Deployment are of its newest form and ready.
pub async fn rolled_out(
    client: &Client,
    namespace: &str,
    name: &str,
    timeout: Duration,
    step: &Step,
) -> anyhow::Result<()> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let title = format!("Deployment {namespace}/{name}");
    let mut pace = Pace::new(timeout);
    let mut asked = Instant::now();
    loop {
        let tried = format!("failed to look at {title}");
        let deployment = api
            .get(name)
            .await
            .map_err(|error| explain(&tried, error))?;
        let Some(waiting) = missing(&deployment) else {
            return Ok(());
        };
        let late = pace.is_over();
        if late || asked.elapsed() >= REASON_EVERY {
            asked = Instant::now();
            let reason = reason(client, &deployment).await;
            let reason = reason.unwrap_or_else(|| waiting.clone());
            if late {
                let limit = timeout.as_secs();
                let error = anyhow!("{title} is not ready after {limit} s: {reason}");
                let hint = format!(
                    "`kubectl -n {namespace} describe pods -l app={name}` tells more; --readiness-timeout gives more time"
                );
                return Err(failure::advise(error, hint));
            }
            step.say(&format!("waiting for {title}: {reason}"));
        }
        pace.rest().await;
    }
}

/// What a Deployment still misses; nothing when it is rolled out.
fn missing(deployment: &Deployment) -> Option<String> {
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas);
    let wanted = wanted.unwrap_or(1);
    let status = deployment.status.clone().unwrap_or_default();
    if status.observed_generation < deployment.metadata.generation {
        return Some("its newest form has not been seen yet".to_owned());
    }
    let updated = status.updated_replicas.unwrap_or(0);
    let available = status.available_replicas.unwrap_or(0);
    let old = status.replicas.unwrap_or(0) - updated;
    if updated < wanted || available < wanted {
        return Some(format!(
            "{} of {wanted} pods are ready",
            available.min(updated)
        ));
    }
    (old > 0).then(|| format!("old pods are still there ({old})"))
}

/// Why pods of a Deployment are not ready: the first that can say it.
async fn reason(client: &Client, deployment: &Deployment) -> Option<String> {
    let api: Api<Pod> = Api::namespaced(client.clone(), &deployment.namespace()?);
    let labels = deployment.spec.as_ref()?.selector.match_labels.clone();
    let labels: Vec<String> = labels
        .unwrap_or_default()
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let params = ListParams::default().labels(&labels.join(","));
    let pods = api.list(&params).await.ok()?.items;
    let of_pods = pods.iter().find_map(of_pod);
    of_pods.or_else(|| {
        let conditions = deployment.status.as_ref()?.conditions.as_ref()?;
        let failed = conditions
            .iter()
            .find(|one| one.type_ == "ReplicaFailure" && one.status == "True")?;
        failed.message.clone()
    })
}

fn of_pod(pod: &Pod) -> Option<String> {
    let name = pod.name_any();
    let status = pod.status.as_ref()?;
    let unscheduled = status
        .conditions
        .iter()
        .flatten()
        .find(|one| one.type_ == "PodScheduled" && one.status == "False");
    if let Some(condition) = unscheduled {
        let why = condition.message.clone().or(condition.reason.clone());
        return Some(format!(
            "pod {name} has no node: {}",
            why.unwrap_or_default()
        ));
    }
    let placed = pod
        .spec
        .as_ref()
        .is_some_and(|spec| spec.node_name.is_some());
    if !placed {
        return Some(format!("pod {name} waits for a node"));
    }
    let init = status.init_container_statuses.iter().flatten();
    let all = init.chain(status.container_statuses.iter().flatten());
    let mut all = all.filter_map(of_container);
    all.next().map(|why| format!("pod {name}: {why}"))
}

fn of_container(status: &ContainerStatus) -> Option<String> {
    let name = &status.name;
    let state = status.state.as_ref()?;
    let last = status.last_state.as_ref();
    let ended = state.terminated.as_ref();
    let ended = ended.or(last.and_then(|last| last.terminated.as_ref()));
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().unwrap_or("waiting");
        // What every container goes through is no trouble.
        if ["ContainerCreating", "PodInitializing"].contains(&reason) && waiting.message.is_none() {
            return None;
        }
        let message = waiting.message.as_deref().unwrap_or_default();
        let code = ended.map(|ended| format!(" (it ended with exit code {})", ended.exit_code));
        let message = format!("container {name} is waiting: {reason} {message}");
        return Some(message.trim_end().to_owned() + &code.unwrap_or_default());
    }
    if let Some(ended) = ended.filter(|ended| ended.exit_code != 0) {
        let code = ended.exit_code;
        return Some(format!("container {name} ended with exit code {code}"));
    }
    (state.running.is_some() && !status.ready)
        .then(|| format!("container {name} runs and is not ready yet"))
}

// === impl Pace ===

impl Pace {
    /// Until so much time has passed.
    pub fn new(timeout: Duration) -> Self {
        Self {
            deadline: Instant::now() + timeout,
            pause: PAUSES.0,
        }
    }

    /// Whether the time is over.
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Pauses; false when the time is over.
    pub async fn rest(&mut self) -> bool {
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 3 / 2).min(PAUSES.1);
        !self.is_over()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(status: Value, expected: Option<&str>) {
        let deployment = json!({
            "metadata": { "generation": 2 }, "spec": { "replicas": 2, "selector": {}, "template": {} }, "status": status,
        });
        let deployment: Deployment = serde_json::from_value(deployment).unwrap();
        assert_eq!(missing(&deployment).as_deref(), expected);
    }

    #[test]
    fn a_deployment_is_ready_when_all_its_new_pods_are() {
        let newest = 2;
        check(
            json!({ "observedGeneration": 1, "updatedReplicas": 2, "availableReplicas": 2, "replicas": 2 }),
            Some("its newest form has not been seen yet"),
        );
        check(
            json!({ "observedGeneration": newest, "updatedReplicas": 1, "availableReplicas": 2, "replicas": 3 }),
            Some("1 of 2 pods are ready"),
        );
        check(
            json!({ "observedGeneration": newest, "updatedReplicas": 2, "availableReplicas": 2, "replicas": 3 }),
            Some("old pods are still there (1)"),
        );
        check(
            json!({ "observedGeneration": newest, "updatedReplicas": 2, "availableReplicas": 2, "replicas": 2 }),
            None,
        );
        check(json!({}), Some("its newest form has not been seen yet"));
    }

    #[track_caller]
    fn why(status: Value, expected: Option<&str>) {
        let pod = json!({ "metadata": { "name": "p" }, "spec": { "nodeName": "n", "containers": [] }, "status": status });
        let pod: Pod = serde_json::from_value(pod).unwrap();
        assert_eq!(of_pod(&pod).as_deref(), expected);
    }

    #[test]
    fn a_pod_says_why_it_is_not_ready() {
        why(
            json!({ "containerStatuses": [{ "name": "c", "ready": false, "restartCount": 0, "image": "", "imageID": "", "state": { "waiting": { "reason": "ImagePullBackOff", "message": "no such image" } } }] }),
            Some("pod p: container c is waiting: ImagePullBackOff no such image"),
        );
        why(
            json!({ "containerStatuses": [{ "name": "c", "ready": false, "restartCount": 3, "image": "", "imageID": "", "state": { "waiting": { "reason": "CrashLoopBackOff" } }, "lastState": { "terminated": { "exitCode": 64 } } }] }),
            Some("pod p: container c is waiting: CrashLoopBackOff (it ended with exit code 64)"),
        );
        why(
            json!({ "conditions": [{ "type": "PodScheduled", "status": "False", "message": "0/1 nodes are available" }] }),
            Some("pod p has no node: 0/1 nodes are available"),
        );
        why(
            json!({ "containerStatuses": [{ "name": "c", "ready": false, "restartCount": 0, "image": "", "imageID": "", "state": { "waiting": { "reason": "ContainerCreating" } } }] }),
            None,
        );
    }
}
