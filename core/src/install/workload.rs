//! The parts of a Deployment that all programs of the mesh have alike.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment,
};
use k8s_openapi::api::core::v1::{
    Container, LocalObjectReference, PodSecurityContext, PodSpec, PodTemplateSpec, SeccompProfile,
    Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::object::{Component, Object, Phase, metadata};
use super::settings::{Settings, Workload};
use crate::inject::PROXY_UID;

/// What a Deployment is built from beside its settings.
pub(super) struct Program<'a> {
    /// The part it belongs to, whose name it has.
    pub(super) component: &'a Component,
    /// Namespace.
    pub(super) namespace: &'a str,
    /// Labels by which the Deployment finds its pods.
    pub(super) selector: BTreeMap<String, String>,
    /// Labels of the pods beside the selector's.
    pub(super) labels: BTreeMap<String, String>,
    /// Annotations of the pods under the settings'.
    pub(super) annotations: BTreeMap<String, String>,
    /// Service account.
    pub(super) service_account: &'a str,
    /// The container.
    pub(super) container: Container,
    /// Volumes.
    pub(super) volumes: Vec<Volume>,
    /// How it runs.
    pub(super) workload: &'a Workload,
}

/// Texts as a mapping.
pub(super) fn texts<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

// === impl Program ===

impl Program<'_> {
    /// The Deployment.
    pub(super) fn deployment(self, settings: &Settings) -> Object {
        let name = self.component.name(&settings.revision);
        let mut metadata = metadata(self.component, settings, Some(self.namespace), &name);
        let labels = metadata.labels.get_or_insert_default();
        labels.extend(self.selector.clone());
        let component = self.component.clone();
        let deployment = Deployment {
            metadata,
            spec: Some(DeploymentSpec {
                replicas: self
                    .workload
                    .replicas
                    .and_then(|count| count.try_into().ok()),
                selector: LabelSelector {
                    match_labels: Some(self.selector.clone()),
                    match_expressions: None,
                },
                // New pods first: an installation with one pod stays reachable while it changes.
                strategy: Some(DeploymentStrategy {
                    type_: None,
                    rolling_update: Some(RollingUpdateDeployment {
                        max_surge: Some(IntOrString::String("100%".into())),
                        max_unavailable: Some(IntOrString::String("25%".into())),
                    }),
                }),
                template: self.template(settings),
                ..DeploymentSpec::default()
            }),
            status: None,
        };
        Object::new(&component, Phase::Workloads, &deployment)
    }

    fn template(self, settings: &Settings) -> PodTemplateSpec {
        let Workload {
            pod_annotations,
            pod_labels,
            node_selector,
            tolerations,
            affinity,
            priority_class,
            ..
        } = self.workload;
        let mut labels = texts([
            ("app.kubernetes.io/instance", "istio"),
            ("app.kubernetes.io/name", self.component.app()),
            ("app.kubernetes.io/part-of", "istio"),
            ("istio.io/rev", &settings.revision),
            ("sidecar.istio.io/inject", "false"),
        ]);
        labels.extend(self.labels);
        labels.extend(pod_labels.clone());
        labels.extend(self.selector);
        let mut annotations = self.annotations;
        annotations.extend(pod_annotations.clone());
        let secrets = &settings.inject.injector.values.image_pull_secrets;
        let secrets = secrets
            .iter()
            .map(|name| LocalObjectReference { name: name.clone() });
        PodTemplateSpec {
            metadata: Some(ObjectMeta {
                labels: Some(labels),
                annotations: Some(annotations),
                ..ObjectMeta::default()
            }),
            spec: Some(PodSpec {
                service_account_name: Some(self.service_account.to_owned()),
                security_context: Some(unprivileged()),
                image_pull_secrets: some(secrets.collect()),
                containers: vec![self.container],
                volumes: some(self.volumes),
                node_selector: Some(node_selector.clone()).filter(|all| !all.is_empty()),
                tolerations: some(tolerations.clone()),
                affinity: affinity.clone(),
                priority_class_name: priority_class.clone(),
                ..PodSpec::default()
            }),
        }
    }
}

fn some<T>(all: Vec<T>) -> Option<Vec<T>> {
    Some(all).filter(|all| !all.is_empty())
}

/// The programs need no rights on the node.
pub(crate) fn unprivileged() -> PodSecurityContext {
    PodSecurityContext {
        run_as_group: Some(PROXY_UID),
        run_as_non_root: Some(true),
        run_as_user: Some(PROXY_UID),
        fs_group: Some(PROXY_UID),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".into(),
            localhost_profile: None,
        }),
        ..PodSecurityContext::default()
    }
}
