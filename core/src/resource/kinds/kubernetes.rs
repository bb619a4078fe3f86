//! Kubernetes' own kinds. Their API server defines and checks them.

use std::sync::Arc;

use super::{Effect, Row, Scope, Watch};
use crate::model::{IngressClassSpec, IngressSpec};
use crate::resource::{Kind, Object};
use crate::resource::{compile, credential};

/// `kubernetes!(Kind, plural, api versions, watch, significant parts)`
macro_rules! kubernetes {
    ($kind:ident, $plural:expr, $versions:expr, $watch:ident, $significant:expr) => {
        Row {
            kind: Kind::$kind,
            name: stringify!($kind),
            plural: $plural,
            api_versions: $versions,
            scope: Scope::Namespaced,
            watch: Watch::$watch,
            writes_status: false,
            significant: $significant,
            effect: Effect::Full,
            definition: None,
            compile: |value, row| {
                compile::whole(value, row, |object| Object::$kind(Arc::new(object)))
            },
        }
    };
}

const CORE: &[&str] = &["v1"];

const WORKLOAD: &[&str] = &[
    "apps/v1",
    "apps/v1beta2",
    "apps/v1beta1",
    "extensions/v1beta1",
];

const SPEC: &[&str] = &["/spec"];
/// The addresses of load balancers are those of gateways.
const SERVICE: &[&str] = &["/spec", "/status/loadBalancer/ingress"];
const DATA: &[&str] = &["/data", "/binaryData"];
const WEBHOOKS: &[&str] = &["/webhooks"];

const ADMISSION: &[&str] = &[
    "admissionregistration.k8s.io/v1",
    "admissionregistration.k8s.io/v1beta1",
];

/// Secrets that may hold certificates: releases of Helm are many and large, and tokens are nobody's business.
const CREDENTIALS: &str = "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token,type!=bootstrap.kubernetes.io/token";

/// Pods say in their status where and how they are.
const POD: &[&str] = &[
    "/spec",
    "/status/podIP",
    "/status/podIPs",
    "/status/phase",
    "/status/conditions",
];

pub(super) const ROWS: &[Row] = &[
    Row {
        scope: Scope::Cluster,
        ..kubernetes!(Namespace, "namespaces", CORE, Always, SPEC)
    },
    Row {
        scope: Scope::Cluster,
        ..kubernetes!(Node, "nodes", CORE, Always, SPEC)
    },
    kubernetes!(ServiceAccount, "serviceaccounts", CORE, Never, SPEC),
    kubernetes!(ConfigMap, "configmaps", CORE, Always, DATA),
    Row {
        kind: Kind::Secret,
        name: "Secret",
        plural: "secrets",
        api_versions: CORE,
        scope: Scope::Namespaced,
        watch: Watch::Selected(CREDENTIALS),
        writes_status: false,
        significant: &["/data", "/stringData"],
        effect: Effect::Full,
        definition: None,
        compile: |value, _| credential::compile(value),
    },
    kubernetes!(Service, "services", CORE, Always, SERVICE),
    kubernetes!(Endpoints, "endpoints", CORE, Never, &["/subsets"]),
    kubernetes!(
        EndpointSlice,
        "endpointslices",
        &["discovery.k8s.io/v1", "discovery.k8s.io/v1beta1"],
        Always,
        &["/addressType", "/endpoints", "/ports"]
    ),
    kubernetes!(Pod, "pods", CORE, Always, POD),
    kubernetes!(
        ReplicationController,
        "replicationcontrollers",
        CORE,
        Never,
        SPEC
    ),
    kubernetes!(Deployment, "deployments", WORKLOAD, Never, SPEC),
    kubernetes!(ReplicaSet, "replicasets", WORKLOAD, Never, SPEC),
    kubernetes!(StatefulSet, "statefulsets", WORKLOAD, Never, SPEC),
    kubernetes!(DaemonSet, "daemonsets", WORKLOAD, Never, SPEC),
    kubernetes!(Job, "jobs", &["batch/v1"], Never, SPEC),
    kubernetes!(
        CronJob,
        "cronjobs",
        &["batch/v1", "batch/v1beta1", "batch/v2alpha1"],
        Never,
        SPEC
    ),
    Row {
        writes_status: true,
        compile: |value, row| {
            compile::spec::<IngressSpec>(value, row, Object::Ingress, |_, _, _| {})
        },
        ..INGRESS
    },
    Row {
        kind: Kind::IngressClass,
        name: "IngressClass",
        plural: "ingressclasses",
        scope: Scope::Cluster,
        compile: |value, row| {
            compile::spec::<IngressClassSpec>(value, row, Object::IngressClass, |_, _, _| {})
        },
        ..INGRESS
    },
    // Analysis looks at the names and annotations of definitions; what they define is no business of the mesh.
    Row {
        scope: Scope::Cluster,
        watch: Watch::Never,
        writes_status: false,
        effect: Effect::Full,
        ..Row::without_type(
            Kind::CustomResourceDefinition,
            "CustomResourceDefinition",
            "customresourcedefinitions",
            &["apiextensions.k8s.io/v1", "apiextensions.k8s.io/v1beta1"],
        )
    },
    Row {
        scope: Scope::Cluster,
        ..kubernetes!(
            MutatingWebhookConfiguration,
            "mutatingwebhookconfigurations",
            ADMISSION,
            Never,
            WEBHOOKS
        )
    },
    Row {
        scope: Scope::Cluster,
        ..kubernetes!(
            ValidatingWebhookConfiguration,
            "validatingwebhookconfigurations",
            ADMISSION,
            Never,
            WEBHOOKS
        )
    },
];

/// What the two kinds of Ingresses have alike.
const INGRESS: Row = Row {
    kind: Kind::Ingress,
    name: "Ingress",
    plural: "ingresses",
    api_versions: &[
        "networking.k8s.io/v1",
        "networking.k8s.io/v1beta1",
        "extensions/v1beta1",
    ],
    scope: Scope::Namespaced,
    watch: Watch::Always,
    writes_status: false,
    significant: SPEC,
    effect: Effect::Full,
    definition: None,
    compile: compile::untyped,
};
