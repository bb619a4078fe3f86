//! Kubernetes Services as the mesh sees them.

use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Service, ServicePort as KubernetesPort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::protocol::select_protocol;
use super::visibility::visibility;
use super::{MeshService, Registry, Resolution, ServicePort, TargetPort, TrafficDistribution};
use crate::model::MeshConfig;
use crate::resource::{Object, Resource, ResourceKey};

const EXPORT_TO_ANNOTATION: &str = "networking.istio.io/exportTo";
/// Says what `spec.trafficDistribution` does.
pub(super) const DISTRIBUTION_ANNOTATION: &str = "networking.istio.io/traffic-distribution";

/// The Service as a service of the mesh; none for other kinds.
pub(super) fn kubernetes_service(
    resource: &Resource,
    mesh: &MeshConfig,
    domain: &str,
) -> Option<MeshService> {
    let Object::Service(service) = &resource.object else {
        return None;
    };
    let empty = ServiceSpec::default();
    let spec = service.spec.as_ref().unwrap_or(&empty);
    let (name, namespace) = (&resource.key.name, &resource.key.namespace);
    let export_to = resource
        .meta
        .annotations
        .get(EXPORT_TO_ANNOTATION)
        .map_or("", String::as_str);
    Some(MeshService {
        host: host(&resource.key, domain),
        name: name.clone(),
        namespace: namespace.clone(),
        object: resource.key.clone(),
        registry: Registry::Kubernetes,
        ports: spec.ports.iter().flatten().filter_map(port).collect(),
        addresses: cluster_addresses(spec),
        allocated: Vec::new(),
        resolution: resolution(service),
        visibility: visibility(
            export_to.split(','),
            &mesh.default_service_export_to,
            namespace,
        ),
        selector: spec.selector.clone().unwrap_or_default(),
        subject_alt_names: Vec::new(),
        external: false,
        // The annotation counts first: older API servers do not have the field.
        distribution: distribution(
            resource
                .meta
                .annotations
                .get(DISTRIBUTION_ANNOTATION)
                .or(spec.traffic_distribution.as_ref()),
        ),
        created: resource.meta.created,
        alias_of: None,
        aliases: Vec::new(),
    })
}

/// The host that a Service of type ExternalName stands for; none for others.
pub(super) fn external_name(resource: &Resource) -> Option<Arc<str>> {
    let Object::Service(service) = &resource.object else {
        return None;
    };
    let spec = service.spec.as_ref()?;
    if spec.type_.as_deref() != Some("ExternalName") {
        return None;
    }
    let name = spec.external_name.as_deref()?.to_ascii_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    (!name.is_empty()).then(|| name.into())
}

/// The host of a Service.
pub(super) fn host(key: &ResourceKey, domain: &str) -> Arc<str> {
    let ResourceKey {
        namespace, name, ..
    } = key;
    service_host(name, namespace, domain)
}

/// The host of the Service of a name.
pub(super) fn service_host(name: &str, namespace: &str, domain: &str) -> Arc<str> {
    [name, ".", namespace, ".svc.", domain]
        .concat()
        .to_ascii_lowercase()
        .into()
}

/// What an annotation or field says.
pub(super) fn distribution(text: Option<&String>) -> TrafficDistribution {
    match text.map(String::as_str) {
        Some("PreferClose" | "PreferSameZone") => TrafficDistribution::SameZone,
        Some("PreferSameNode") => TrafficDistribution::SameNode,
        _ => TrafficDistribution::Any,
    }
}

fn resolution(service: &Service) -> Resolution {
    let spec = service.spec.as_ref();
    if spec.and_then(|spec| spec.type_.as_deref()) == Some("ExternalName") {
        Resolution::Dns
    } else if spec.and_then(|spec| spec.cluster_ip.as_deref()) == Some("None") {
        Resolution::Passthrough
    } else {
        Resolution::Endpoints
    }
}

fn cluster_addresses(spec: &ServiceSpec) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    let all = spec
        .cluster_ip
        .iter()
        .chain(spec.cluster_ips.iter().flatten());
    for address in all.filter_map(|text| text.parse().ok()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

fn port(port: &KubernetesPort) -> Option<ServicePort> {
    if !matches!(port.protocol.as_deref(), None | Some("TCP")) {
        return None;
    }
    let number = u16::try_from(port.port).ok().filter(|number| *number > 0)?;
    let name = port.name.as_deref().unwrap_or_default();
    let target = match &port.target_port {
        None => TargetPort::Number(number),
        Some(IntOrString::String(name)) => match name.parse() {
            Ok(number) => TargetPort::Number(number),
            Err(_) => TargetPort::Name(Arc::from(name.as_str())),
        },
        Some(IntOrString::Int(target)) => match u16::try_from(*target) {
            Ok(target) if target > 0 => TargetPort::Number(target),
            _ => TargetPort::Number(number),
        },
    };
    Some(ServicePort {
        name: name.into(),
        port: number,
        target,
        protocol: select_protocol(port.app_protocol.as_deref(), name, number),
    })
}
