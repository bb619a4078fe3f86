//! What all workload controllers share about pods: making one from a template, counting them, choosing victims.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt};
use sha2::{Digest, Sha256};

/// The letters Kubernetes uses in generated names: no vowels, nothing that looks like something else.
const SAFE_LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// A pod from a template, owned and controlled by `owner`. The caller gives it a name or a name prefix.
pub fn pod_from_template<K: Resource<DynamicType = ()>>(
    owner: &K,
    template: &PodTemplateSpec,
) -> Pod {
    let template_meta = template.metadata.clone().unwrap_or_default();
    let metadata = ObjectMeta {
        namespace: owner.namespace(),
        labels: template_meta.labels,
        annotations: template_meta.annotations,
        finalizers: template_meta.finalizers,
        owner_references: Some(vec![owner_reference(owner)]),
        ..ObjectMeta::default()
    };
    let spec = Some(template.spec.clone().unwrap_or_default());
    Pod {
        metadata,
        spec,
        status: None,
    }
}

/// The reference by which `owner` controls an object.
pub fn owner_reference<K: Resource<DynamicType = ()>>(owner: &K) -> OwnerReference {
    OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: owner.name_any(),
        uid: owner.uid().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// The prefix of generated pod names; the API server appends five characters.
pub fn name_prefix(owner: &str) -> String {
    // 63 minus the five characters and the dash: a pod's name is also its host name.
    let mut prefix: String = owner.chars().take(57).collect();
    prefix.push('-');
    prefix
}

/// A short stable hash of anything serializable, in the letters of generated names.
pub fn short_hash<T: serde::Serialize>(value: &T, length: usize) -> String {
    let bytes = serde_json::to_vec(value).unwrap_or_default();
    let digest = Sha256::digest(bytes);
    let letters = digest
        .iter()
        .map(|byte| SAFE_LETTERS[usize::from(*byte) % SAFE_LETTERS.len()]);
    letters.take(length).map(char::from).collect()
}

/// True while the pod counts as a replica: neither finished nor being deleted.
pub fn is_active(pod: &Pod) -> bool {
    !is_finished(pod) && pod.metadata.deletion_timestamp.is_none()
}

/// The pod's phase, empty when it has none yet.
pub fn phase(pod: &Pod) -> &str {
    pod.status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .unwrap_or_default()
}

/// True when all containers have ended for good.
pub fn is_finished(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// True when the pod's `Ready` condition holds.
pub fn is_ready(pod: &Pod) -> bool {
    ready_since(pod).is_some()
}

/// Since when the pod is ready.
fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let conditions = pod.status.as_ref()?.conditions.as_deref()?;
    let ready = conditions
        .iter()
        .find(|condition| condition.type_ == "Ready")?;
    (ready.status == "True").then(|| {
        ready
            .last_transition_time
            .as_ref()
            .map_or(Timestamp::UNIX_EPOCH, |time| time.0)
    })
}

/// True when the pod has been ready for at least `min_ready_seconds`.
pub fn is_available(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> bool {
    let needed = SignedDuration::from_secs(i64::from(min_ready_seconds.max(0)));
    ready_since(pod).is_some_and(|since| now.duration_since(since) >= needed)
}

/// How many of the pods are there, ready, and available.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub total: i32,
    pub ready: i32,
    pub available: i32,
}

/// Counts pods.
pub fn count<'a>(
    pods: impl IntoIterator<Item = &'a Arc<Pod>>,
    min_ready_seconds: i32,
    now: Timestamp,
) -> Counts {
    let mut counts = Counts::default();
    for pod in pods {
        counts.total += 1;
        counts.ready += i32::from(is_ready(pod));
        counts.available += i32::from(is_available(pod, min_ready_seconds, now));
    }
    counts
}

/// The pods to delete first: those not yet bound, then not running, then not ready, then the youngest.
pub fn victims(pods: &[Arc<Pod>], number: usize) -> Vec<Arc<Pod>> {
    let mut pods = pods.to_vec();
    pods.sort_by_key(|pod| {
        let spec: Option<&PodSpec> = pod.spec.as_ref();
        let bound = spec.is_some_and(|spec| spec.node_name.is_some());
        let created = pod
            .metadata
            .creation_timestamp
            .as_ref()
            .map_or(Timestamp::MAX, |time| time.0);
        (
            bound,
            phase(pod) == "Running",
            is_ready(pod),
            std::cmp::Reverse(created),
            pod.name_any(),
        )
    });
    pods.truncate(number);
    pods
}

/// `Some` unless zero: Kubernetes leaves zero counts out of a status.
pub fn nonzero(count: i32) -> Option<i32> {
    (count != 0).then_some(count)
}
