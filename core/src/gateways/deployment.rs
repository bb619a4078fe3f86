//! The Deployment of a Gateway: the proxy as a router, in pods that carry the Gateway's name.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{
    ContainerPort, LocalObjectReference, PodSecurityContext, PodSpec, PodTemplateSpec, Sysctl,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::{ManagedObject, Source, account_name, names};
use crate::inject::{InjectConfig, Router, volumes};
use crate::install::{REVISION_LABEL, ResourceType, unprivileged};

pub(super) fn deployment(source: &Source<'_>, config: &InjectConfig) -> ManagedObject {
    let resource = ResourceType {
        group: "apps",
        version: "v1",
        kind: "Deployment",
        plural: "deployments",
        namespaced: true,
    };
    let deployment = Deployment {
        metadata: source.metadata(source.object_name.clone()),
        spec: Some(DeploymentSpec {
            selector: LabelSelector {
                match_labels: Some(source.selector()),
                match_expressions: None,
            },
            template: template(source, config),
            ..DeploymentSpec::default()
        }),
        status: None,
    };
    source.object(resource, &deployment)
}

fn template(source: &Source<'_>, config: &InjectConfig) -> PodTemplateSpec {
    let revision = &config.injector.revision;
    let mut labels = source.labels();
    labels.extend(texts([
        ("sidecar.istio.io/inject", "false"),
        (REVISION_LABEL, revision),
        ("service.istio.io/canonical-name", &source.object_name),
        ("service.istio.io/canonical-revision", "latest"),
    ]));
    labels.extend(names::labels(source.resource, source.spec));
    let mut annotations = texts([
        ("prometheus.io/path", "/stats/prometheus"),
        ("prometheus.io/port", "15020"),
        ("prometheus.io/scrape", "true"),
        (REVISION_LABEL, revision),
    ]);
    annotations.extend(source.annotations());
    let values = &config.injector.values;
    let secrets = values.image_pull_secrets.iter();
    let secrets: Vec<LocalObjectReference> = secrets
        .map(|name| LocalObjectReference { name: name.clone() })
        .collect();
    let router = Router {
        name: &source.object_name,
        namespace: &source.resource.key.namespace,
        pull_policy: values.image_pull_policy.clone(),
        resources: values.resources.clone(),
        ports: [("status-port", 15021), ("metrics", 15020)]
            .map(port)
            .into(),
        env: Vec::new(),
    };
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            service_account_name: Some(account_name(source.resource, &source.object_name)),
            security_context: Some(PodSecurityContext {
                // The ports of listeners are the pod's own.
                sysctls: Some(vec![Sysctl {
                    name: "net.ipv4.ip_unprivileged_port_start".to_owned(),
                    value: "0".to_owned(),
                }]),
                ..unprivileged()
            }),
            image_pull_secrets: Some(secrets).filter(|all| !all.is_empty()),
            containers: vec![router.container(config)],
            volumes: Some(volumes()),
            ..PodSpec::default()
        }),
    }
}

fn port((name, number): (&str, i32)) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

fn texts<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}
