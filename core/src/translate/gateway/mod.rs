//! Gateways: listeners by the Gateways that select the proxy, and one route table for each port.
//!
//! ```text
//! Gateways --servers by target port--> Port { HTTP servers | TCP servers | TLS servers } --VirtualServices--> listener, route tables
//!                                                                              \-- Secrets --> secrets
//! ```

mod encrypted;
mod ports;
mod routes;
mod secrets;
mod tls;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use mesh_ir::{
    Capture, ChainMatch, Direction, FilterChain, Listener, Network, ProxyScope, RouteConfig,
    Routes, Secret,
};

use super::cache::TranslationCache;
use super::connections::Connections;
use super::http_server::ServerRole;
use super::naming::listener_name;
use super::policies::WorkloadPolicies;
use super::rules::CompiledRules;
use super::view::View;
use crate::diag::Diagnostic;
use crate::snapshot::Snapshot;
use ports::{BoundServer, Port, Serves};
pub(super) use secrets::granted;

/// All that a gateway's own part depends on beside the snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GatewayKey {
    /// Namespace of the gateway's pod.
    pub namespace: String,
    /// Labels of the gateway's pod.
    pub labels: BTreeMap<String, String>,
    /// How traffic reaches the proxy.
    pub capture: Capture,
    /// DNS domain of the cluster.
    pub dns_domain: String,
}

/// The part of a configuration that only gateways have; the lists are sorted by name.
#[derive(Clone, Debug, Default)]
pub struct GatewayPart {
    /// One for each port.
    pub listeners: Vec<Arc<Listener>>,
    /// `http.PORT`, and `https.PORT.NAME.GATEWAY.NAMESPACE` for each server that ends TLS.
    pub routes: Vec<Arc<RouteConfig>>,
    /// Certificates and keys that servers, or rules for the gateway as a client, name.
    pub secrets: Vec<Arc<Secret>>,
    /// What is wrong with the Gateways and their rules.
    pub diagnostics: Vec<Diagnostic>,
}

// === impl GatewayKey ===

impl GatewayKey {
    /// The part of a scope that matters.
    pub fn of(scope: &ProxyScope) -> Self {
        Self {
            namespace: scope.namespace.clone(),
            labels: scope.labels.clone(),
            capture: scope.capture.clone(),
            dns_domain: scope.dns_domain.clone(),
        }
    }
}

/// The gateway's own part for a key.
pub(super) fn gateway(
    snapshot: &Snapshot,
    cache: &TranslationCache,
    key: &GatewayKey,
) -> GatewayPart {
    let view = View::new(
        snapshot,
        cache,
        &key.namespace,
        &key.labels,
        &key.dns_domain,
    );
    let policies = WorkloadPolicies::of(snapshot, &key.namespace, &key.labels);
    let mut part = GatewayPart::default();
    let ports = ports::ports(&view, &mut part.diagnostics);
    let rules = rules(&view, &ports, &mut part.diagnostics);
    for port in &ports {
        match port.serves {
            Serves::Http => {
                let table = routes::plain_table(&view, port, &rules);
                let http = http(&view, port, &key.capture, table.name.clone());
                part.routes.push(Arc::new(table));
                let made = listener(port, &key.capture, http);
                part.listeners.push(policies.guard(made));
            }
            Serves::Tcp => {
                let connections = connections(&view, &port.servers, &rules);
                let made = connection_listener(&view, port, &key.capture, &connections);
                part.listeners.extend(made.map(|made| policies.guard(made)));
            }
            Serves::Tls => {
                let (made, tables) = encrypted::listener(&view, port, &key.capture, &rules);
                part.routes.extend(tables.into_iter().map(Arc::new));
                part.listeners.extend(made.map(|made| policies.guard(made)));
            }
        }
    }
    part.secrets = secrets::secrets(&view, &ports);
    part.listeners.sort_by(|a, b| a.name.cmp(&b.name));
    part.routes.sort_by(|a, b| a.name.cmp(&b.name));
    part
}

/// The VirtualServices that name the Gateway of some server, in the order in which they win: private ones, exported ones, public
/// ones, each the oldest first.
fn rules(
    view: &View<'_>,
    ports: &[Port],
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Arc<CompiledRules>> {
    let served = |gateway: &Arc<str>| {
        let mut servers = ports.iter().flat_map(|port| &port.servers);
        servers.any(|server| server.gateway.name == *gateway)
    };
    let mut rules = Vec::new();
    for source in view.snapshot.virtual_services_visible_from(view.namespace) {
        if source.gateways.iter().any(served) {
            let compiled = view.cache.rules(view.snapshot, &source);
            diagnostics.extend(compiled.diagnostics.iter().cloned());
            rules.push(compiled);
        }
    }
    rules
}

fn address(port: &Port, capture: &Capture) -> IpAddr {
    match (port.bind, capture) {
        (Some(bind), _) => bind,
        (None, Capture::Redirect) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        (None, Capture::Loopback { pod, .. }) => *pod,
    }
}

/// The socket of a port, without chains.
fn listening(port: &Port, capture: &Capture) -> Listener {
    let address = address(port, capture);
    Listener::new(
        listener_name(address, port.target),
        SocketAddr::new(address, port.target),
        Direction::Outbound,
    )
}

fn listener(port: &Port, capture: &Capture, network: Network) -> Listener {
    Listener {
        chains: vec![FilterChain::new("", ChainMatch::default(), network)],
        ..listening(port, capture)
    }
}

/// The listener of connections whose requests are not routed; none where no rule sends any somewhere.
fn connection_listener(
    view: &View<'_>,
    port: &Port,
    capture: &Capture,
    connections: &Connections,
) -> Option<Listener> {
    let settings = &view.http_server;
    let all = connections.other.clone();
    let all = all.map(|proxy| settings.tcp(Direction::Outbound, proxy));
    if connections.chains.is_empty() {
        return Some(listener(port, capture, all?));
    }
    Some(Listener {
        chains: connections.filter_chains(settings).collect(),
        default_chain: all.map(|all| FilterChain::new("", ChainMatch::default(), all)),
        ..listening(port, capture)
    })
}

fn http(view: &View<'_>, port: &Port, capture: &Capture, routes: Arc<str>) -> Network {
    let listener = listener_name(address(port, capture), port.target);
    let routes = Routes::Discovered(routes);
    let manager = view
        .http_server
        .manager(ServerRole::Gateway, &listener, routes);
    Network::Http(manager)
}

/// Where the rules of servers without TLS send connections.
fn connections(
    view: &View<'_>,
    servers: &[BoundServer],
    rules: &[Arc<CompiledRules>],
) -> Connections {
    let mut found = Connections::default();
    for server in servers {
        let client = server.client_context(view);
        for compiled in rules.iter().filter(|compiled| server.is_for(compiled)) {
            let served = compiled.connections(&client, false);
            found.add_rules(view, served, (server.number, false));
        }
    }
    found
}
