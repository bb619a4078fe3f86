//! The inbound side of a sidecar: one chain (or, without capture by the kernel, one bound listener) for each port on which
//! services reach the workload.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mesh_ir::names::{BLACK_HOLE, INBOUND_PASSTHROUGH, VIRTUAL_INBOUND};
use mesh_ir::{
    Capture, ChainMatch, Cluster, ClusterKind, Direction, Endpoint, Endpoints, FilterChain,
    Forward, Inspect, Listener, LoadBalancing, Locality, LocalityEndpoints, Network, ProxyScope,
    RetryOn, RetryPolicy, Route, RouteAction, RouteConfig, RouteMatch, Routes, Target, TcpProxy,
    VirtualHost, alpn, ports,
};

use super::connection_pool;
use super::http_server::{HttpServerSettings, ServerRole};
use super::mesh_tls::{Carries, MeshTls, PortCarries, PortTransport};
use super::naming::{inbound_cluster, listener_name, service_ref};
use super::outbound::passthrough;
use super::policies::WorkloadPolicies;
use crate::snapshot::policy::EffectiveTrafficPolicy;
use crate::snapshot::{MeshService, PeerAuthentication, Protocol, ServicePort, Snapshot};

/// Where redirected connections to the workload come from: the rules of the redirection let them through, so that they are not
/// redirected again.
const REDIRECT_SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 6));

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
    /// Address of the workload's pod, where it is known.
    pub address: Option<IpAddr>,
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
            address: scope.address,
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
    let ports = inbound_ports(snapshot, key);
    let part = InboundPart {
        snapshot,
        key,
        http_server: HttpServerSettings::of(snapshot, &key.namespace, &key.labels),
        tls: MeshTls::of(snapshot.mesh()),
        authentication: snapshot.peer_authentication(&key.namespace, &key.labels),
        connect_timeout: snapshot.mesh().connect_timeout(),
    };
    let mut clusters: Vec<Arc<Cluster>> = ports
        .values()
        .map(|port| Arc::new(part.cluster(port)))
        .collect();
    let policies = WorkloadPolicies::of(snapshot, &key.namespace, &key.labels);
    let listeners = match &key.capture {
        Capture::Redirect => {
            clusters.push(Arc::new(part.redirected(INBOUND_PASSTHROUGH)));
            vec![policies.guard(part.virtual_inbound(&ports))]
        }
        Capture::Loopback { pod, .. } => ports
            .values()
            .map(|port| policies.guard(part.own_listener(*pod, port)))
            .collect(),
    };
    Inbound {
        listeners,
        clusters,
    }
}

/// The workload's ports: of the services that select its labels or list its address. Of several services with one port the oldest
/// decides.
fn inbound_ports(snapshot: &Snapshot, key: &InboundKey) -> BTreeMap<u16, InboundPort> {
    let mut ports: Vec<InboundPort> = Vec::new();
    for service in snapshot.services_selecting(&key.namespace, &key.labels) {
        for port in &service.ports {
            let targets = snapshot.target_ports(&service, port, &key.labels);
            ports.extend(targets.into_iter().map(|target| InboundPort {
                target,
                service: service.clone(),
                port: port.clone(),
            }));
        }
    }
    let address = key.address.iter();
    let listing = address.flat_map(|address| snapshot.services_listing(*address, &key.namespace));
    ports.extend(listing.map(|(service, port, target)| InboundPort {
        target,
        service,
        port,
    }));
    let age = |port: &InboundPort| (port.service.created, port.service.name.clone());
    ports.sort_by_key(age);
    let mut found = BTreeMap::new();
    for port in ports {
        if !OWN_PORTS.contains(&port.target) {
            found.entry(port.target).or_insert(port);
        }
    }
    found
}

/// What all listeners and clusters of an inbound part have in common.
struct InboundPart<'a> {
    snapshot: &'a Snapshot,
    key: &'a InboundKey,
    http_server: HttpServerSettings,
    tls: MeshTls,
    /// How the workload's ports are connected to.
    authentication: PeerAuthentication,
    connect_timeout: Duration,
}

// === impl InboundPart ===

impl InboundPart<'_> {
    fn virtual_inbound(&self, ports: &BTreeMap<u16, InboundPort>) -> Listener {
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let mut chains = vec![FilterChain::new(
            "virtualInbound-blackhole",
            ChainMatch::port(ports::PROXY_INBOUND),
            self.tcp(BLACK_HOLE.into()),
        )];
        for port in ports.values() {
            chains.extend(self.port_chains(any, port, &ChainMatch::port(port.target)));
        }
        let others = self.authentication.ports.keys();
        let others = others.filter(|port| !ports.contains_key(port) && !OWN_PORTS.contains(port));
        for matcher in others.map(|port| ChainMatch::port(*port)) {
            chains.extend(self.passthrough_chains(&matcher));
        }
        chains.extend(self.passthrough_chains(&ChainMatch::default()));
        // No default chain: what the chains of a port do not take is closed.
        Listener {
            inspect: Inspect {
                original_destination: true,
                ..inspect(&chains)
            },
            chains,
            ..Listener::new(
                VIRTUAL_INBOUND.into(),
                SocketAddr::new(any, ports::PROXY_INBOUND),
                Direction::Inbound,
            )
        }
    }

    /// The chains of connections to ports of no service.
    fn passthrough_chains(&self, matcher: &ChainMatch) -> Vec<FilterChain> {
        let mode = match matcher.destination_port {
            Some(port) => self.authentication.of_port(port),
            None => self.authentication.mode,
        };
        let transports = self
            .tls
            .port(mode, PortCarries::Only(Carries::Tcp), matcher);
        let chain = |transport: PortTransport| FilterChain {
            tls: transport.tls,
            ..FilterChain::new(
                "virtualInbound-catchall-tcp",
                transport.matcher,
                self.tcp(INBOUND_PASSTHROUGH.into()),
            )
        };
        transports.into_iter().map(chain).collect()
    }

    fn own_listener(&self, address: IpAddr, port: &InboundPort) -> Listener {
        let chains = self.port_chains(address, port, &ChainMatch::default());
        Listener {
            inspect: inspect(&chains),
            chains,
            ..Listener::new(
                listener_name(address, port.target),
                SocketAddr::new(address, port.target),
                Direction::Inbound,
            )
        }
    }

    /// The chains of a port: by its protocol, and by whether it takes the mesh's TLS, plaintext, or both.
    fn port_chains(
        &self,
        address: IpAddr,
        port: &InboundPort,
        matcher: &ChainMatch,
    ) -> Vec<FilterChain> {
        let name = listener_name(address, port.target);
        let carries = match port.port.protocol {
            Protocol::Http | Protocol::Http2 | Protocol::Grpc | Protocol::GrpcWeb => {
                PortCarries::Only(Carries::Http)
            }
            Protocol::Https | Protocol::Tls | Protocol::Tcp => PortCarries::Only(Carries::Tcp),
            Protocol::Detect => PortCarries::Detected,
        };
        let mode = self.authentication.of_port(port.target);
        let transports = self.tls.port(mode, carries, matcher).into_iter();
        let chain = |transport: PortTransport| FilterChain {
            tls: transport.tls,
            ..FilterChain::new(
                name.clone(),
                transport.matcher,
                match transport.carries {
                    Carries::Http => self.http(&name, port),
                    Carries::Tcp => self.tcp(inbound_cluster(port.target)),
                },
            )
        };
        transports.map(chain).collect()
    }

    fn tcp(&self, cluster: Arc<str>) -> Network {
        self.http_server
            .tcp(Direction::Inbound, TcpProxy::to(cluster))
    }

    fn http(&self, listener: &str, port: &InboundPort) -> Network {
        let routes = Routes::Inline(Arc::new(routes(port)));
        let manager = self
            .http_server
            .manager(ServerRole::Inbound, listener, routes);
        Network::Http(manager)
    }

    /// A cluster for where the kernel redirected connections from.
    fn redirected(&self, name: &str) -> Cluster {
        let mut cluster = passthrough(name, self.connect_timeout);
        cluster.client.source_address = Some(REDIRECT_SOURCE);
        cluster
    }

    /// The workload's port: where the connection was meant to go, or on the application's own address.
    fn cluster(&self, port: &InboundPort) -> Cluster {
        let name = inbound_cluster(port.target);
        let mut cluster = match &self.key.capture {
            Capture::Redirect => self.redirected(&name),
            Capture::Loopback { app, .. } => {
                let endpoint = Endpoint::new(SocketAddr::new(*app, port.target));
                let endpoints = Endpoints {
                    cluster: name.clone(),
                    localities: vec![LocalityEndpoints::new(Locality::default(), vec![endpoint])],
                };
                let mut cluster = Cluster::new(name, ClusterKind::Static(Arc::new(endpoints)));
                cluster.client.connect_timeout = self.connect_timeout;
                cluster.client.balancing = LoadBalancing::RoundRobin;
                cluster
            }
        };
        // What clients are allowed, the server must have room for: both sides go by the same rule.
        let rule = self.snapshot.destination_rule_for(
            &port.service.host,
            &self.key.namespace,
            &self.key.labels,
            &port.service.namespace,
        );
        let policy = rule.as_ref().and_then(|rule| rule.traffic_policy.as_ref());
        let blocks = EffectiveTrafficPolicy::effective(policy, None, port.port.port);
        connection_pool::apply(
            &mut cluster.client,
            port.port.protocol,
            blocks.connection_pool,
        );
        cluster.services = vec![service_ref(&port.service)];
        cluster
    }
}

/// What chains must know of connections.
fn inspect(chains: &[FilterChain]) -> Inspect {
    let mut matchers = chains.iter().map(|chain| &chain.matcher);
    let detected = |matcher: &ChainMatch| {
        let protocols = &matcher.application_protocols;
        alpn::DETECTED_HTTP
            .iter()
            .any(|name| protocols.contains(*name))
    };
    Inspect {
        tls: matchers.clone().any(|matcher| matcher.transport.is_some()),
        http: matchers.any(detected),
        ..Inspect::default()
    }
}

/// Everything goes to the workload, without a limit of time; a connection that ended before anything was sent is tried again.
fn routes(port: &InboundPort) -> RouteConfig {
    let cluster = inbound_cluster(port.target);
    let forward = Forward {
        retry: Some(RetryPolicy {
            attempts: 2,
            on: vec![RetryOn::ResetBeforeRequest],
            status_codes: Vec::new(),
            per_try_timeout: None,
            base_interval: None,
            host_selection_attempts: 0,
        }),
        ..Forward::to(Target::Cluster(cluster.clone()))
    };
    RouteConfig {
        name: cluster,
        virtual_hosts: vec![Arc::new(VirtualHost {
            name: format!("inbound|http|{}", port.port.port).into(),
            domains: vec!["*".into()],
            routes: vec![Route {
                name: "default".into(),
                ..Route::new(RouteMatch::everything(), RouteAction::Forward(forward))
            }],
        })],
        discovers_virtual_hosts: false,
        ignore_port_in_host: true,
    }
}
