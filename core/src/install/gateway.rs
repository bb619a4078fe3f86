//! A gateway: its service account, Service and Deployment. The container is the sidecars' own.

use k8s_openapi::api::core::v1::{
    ContainerPort, Service, ServiceAccount, ServicePort, ServiceSpec,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::autoscaling;
use super::object::{Object, Phase, metadata};
use super::rbac::secret_reader;
use super::settings::{Gateway, GatewayService, Settings};
use super::spec::{ServiceType, TrafficPolicy};
use super::workload::{Program, texts};
use crate::inject::{Router, volumes};

pub(super) fn objects(settings: &Settings, gateway: &Gateway) -> Vec<Object> {
    let name = gateway.component.app();
    let account = format!("{name}-service-account");
    let mut annotations = texts([
        ("prometheus.io/path", "/stats/prometheus"),
        ("prometheus.io/port", "15020"),
        ("prometheus.io/scrape", "true"),
    ]);
    annotations.insert("istio.io/rev".into(), settings.revision.clone());
    let router = Router {
        name,
        namespace: &gateway.namespace,
        pull_policy: gateway.workload.pull_policy.clone(),
        resources: gateway.workload.resources.clone(),
        ports: container_ports(&gateway.service.ports),
        env: gateway.workload.env.clone(),
    };
    let program = Program {
        component: &gateway.component,
        namespace: &gateway.namespace,
        selector: gateway.labels.clone(),
        labels: texts([
            ("service.istio.io/canonical-name", name),
            ("service.istio.io/canonical-revision", "latest"),
        ]),
        annotations,
        service_account: &account,
        container: router.container(&settings.inject),
        volumes: volumes(),
        workload: &gateway.workload,
    };
    let mut objects = vec![
        service_account(settings, gateway, &account),
        service(settings, gateway),
        program.deployment(settings),
    ];
    objects.extend(secret_reader(
        settings,
        &gateway.component,
        &gateway.namespace,
        &account,
    ));
    objects.extend(autoscaling::objects(
        settings,
        &gateway.component,
        &gateway.namespace,
        &gateway.labels,
        &gateway.workload,
    ));
    objects
}

/// The ports of a gateway whose values name none: Istio's. The status port is for load balancers in front.
pub(super) fn usual_ports(ingress: bool) -> Vec<ServicePort> {
    let port = |name: &str, port, target| ServicePort {
        name: Some(name.to_owned()),
        port,
        protocol: Some("TCP".into()),
        target_port: Some(IntOrString::Int(target)),
        ..ServicePort::default()
    };
    let mut ports = vec![port("http2", 80, 8080), port("https", 443, 8443)];
    if ingress {
        ports.insert(0, port("status-port", 15021, 15021));
        // For TCP, and for TLS that is handed on to another cluster's mesh.
        ports.extend([port("tcp", 31400, 31400), port("tls", 15443, 15443)]);
    }
    ports
}

/// Where the container listens for the Service's ports.
fn container_ports(ports: &[ServicePort]) -> Vec<ContainerPort> {
    let mut all: Vec<ContainerPort> = Vec::new();
    for port in ports {
        let number = match &port.target_port {
            Some(IntOrString::Int(number)) => *number,
            Some(IntOrString::String(_)) => continue,
            None => port.port,
        };
        if !all.iter().any(|other| other.container_port == number) {
            all.push(ContainerPort {
                container_port: number,
                protocol: port.protocol.clone().or(Some("TCP".into())),
                ..ContainerPort::default()
            });
        }
    }
    all
}

fn service_account(settings: &Settings, gateway: &Gateway, name: &str) -> Object {
    let component = &gateway.component;
    let namespace = Some(gateway.namespace.as_str());
    let account = ServiceAccount {
        metadata: metadata(component, settings, namespace, name),
        ..ServiceAccount::default()
    };
    Object::new(component, Phase::Access, &account)
}

fn service(settings: &Settings, gateway: &Gateway) -> Object {
    let component = &gateway.component;
    let namespace = Some(gateway.namespace.as_str());
    let mut metadata = metadata(component, settings, namespace, component.app());
    let labels = metadata.labels.get_or_insert_default();
    labels.extend(gateway.labels.clone());
    let GatewayService {
        type_,
        ports,
        annotations,
        load_balancer_ip,
        source_ranges,
        external_traffic_policy,
    } = &gateway.service;
    metadata.annotations = Some(annotations.clone()).filter(|all| !all.is_empty());
    let service = Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(type_.name().to_owned()),
            ports: Some(ports.clone()),
            selector: Some(gateway.labels.clone()),
            load_balancer_ip: load_balancer_ip.clone(),
            load_balancer_source_ranges: Some(source_ranges.clone())
                .filter(|ranges| !ranges.is_empty()),
            external_traffic_policy: external_traffic_policy.map(|policy| policy.name().to_owned()),
            ..ServiceSpec::default()
        }),
        status: None,
    };
    Object::new(component, Phase::Services, &service)
}

// === impl ServiceType ===

impl ServiceType {
    const fn name(self) -> &'static str {
        match self {
            Self::LoadBalancer => "LoadBalancer",
            Self::NodePort => "NodePort",
            Self::ClusterIP => "ClusterIP",
        }
    }
}

// === impl TrafficPolicy ===

impl TrafficPolicy {
    const fn name(self) -> &'static str {
        match self {
            Self::Cluster => "Cluster",
            Self::Local => "Local",
        }
    }
}
