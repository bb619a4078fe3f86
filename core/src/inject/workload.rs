//! Which objects have pod templates, where, and who their pods belong to.

use serde_json::Value;

use super::Owner;
use crate::diag::FieldPath;
use crate::snapshot::cron_job_of;

/// One kind with pods in it.
struct Workload {
    kind: &'static str,
    /// API groups; old ones count.
    groups: &'static [&'static str],
    /// Where the pod or its template is.
    template: &'static [&'static str],
}

const TEMPLATE: &[&str] = &["spec", "template"];

const WORKLOADS: &[Workload] = &[
    Workload::new("Pod", &[""], &[]),
    Workload::new("ReplicationController", &[""], TEMPLATE),
    Workload::new("Deployment", &["apps", "extensions"], TEMPLATE),
    Workload::new("ReplicaSet", &["apps", "extensions"], TEMPLATE),
    Workload::new("DaemonSet", &["apps", "extensions"], TEMPLATE),
    Workload::new("StatefulSet", &["apps"], TEMPLATE),
    Workload::new("Job", &["batch"], TEMPLATE),
    Workload::new(
        "CronJob",
        &["batch"],
        &["spec", "jobTemplate", "spec", "template"],
    ),
    Workload::new("DeploymentConfig", &["", "apps.openshift.io"], TEMPLATE),
];

/// An object that pods come from.
pub(super) struct Found {
    /// Where the pod or its template is.
    pub(super) path: &'static [&'static str],
    /// Who the pods belong to.
    pub(super) owner: Owner,
}

/// Looks whether an object has a pod or a pod template. Objects without a namespace are in `namespace`.
pub(super) fn find(object: &Value, namespace: &str) -> Option<Found> {
    let api_version = object.get("apiVersion")?.as_str()?;
    let kind = object.get("kind")?.as_str()?;
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let workload = WORKLOADS
        .iter()
        .find(|workload| workload.kind == kind && workload.groups.contains(&group))?;
    lookup(object, workload.template).filter(|template| template.is_object())?;
    let metadata = |name: &str| {
        let text = object
            .get("metadata")
            .and_then(|metadata| metadata.get(name));
        text.and_then(Value::as_str).filter(|text| !text.is_empty())
    };
    let generated = || metadata("generateName").map(|name| name.trim_end_matches('-'));
    Some(Found {
        path: workload.template,
        owner: Owner {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            name: metadata("name")
                .or_else(generated)
                .unwrap_or_default()
                .to_owned(),
            namespace: metadata("namespace").unwrap_or(namespace).to_owned(),
        },
    })
}

/// The pod, or the template of the pods, that an object has; none for objects without pods.
pub(crate) fn pod_template(object: &Value) -> Option<&Value> {
    lookup(object, find(object, "")?.path)
}

/// The value at a path.
pub(super) fn lookup<'a>(object: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, key| value.get(key))
}

/// The value at a path, to change.
pub(super) fn lookup_mut<'a>(object: &'a mut Value, path: &[&str]) -> Option<&'a mut Value> {
    path.iter()
        .try_fold(object, |value, key| value.get_mut(key))
}

/// A path as findings name it.
pub(super) fn field_path(path: &[&str]) -> FieldPath {
    path.iter()
        .fold(FieldPath::root(), |all, key| all.key(*key))
}

/// Who a pod belongs to: the controller's controller where the names tell (a ReplicaSet's Deployment, a Job's CronJob), else
/// the controller, else the pod itself.
pub(super) fn owner_of_pod(pod: &Value, namespace: &str) -> Owner {
    let metadata = &pod["metadata"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let namespace = match text(&metadata["namespace"]) {
        own if own.is_empty() => namespace.to_owned(),
        own => own,
    };
    let owners = metadata["ownerReferences"].as_array();
    let controller = owners
        .into_iter()
        .flatten()
        .find(|owner| owner["controller"] == true);
    let Some(controller) = controller else {
        let name = match text(&metadata["name"]) {
            name if name.is_empty() => text(&metadata["generateName"])
                .trim_end_matches('-')
                .to_owned(),
            name => name,
        };
        return Owner {
            api_version: "v1".into(),
            kind: "Pod".into(),
            name,
            namespace,
        };
    };
    let mut owner = Owner {
        api_version: text(&controller["apiVersion"]),
        kind: text(&controller["kind"]),
        name: text(&controller["name"]),
        namespace,
    };
    let hash = text(&metadata["labels"]["pod-template-hash"]);
    let parent = match owner.kind.as_str() {
        "ReplicaSet" if !hash.is_empty() => owner
            .name
            .strip_suffix(&format!("-{hash}"))
            .map(|name| ("Deployment", name)),
        "Job" => cron_job_of(&owner.name).map(|name| ("CronJob", name)),
        _ => None,
    };
    if let Some((kind, name)) = parent {
        (owner.kind, owner.name) = (kind.into(), name.to_owned());
    }
    owner
}

// === impl Workload ===

impl Workload {
    const fn new(
        kind: &'static str,
        groups: &'static [&'static str],
        template: &'static [&'static str],
    ) -> Self {
        Self {
            kind,
            groups,
            template,
        }
    }
}
