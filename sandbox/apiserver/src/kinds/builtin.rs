//! The built-in kinds, as a table.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Conversion, Kind, Kinds, Scale};

/// One built-in kind.
struct Row {
    group: &'static str,
    /// The preferred one first; objects are stored in it.
    versions: &'static [&'static str],
    kind: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    traits: &'static [Trait],
    parts: &'static [(&'static str, &'static str)],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Trait {
    /// Not in a namespace.
    Cluster,
    /// Listed by `kubectl get all`.
    All,
    Status,
    Scale,
    Generation,
    Transient,
}

use Trait::{All, Cluster, Generation, Scale as Scales, Status, Transient};

const fn row(
    group: &'static str,
    versions: &'static [&'static str],
    kind: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    traits: &'static [Trait],
) -> Row {
    Row {
        group,
        versions,
        kind,
        plural,
        short,
        traits,
        parts: &[],
    }
}

const fn with(parts: &'static [(&'static str, &'static str)], row: Row) -> Row {
    Row { parts, ..row }
}

const V1: &[&str] = &["v1"];
const WORKLOAD: &[Trait] = &[All, Status, Generation];
const SCALED: &[Trait] = &[All, Status, Generation, Scales];
const QUESTION: &[Trait] = &[Cluster, Transient];
const RBAC: &str = "rbac.authorization.k8s.io";
const NETWORKING: &str = "networking.k8s.io";
const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";
const ADMISSION: &str = "admissionregistration.k8s.io";

#[rustfmt::skip]
const ROWS: &[Row] = &[
    row("", V1, "Binding", "bindings", &[], &[Transient]),
    row("", V1, "ConfigMap", "configmaps", &["cm"], &[]),
    row("", V1, "Endpoints", "endpoints", &["ep"], &[]),
    row("", V1, "Event", "events", &["ev"], &[]),
    row("", V1, "LimitRange", "limitranges", &["limits"], &[]),
    with(&[("finalize", "Namespace")], row("", V1, "Namespace", "namespaces", &["ns"], &[Cluster, Status])),
    row("", V1, "Node", "nodes", &["no"], &[Cluster, Status]),
    row("", V1, "PersistentVolume", "persistentvolumes", &["pv"], &[Cluster, Status]),
    row("", V1, "PersistentVolumeClaim", "persistentvolumeclaims", &["pvc"], &[Status]),
    with(&[("binding", "Binding"), ("ephemeralcontainers", "Pod"), ("eviction", "Eviction"), ("log", "Pod"),
           ("portforward", "PodPortForwardOptions")],
         row("", V1, "Pod", "pods", &["po"], WORKLOAD)),
    row("", V1, "PodTemplate", "podtemplates", &[], &[]),
    row("", V1, "ReplicationController", "replicationcontrollers", &["rc"], SCALED),
    row("", V1, "ResourceQuota", "resourcequotas", &["quota"], &[Status]),
    row("", V1, "Secret", "secrets", &[], &[]),
    row("", V1, "Service", "services", &["svc"], &[All, Status]),
    with(&[("token", "TokenRequest")], row("", V1, "ServiceAccount", "serviceaccounts", &["sa"], &[])),
    row("apps", V1, "ControllerRevision", "controllerrevisions", &[], &[]),
    row("apps", V1, "DaemonSet", "daemonsets", &["ds"], WORKLOAD),
    row("apps", V1, "Deployment", "deployments", &["deploy"], SCALED),
    row("apps", V1, "ReplicaSet", "replicasets", &["rs"], SCALED),
    row("apps", V1, "StatefulSet", "statefulsets", &["sts"], SCALED),
    row("batch", V1, "Job", "jobs", &[], WORKLOAD),
    row("batch", V1, "CronJob", "cronjobs", &["cj"], WORKLOAD),
    row("autoscaling", &["v2"], "HorizontalPodAutoscaler", "horizontalpodautoscalers", &["hpa"], &[All, Status]),
    row("policy", V1, "PodDisruptionBudget", "poddisruptionbudgets", &["pdb"], &[Status, Generation]),
    row(NETWORKING, V1, "Ingress", "ingresses", &["ing"], &[Status, Generation]),
    row(NETWORKING, V1, "IngressClass", "ingressclasses", &[], &[Cluster, Generation]),
    row(NETWORKING, V1, "NetworkPolicy", "networkpolicies", &["netpol"], &[Generation]),
    row("discovery.k8s.io", V1, "EndpointSlice", "endpointslices", &[], &[Generation]),
    row(RBAC, &["v1", "v1beta1"], "ClusterRole", "clusterroles", &[], &[Cluster]),
    row(RBAC, &["v1", "v1beta1"], "ClusterRoleBinding", "clusterrolebindings", &[], &[Cluster]),
    row(RBAC, &["v1", "v1beta1"], "Role", "roles", &[], &[]),
    row(RBAC, &["v1", "v1beta1"], "RoleBinding", "rolebindings", &[], &[]),
    row("storage.k8s.io", V1, "StorageClass", "storageclasses", &["sc"], &[Cluster]),
    row("scheduling.k8s.io", V1, "PriorityClass", "priorityclasses", &["pc"], &[Cluster, Generation]),
    row("coordination.k8s.io", V1, "Lease", "leases", &[], &[]),
    row(ADMISSION, V1, "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", &[], &[Cluster, Generation]),
    row(ADMISSION, V1, "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", &[], &[Cluster, Generation]),
    row(ADMISSION, V1, "ValidatingAdmissionPolicy", "validatingadmissionpolicies", &[], &[Cluster, Status, Generation]),
    row(ADMISSION, V1, "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", &[], &[Cluster, Generation]),
    row("apiextensions.k8s.io", V1, "CustomResourceDefinition", "customresourcedefinitions", &["crd", "crds"],
        &[Cluster, Status, Generation]),
    row(AUTHENTICATION, V1, "TokenReview", "tokenreviews", &[], QUESTION),
    row(AUTHENTICATION, V1, "SelfSubjectReview", "selfsubjectreviews", &[], QUESTION),
    row(AUTHORIZATION, V1, "SubjectAccessReview", "subjectaccessreviews", &[], QUESTION),
    row(AUTHORIZATION, V1, "SelfSubjectAccessReview", "selfsubjectaccessreviews", &[], QUESTION),
    row(AUTHORIZATION, V1, "SelfSubjectRulesReview", "selfsubjectrulesreviews", &[], QUESTION),
    row(AUTHORIZATION, V1, "LocalSubjectAccessReview", "localsubjectaccessreviews", &[], &[Transient]),
];

/// Kinds at groups and versions of old, which manifests still name.
#[rustfmt::skip]
const OLD: &[(&str, &str, &str, &[&str], Conversion)] = &[
    ("events.k8s.io", "v1", "", &["events"], Conversion::Event),
    ("apps", "v1beta2", "apps", &["deployments", "daemonsets", "replicasets", "statefulsets"], Conversion::Workload),
    ("apps", "v1beta1", "apps", &["deployments", "statefulsets"], Conversion::Workload),
    ("extensions", "v1beta1", "apps", &["deployments", "daemonsets", "replicasets"], Conversion::Workload),
    ("batch", "v1beta1", "batch", &["cronjobs"], Conversion::None),
    ("policy", "v1beta1", "policy", &["poddisruptionbudgets"], Conversion::None),
    ("autoscaling", "v1", "autoscaling", &["horizontalpodautoscalers"], Conversion::Autoscaler),
];

/// Serves all of them.
pub fn register(kinds: &mut Kinds) {
    for row in ROWS {
        let kind = Arc::new(kind(row));
        for version in row.versions {
            kinds.serve(&kind, row.group, version, Conversion::None);
        }
    }
    for (group, version, home, plurals, conversion) in OLD {
        for plural in *plurals {
            if let Some(served) = kinds.table(home, plural) {
                let kind = served.kind.clone();
                kinds.serve(&kind, group, version, *conversion);
            }
        }
    }
}

fn kind(row: &Row) -> Kind {
    let has = |wanted: Trait| row.traits.contains(&wanted);
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let path = |text: &str| text.split('.').map(str::to_owned).collect();
    Kind {
        group: row.group.to_owned(),
        version: row.versions.first().copied().unwrap_or_default().to_owned(),
        kind: row.kind.to_owned(),
        list: format!("{}List", row.kind),
        plural: row.plural.to_owned(),
        singular: row.kind.to_lowercase(),
        short: owned(row.short),
        categories: if has(All) {
            owned(&["all"])
        } else {
            Vec::new()
        },
        namespaced: !has(Cluster),
        generation: has(Generation),
        status: has(Status),
        scale: has(Scales).then(|| Scale {
            spec: path("spec.replicas"),
            status: path("status.replicas"),
            selector: path("spec.selector"),
        }),
        parts: row.parts,
        transient: has(Transient),
        custom: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_found_by_path_and_by_name() {
        let kinds = Kinds::builtin();
        let deployments = kinds.find("extensions", "v1beta1", "deployments").unwrap();
        assert_eq!(deployments.kind.api_version(), "apps/v1");
        assert_eq!(kinds.table("", "events").unwrap().version, "v1");
        let (core, versions) = &kinds.groups()[0];
        assert_eq!((*core, versions.as_slice()), ("", ["v1"].as_slice()));
        let autoscaling = kinds
            .groups()
            .into_iter()
            .find(|(group, _)| *group == "autoscaling");
        assert_eq!(autoscaling.unwrap().1, ["v2", "v1"]);
    }
}
