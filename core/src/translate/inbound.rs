//! The inbound side of a sidecar: one chain (or, without capture by the kernel, one bound listener) for each port on which
//! services reach the workload.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use mesh_ir::names::{INBOUND_PASSTHROUGH, VIRTUAL_INBOUND};
use mesh_ir::{
    AccessLog, Capture, ChainMatch, Cluster, ClusterKind, Direction, Endpoint, EndpointHealth,
    Endpoints, FilterChain, Forward, HeaderOps, HttpConnectionManager, HttpProtocol, Listener,
    LoadBalancing, Locality, LocalityEndpoints, Network, PathMatch, ProxyScope, RetryOn,
    RetryPolicy, Route, RouteAction, RouteConfig, RouteMatch, Routes, Target, TcpProxy,
    VirtualHost, ports,
};

use super::naming::{inbound_cluster, listener_name, service_ref};
use super::outbound::original_destination;
use super::view::access_log;
use crate::snapshot::{MeshService, Protocol, ServicePort, Snapshot};

/// Ports of the proxy itself, which are no workload's.
const OWN_PORTS: [u16; 7] = [
    ports::PROXY_ADMIN,
    ports::PROXY_OUTBOUND,
    ports::PROXY_INBOUND,
    ports::PROXY_HBONE,
    ports::PROXY_AGENT,
    ports::PROXY_HEALTH,
    ports::PROXY_METRICS,
];

/// All that the inbound part depends on beside the snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InboundKey {
    /// Namespace of the workload.
    pub namespace: String,
    /// Labels of the workload's pod.
    pub labels: BTreeMap<String, String>,
    /// How traffic reaches the proxy.
    pub capture: Capture,
}

/// The inbound part of a configuration.
#[derive(Clone, Debug, Default)]
pub struct Inbound {
    /// `virtualInbound`, or one listener for each port.
    pub listeners: Vec<Arc<Listener>>,
    /// Of the workload's ports.
    pub clusters: Vec<Arc<Cluster>>,
}

// === impl InboundKey ===

impl InboundKey {
    /// The part of a scope that matters.
    pub fn of(scope: &ProxyScope) -> Self {
        Self {
            namespace: scope.namespace.clone(),
            labels: scope.labels.clone(),
            capture: scope.capture.clone(),
        }
    }
}

/// One port of the workload.
struct InboundPort {
    target: u16,
    service: Arc<MeshService>,
    port: ServicePort,
}

/// The inbound part for a key.
pub(super) fn inbound(snapshot: &Snapshot, key: &InboundKey) -> Inbound {
    let access_log = access_log(snapshot.mesh());
    let ports = inbound_ports(snapshot, key);
    let mut clusters: Vec<Arc<Cluster>> = ports
        .values()
        .map(|port| Arc::new(cluster(port, &key.capture)))
        .collect();
    let listeners = match &key.capture {
        Capture::Redirect => {
            clusters.push(Arc::new(original_destination(INBOUND_PASSTHROUGH)));
            vec![Arc::new(virtual_inbound(&ports, access_log.as_ref()))]
        }
        Capture::Loopback { pod, .. } => ports
            .values()
            .map(|port| Arc::new(own_listener(*pod, port, access_log.as_ref())))
            .collect(),
    };
    Inbound {
        listeners,
        clusters,
    }
}

/// The workload's ports; of several services with one port the oldest decides.
fn inbound_ports(snapshot: &Snapshot, key: &InboundKey) -> BTreeMap<u16, InboundPort> {
    let mut services = snapshot.services_selecting(&key.namespace, &key.labels);
    services.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
    let mut found = BTreeMap::new();
    for service in services {
        for port in &service.ports {
            for target in snapshot.target_ports(&service, port, &key.labels) {
                if !OWN_PORTS.contains(&target) {
                    found.entry(target).or_insert_with(|| InboundPort {
                        target,
                        service: service.clone(),
                        port: port.clone(),
                    });
                }
            }
        }
    }
    found
}

fn virtual_inbound(ports: &BTreeMap<u16, InboundPort>, access_log: Option<&AccessLog>) -> Listener {
    let address = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let to_itself = FilterChain {
        name: "virtualInbound-blackhole".into(),
        matcher: ChainMatch {
            destination_port: Some(ports::PROXY_INBOUND),
            ..ChainMatch::default()
        },
        network: tcp(mesh_ir::names::BLACK_HOLE.into(), access_log),
    };
    let mut chains = vec![to_itself];
    for port in ports.values() {
        chains.extend(port_chains(address, port, Some(port.target), access_log));
    }
    Listener {
        name: VIRTUAL_INBOUND.into(),
        address: SocketAddr::new(address, ports::PROXY_INBOUND),
        bind: true,
        use_original_destination: false,
        detect_http: detects(&chains),
        direction: Direction::Inbound,
        chains,
        default_chain: Some(FilterChain {
            name: "virtualInbound-catchall-tcp".into(),
            matcher: ChainMatch::default(),
            network: tcp(INBOUND_PASSTHROUGH.into(), access_log),
        }),
    }
}

fn own_listener(address: IpAddr, port: &InboundPort, access_log: Option<&AccessLog>) -> Listener {
    let chains = port_chains(address, port, None, access_log);
    Listener {
        name: listener_name(address, port.target),
        address: SocketAddr::new(address, port.target),
        bind: true,
        use_original_destination: false,
        detect_http: detects(&chains),
        direction: Direction::Inbound,
        chains,
        default_chain: None,
    }
}

fn detects(chains: &[FilterChain]) -> bool {
    chains
        .iter()
        .any(|chain| !chain.matcher.application_protocols.is_empty())
}

/// The chains of a port: one, or two where the first bytes decide.
fn port_chains(
    address: IpAddr,
    port: &InboundPort,
    destination_port: Option<u16>,
    access_log: Option<&AccessLog>,
) -> Vec<FilterChain> {
    let name = listener_name(address, port.target);
    let chain = |protocols: BTreeSet<Arc<str>>, network| FilterChain {
        name: name.clone(),
        matcher: ChainMatch {
            destination_port,
            application_protocols: protocols,
        },
        network,
    };
    let http = || http(&name, port, access_log);
    let tcp = || tcp(inbound_cluster(port.target), access_log);
    match port.port.protocol {
        Protocol::Http | Protocol::Http2 | Protocol::Grpc | Protocol::GrpcWeb => {
            vec![chain(BTreeSet::new(), http())]
        }
        Protocol::Https | Protocol::Tls | Protocol::Tcp => vec![chain(BTreeSet::new(), tcp())],
        Protocol::Detect => vec![
            chain(["h2c".into(), "http/1.1".into()].into(), http()),
            chain(BTreeSet::new(), tcp()),
        ],
    }
}

fn tcp(cluster: Arc<str>, access_log: Option<&AccessLog>) -> Network {
    Network::Tcp(TcpProxy {
        stat_prefix: cluster.clone(),
        clusters: vec![(cluster, 1)],
        idle_timeout: None,
        access_log: access_log.cloned(),
    })
}

fn http(listener: &str, port: &InboundPort, access_log: Option<&AccessLog>) -> Network {
    Network::Http(HttpConnectionManager {
        stat_prefix: format!("inbound_{listener}").into(),
        routes: Routes::Inline(Arc::new(routes(port))),
        direction: Direction::Inbound,
        use_remote_address: false,
        websocket: true,
        idle_timeout: None,
        access_log: access_log.cloned(),
    })
}

/// Everything goes to the workload, without a limit of time; a connection that ended before anything was sent is tried again.
fn routes(port: &InboundPort) -> RouteConfig {
    let cluster = inbound_cluster(port.target);
    RouteConfig {
        name: cluster.clone(),
        virtual_hosts: vec![VirtualHost {
            name: format!("inbound|http|{}", port.port.port).into(),
            domains: vec!["*".into()],
            routes: vec![Route {
                name: "default".into(),
                matcher: RouteMatch {
                    path: PathMatch::Prefix("/".into()),
                    case_sensitive: true,
                    headers: Vec::new(),
                    query: Vec::new(),
                },
                action: RouteAction::Forward(Forward {
                    target: Target::Cluster(cluster),
                    timeout: None,
                    retry: Some(RetryPolicy {
                        attempts: 2,
                        on: vec![RetryOn::ResetBeforeRequest],
                        status_codes: Vec::new(),
                        per_try_timeout: None,
                        base_interval: None,
                        host_selection_attempts: 0,
                    }),
                    path_rewrite: None,
                    host_rewrite: None,
                }),
                request_headers: HeaderOps::default(),
                response_headers: HeaderOps::default(),
                origin: None,
            }],
        }],
        ignore_port_in_host: true,
    }
}

/// The workload's port: where the connection was meant to go, or on the application's own address.
fn cluster(port: &InboundPort, capture: &Capture) -> Cluster {
    let name = inbound_cluster(port.target);
    let base = original_destination(&name);
    let (kind, load_balancing) = match capture {
        Capture::Redirect => (base.kind, base.load_balancing),
        Capture::Loopback { app, .. } => {
            let endpoint = Endpoint {
                address: SocketAddr::new(*app, port.target),
                weight: 1,
                health: EndpointHealth::Healthy,
                workload: None,
            };
            let endpoints = Endpoints {
                cluster: name.clone(),
                localities: vec![LocalityEndpoints {
                    locality: Locality::default(),
                    priority: 0,
                    endpoints: vec![endpoint],
                }],
            };
            (
                ClusterKind::Static(Arc::new(endpoints)),
                LoadBalancing::RoundRobin,
            )
        }
    };
    Cluster {
        name,
        kind,
        load_balancing,
        protocol: match port.port.protocol {
            Protocol::Http2 | Protocol::Grpc | Protocol::GrpcWeb => HttpProtocol::Http2,
            Protocol::Http | Protocol::Https | Protocol::Tls | Protocol::Tcp | Protocol::Detect => {
                HttpProtocol::Http1
            }
        },
        services: vec![service_ref(&port.service)],
        ..base
    }
}
