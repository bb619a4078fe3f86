//! The Service of a Gateway: a port for each of its listeners, and that of the status.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};

use super::{ManagedObject, Source};
use crate::install::ResourceType;
use crate::model::gateway_api::Listener;

/// Says the type of the Service.
const SERVICE_TYPE: &str = "networking.istio.io/service-type";
/// Port on which the proxy says whether it is ready, for load balancers.
const STATUS_PORT: i32 = 15021;
/// Longest name of a port.
const LONGEST: usize = 63;

pub(super) fn service(source: &Source<'_>) -> ManagedObject {
    let resource = ResourceType {
        group: "",
        version: "v1",
        kind: "Service",
        plural: "services",
        namespaced: true,
    };
    let kind = source.setting(SERVICE_TYPE);
    let kind = kind.filter(|kind| ["ClusterIP", "NodePort", "LoadBalancer"].contains(kind));
    let kind = kind.unwrap_or("LoadBalancer");
    let address = source.spec.addresses.first();
    let address = address.and_then(|address| address.value.clone());
    let service = Service {
        metadata: source.metadata(source.object_name.clone()),
        spec: Some(ServiceSpec {
            type_: Some(kind.to_owned()),
            selector: Some(source.selector()),
            ports: Some(ports(&source.listeners)),
            load_balancer_ip: address.filter(|_| kind == "LoadBalancer"),
            ..ServiceSpec::default()
        }),
        status: None,
    };
    source.object(resource, &service)
}

/// The ports of listeners, each once, after that of the status.
fn ports(listeners: &[&Listener]) -> Vec<ServicePort> {
    let mut ports = vec![port("status-port".to_owned(), STATUS_PORT, "tcp")];
    for listener in listeners {
        let protocol = match listener.protocol.as_str() {
            "HTTP" => "http",
            "HTTPS" => "https",
            "TLS" => "tls",
            "TCP" => "tcp",
            // Nothing listens for others.
            _ => continue,
        };
        if ports.iter().any(|known| known.port == listener.port) {
            continue;
        }
        let name = name(&listener.name);
        let is_taken = |name: &str| {
            let mut known = ports.iter();
            known.any(|port| port.name.as_deref() == Some(name))
        };
        let name = match is_taken(&name) {
            true => format!("port-{}", listener.port),
            false => name,
        };
        ports.push(port(name, listener.port, protocol));
    }
    ports
}

fn port(name: String, number: i32, protocol: &str) -> ServicePort {
    ServicePort {
        name: Some(name),
        port: number,
        protocol: Some("TCP".to_owned()),
        app_protocol: Some(protocol.to_owned()),
        ..ServicePort::default()
    }
}

/// The name of a listener as one of a port, which has no dots and is shorter.
fn name(listener: &str) -> String {
    let name: String = listener.replace('.', "-").chars().take(LONGEST).collect();
    name.trim_end_matches('-').to_owned()
}
