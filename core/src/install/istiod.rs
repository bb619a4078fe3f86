//! The control plane: its Service and Deployment.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction,
    ObjectFieldSelector, Probe, SecurityContext, Service, ServicePort, ServiceSpec,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::autoscaling;
use super::object::{Component, Object, Phase, metadata};
use super::rbac::account;
use super::revision::DEFAULT_REVISION;
use super::settings::{Pilot, Settings};
use super::workload::{Program, texts};
use crate::inject::{PROXY_UID, env};

/// Port of readiness.
const READY: i32 = 8080;
/// Port of xDS over TLS.
const XDS: i32 = 15012;
/// Port of webhooks, which the Service has at 443.
const WEBHOOKS: i32 = 15017;
/// Port of metrics and questions.
const MONITORING: i32 = 15014;

/// Labels of the pods. Those of a named revision are told apart by it; the default one has kept the labels it always had.
fn selector(settings: &Settings) -> BTreeMap<String, String> {
    let mut labels = texts([("app", "istiod"), ("istio", "pilot")]);
    if settings.revision != DEFAULT_REVISION {
        labels.insert("istio.io/rev".into(), settings.revision.clone());
        labels.insert("istio".into(), format!("pilot-{}", settings.revision));
    }
    labels
}

pub(super) fn objects(settings: &Settings, pilot: &Pilot) -> Vec<Object> {
    let program = Program {
        component: &Component::Istiod,
        namespace: &settings.namespace,
        selector: selector(settings),
        labels: texts([]),
        annotations: texts([
            ("prometheus.io/port", "15014"),
            ("prometheus.io/scrape", "true"),
        ]),
        service_account: &account(settings),
        container: container(settings, pilot),
        volumes: Vec::new(),
        workload: &pilot.workload,
    };
    let mut objects = vec![service(settings, pilot), program.deployment(settings)];
    objects.extend(autoscaling::objects(
        settings,
        &Component::Istiod,
        &settings.namespace,
        &selector(settings),
        &pilot.workload,
    ));
    objects
}

fn service(settings: &Settings, pilot: &Pilot) -> Object {
    let own = &settings.namespace;
    let component = Component::Istiod;
    let name = component.name(&settings.revision);
    let mut metadata = metadata(&component, settings, Some(own), &name);
    let labels = metadata.labels.get_or_insert_default();
    labels.extend(selector(settings));
    let annotations = pilot.service_annotations.clone();
    metadata.annotations = Some(annotations).filter(|all| !all.is_empty());
    let port = |name: &str, number| ServicePort {
        name: Some(name.to_owned()),
        port: number,
        protocol: Some("TCP".into()),
        ..ServicePort::default()
    };
    let webhooks = ServicePort {
        target_port: Some(IntOrString::Int(WEBHOOKS)),
        ..port("https-webhook", 443)
    };
    let service = Service {
        metadata,
        spec: Some(ServiceSpec {
            ports: Some(vec![
                port("https-dns", XDS),
                webhooks,
                port("http-monitoring", MONITORING),
            ]),
            selector: Some(selector(settings)),
            ..ServiceSpec::default()
        }),
        status: None,
    };
    Object::new(&component, Phase::Services, &service)
}

fn container(settings: &Settings, pilot: &Pilot) -> Container {
    let values = &settings.inject.injector.values;
    let workload = &pilot.workload;
    let port = |name: &str, number| ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some("TCP".into()),
        ..ContainerPort::default()
    };
    Container {
        name: "discovery".into(),
        image: Some(pilot.image.clone()),
        image_pull_policy: Some(workload.pull_policy.clone()).filter(|policy| !policy.is_empty()),
        args: Some(vec![
            "discovery".into(),
            format!("--monitoringAddr=:{MONITORING}"),
            format!("--log_output_level={}", pilot.log_level),
            "--domain".into(),
            values.cluster_domain.clone(),
        ]),
        env: Some(environment(settings, pilot)),
        ports: Some(vec![
            port("http-ready", READY),
            port("https-dns", XDS),
            port("https-webhooks", WEBHOOKS),
            port("http-monitoring", MONITORING),
        ]),
        resources: Some(workload.resources.clone()),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities {
                add: None,
                drop: Some(vec!["ALL".into()]),
            }),
            read_only_root_filesystem: Some(true),
            run_as_group: Some(PROXY_UID),
            run_as_non_root: Some(true),
            run_as_user: Some(PROXY_UID),
            ..SecurityContext::default()
        }),
        // The startup probe looks often, so that the pod is ready within a second of the program.
        startup_probe: Some(probe(1, 120)),
        readiness_probe: Some(probe(3, 3)),
        ..Container::default()
    }
}

fn environment(settings: &Settings, pilot: &Pilot) -> Vec<EnvVar> {
    let of_pod = |name: &str, path: &str| EnvVar {
        name: name.to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: None,
                field_path: path.to_owned(),
            }),
            ..EnvVarSource::default()
        }),
    };
    let values = &settings.inject.injector.values;
    let mut all = vec![
        env("REVISION", settings.revision.as_str()),
        env("CLUSTER_ID", values.cluster_id.as_str()),
        of_pod("POD_NAME", "metadata.name"),
        of_pod("POD_NAMESPACE", "metadata.namespace"),
        of_pod("SERVICE_ACCOUNT", "spec.serviceAccountName"),
    ];
    let given = &pilot.workload.env;
    all.retain(|one| !given.iter().any(|other| other.name == one.name));
    all.extend(given.iter().cloned());
    all
}

fn probe(period_seconds: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some("/ready".into()),
            port: IntOrString::Int(READY),
            ..HTTPGetAction::default()
        }),
        failure_threshold: Some(failures),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(5),
        ..Probe::default()
    }
}
