//! `registryz`, `endpointz` and `instancesz`: services and what serves them, in the keys of Istio's own structures, which Kiali reads.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use mesh_core::snapshot::{
    Instance, MeshService, Protocol, Registry, Resolution, ServicePort, Snapshot, Visibility,
};
use mesh_ir::EndpointHealth;
use serde_json::{Map, Value, json};

use crate::debug::Debug;

/// All services.
pub fn registryz(debug: &Debug) -> Value {
    let published = debug.published();
    let snapshot = published.translator.snapshot();
    let services = snapshot.services();
    services
        .map(|service| registered(service, &debug.cluster_id))
        .collect()
}

/// The endpoints of every service port.
pub fn endpointz(debug: &Debug) -> Value {
    let published = debug.published();
    let snapshot = published.translator.snapshot();
    let ports = snapshot
        .services()
        .flat_map(|service| service.ports.iter().map(move |port| (service, port)));
    ports
        .map(|(service, port)| {
            let endpoints: Vec<Value> = endpoints(snapshot, service, port)
                .map(|endpoint| {
                    json!({
                        "service": registered(service, &debug.cluster_id),
                        "servicePort": shown_port(port),
                        "endpoint": endpoint,
                    })
                })
                .collect();
            json!({ "svc": format!("{}:{}", service.host, port.name), "ep": endpoints })
        })
        .collect()
}

/// The services of each proxy that is connected, by the name of the proxy.
pub fn instancesz(debug: &Debug) -> Value {
    let published = debug.published();
    let snapshot = published.translator.snapshot();
    let proxies = debug.connections.proxies();
    let each = proxies.into_iter().map(|(proxy, connection)| {
        let labels = connection.node.labels();
        let services = snapshot.services_selecting(&connection.node.namespace, &labels);
        let targets = services.iter().flat_map(|service| {
            service.ports.iter().map(|port| {
                let target = snapshot.target_ports(service, port, &labels);
                json!({
                    "Service": registered(service, &debug.cluster_id),
                    "Port": { "ServicePort": shown_port(port), "TargetPort": target.first() },
                })
            })
        });
        (proxy, targets.collect::<Value>())
    });
    Value::Object(each.collect::<Map<String, Value>>())
}

fn registered(service: &MeshService, cluster: &str) -> Value {
    let export_to: BTreeMap<&str, Value> = match &service.visibility {
        Visibility::Public => [("*", json!({}))].into(),
        Visibility::Namespaces(namespaces) => {
            namespaces.iter().map(|name| (&**name, json!({}))).collect()
        }
    };
    let addresses: Vec<String> = service.addresses.iter().map(ToString::to_string).collect();
    let ports: Vec<Value> = service.ports.iter().map(shown_port).collect();
    let created = service
        .created
        .and_then(|second| Timestamp::from_second(second).ok());
    json!({
        "Attributes": {
            "ServiceRegistry": match service.registry {
                Registry::Kubernetes => "Kubernetes",
                Registry::ServiceEntry => "External",
            },
            "Name": service.name,
            "Namespace": service.namespace,
            "LabelSelectors": service.selector,
            "ExportTo": export_to,
        },
        "ports": ports,
        "creationTime": created.map(|at| at.to_string()),
        "hostname": service.host,
        "clusterVIPs": { "Addresses": { cluster: addresses } },
        "defaultAddress": addresses.first().map_or("0.0.0.0", String::as_str),
        // Istio's numbers.
        "Resolution": match service.resolution {
            Resolution::Endpoints => 0,
            Resolution::Dns => 1,
            Resolution::Passthrough => 2,
        },
        "MeshExternal": service.external,
    })
}

fn shown_port(port: &ServicePort) -> Value {
    let protocol = match port.protocol {
        Protocol::Http => "HTTP",
        Protocol::Http2 => "HTTP2",
        Protocol::Grpc => "GRPC",
        Protocol::GrpcWeb => "GRPC-Web",
        Protocol::Https => "HTTPS",
        Protocol::Tls => "TLS",
        Protocol::Tcp => "TCP",
        Protocol::Detect => "UnsupportedProtocol",
    };
    json!({ "name": port.name, "port": port.port, "protocol": protocol })
}

fn endpoints(
    snapshot: &Snapshot,
    service: &MeshService,
    port: &ServicePort,
) -> impl Iterator<Item = Value> {
    let known = snapshot.instances(service, port).iter();
    let known: Vec<Value> = known
        .map(|instance| known_endpoint(instance, port))
        .collect();
    let resolved = snapshot.dns_endpoints(service, port).into_iter();
    let resolved = resolved.map(|endpoint| {
        json!({
            "Addresses": [endpoint.host],
            "EndpointPort": endpoint.port,
            "ServicePortName": port.name,
            "Labels": *endpoint.labels,
            "LbWeight": endpoint.weight,
        })
    });
    known.into_iter().chain(resolved.collect::<Vec<_>>())
}

fn known_endpoint(instance: &Instance, port: &ServicePort) -> Value {
    let Instance {
        address,
        port: number,
        labels,
        workload,
        locality,
        health,
        weight,
        offers_mtls,
        node: _,
        account: _,
    } = instance;
    let parts = [&locality.region, &locality.zone, &locality.subzone];
    let parts: Vec<&str> = parts.into_iter().map(|part| &**part).collect();
    json!({
        "Addresses": [address],
        "EndpointPort": number,
        "ServicePortName": port.name,
        "Labels": **labels,
        "WorkloadName": workload.name,
        "Namespace": workload.namespace,
        "Locality": { "Label": parts.join("/").trim_end_matches('/'), "ClusterID": workload.cluster },
        "LbWeight": weight,
        "TLSMode": if *offers_mtls { "istio" } else { "disabled" },
        // Istio's numbers: healthy, unhealthy, draining.
        "HealthStatus": match health {
            EndpointHealth::Healthy => 1,
            EndpointHealth::Draining => 3,
            EndpointHealth::Unhealthy => 2,
        },
    })
}
