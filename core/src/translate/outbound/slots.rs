//! Which listener each service port has, and who wins where services contend for one.
//!
//! HTTP ports of all services share one listener per number; TCP ports have one per address. Where HTTP and TCP meet on
//! `0.0.0.0`, the first bytes of a connection decide.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use mesh_ir::TcpProxy;

use super::unit::{ANY, HostUnit, PortUnit};
use crate::snapshot::policy::EffectiveTrafficPolicy;
use crate::snapshot::{MeshService, Protocol, Registry, Resolution, ServicePort};
use crate::translate::connections::{ConnectionChain, Connections};
use crate::translate::naming::{host_port, outbound_cluster};
use crate::translate::rules::CompiledRules;
use crate::translate::view::View;

/// What arrives at an address and port.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot {
    /// Where requests are routed.
    pub(super) http: Option<HttpSlot>,
    /// Where other connections go.
    pub(super) connections: Connections,
    /// Whose are those that no condition tells apart.
    owner: Option<Arc<MeshService>>,
}

/// The route table of a listener.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum HttpSlot {
    /// The table of all services with the port.
    Port,
    /// The table of one service, whose protocol is detected.
    Service(Arc<str>),
}

// === impl Slot ===

impl Slot {
    /// The slot of an address for which services contend in this order; `http` is whether there are HTTP ports of the number.
    /// Nothing if nobody listens there.
    pub(super) fn of<'a>(
        address: IpAddr,
        http: bool,
        claimants: impl Iterator<Item = (&'a HostUnit, &'a PortUnit)>,
    ) -> Option<Self> {
        let mut slot = Self {
            http: (http && address == ANY).then_some(HttpSlot::Port),
            ..Self::default()
        };
        for (unit, port) in claimants {
            let Some((service, _)) = &unit.service else {
                continue;
            };
            if port.protocol == Protocol::Detect {
                slot.add_http(address, service, port.port);
            }
            if !has_connections(address, service) {
                continue;
            }
            let Connections { chains, other } = &port.connections;
            for chain in chains {
                slot.connections.add(chain.clone());
            }
            if slot.connections.other.is_none() && other.is_some() {
                slot.connections.other.clone_from(other);
                slot.owner = Some(service.clone());
            }
        }
        slot.keep_server_first_apart();
        (slot.http.is_some() || !slot.connections.is_empty()).then_some(slot)
    }

    fn add_http(&mut self, address: IpAddr, service: &Arc<MeshService>, port: u16) {
        if address == ANY {
            self.http = Some(HttpSlot::Port);
        } else if self.http.is_none() && self.connections.is_empty() {
            self.http = Some(HttpSlot::Service(host_port(&service.host, port)));
        }
    }

    /// Servers that speak first would never be reached through a listener that waits for the client's first bytes.
    fn keep_server_first_apart(&mut self) {
        let Some(service) = &self.owner else {
            return;
        };
        let server_first = service.ports.iter().any(|port| {
            let name = port.name.split('-').next().unwrap_or_default();
            port.protocol == Protocol::Tcp && matches!(name, "mysql" | "mongo")
        });
        if server_first && self.http == Some(HttpSlot::Port) {
            self.connections.other = None;
            self.owner = None;
        }
    }
}

/// Whether connections to an address can be meant for a service: a Service without addresses is only known by the host of a
/// request.
pub(super) fn has_connections(address: IpAddr, service: &MeshService) -> bool {
    address != ANY || service.registry == Registry::ServiceEntry
}

/// Where a port listens: HTTP everywhere; others at the service's addresses, or those of a headless service's instances, or
/// everywhere when a ServiceEntry has none. A Service that has no address yet is reached by requests only.
pub(super) fn addresses(view: &View<'_>, service: &MeshService, port: &ServicePort) -> Vec<IpAddr> {
    if port.protocol.is_http() {
        return vec![ANY];
    }
    let own = view.addresses(service);
    if !own.is_empty() {
        return own.to_vec();
    }
    if service.registry == Registry::ServiceEntry {
        return vec![ANY];
    }
    if service.resolution == Resolution::Passthrough {
        let instances = view.snapshot.instances(service, port).iter();
        let mut addresses: Vec<IpAddr> = instances.map(|instance| instance.address).collect();
        addresses.dedup();
        return addresses;
    }
    match port.protocol {
        Protocol::Detect => vec![ANY],
        _ => Vec::new(),
    }
}

/// Where the connections to a port go. Those of TLS to a host without addresses are told apart by its name.
pub(super) fn connections(
    view: &View<'_>,
    rules: Option<&CompiledRules>,
    service: &MeshService,
    port: &ServicePort,
) -> Connections {
    let is_tls = matches!(port.protocol, Protocol::Tls | Protocol::Https);
    let client = view.client_context(port.port);
    let rules = rules.into_iter();
    let rules = rules.flat_map(|rules| rules.connections(&client, is_tls));
    let mut found = Connections::default();
    found.add_rules(view, rules, (port.port, is_tls));
    let own = || TcpProxy::to(outbound_cluster(port.port, "", &service.host));
    if is_tls && found.is_empty() && addresses(view, service, port).contains(&ANY) {
        let aliases = service.aliases.iter();
        let visible = aliases.filter(|alias| alias.visibility.sees(view.namespace));
        let names = visible.map(|alias| &alias.host).chain([&service.host]);
        found.add(ConnectionChain {
            is_tls,
            server_names: names.filter(|name| &***name != "*").cloned().collect(),
            networks: BTreeSet::new(),
            proxy: own(),
        });
    } else if found.other.is_none() && (!is_tls || found.is_empty()) {
        found.other = Some(own());
    }
    let destination_rule = view.destination_rule(service);
    let policy = destination_rule
        .as_ref()
        .and_then(|rule| rule.traffic_policy.as_ref());
    let pool = EffectiveTrafficPolicy::effective(policy, None, port.port).connection_pool;
    let idle_timeout = pool
        .and_then(|pool| pool.tcp.as_ref()?.idle_timeout)
        .map(|text| text.0)
        .filter(|timeout| !timeout.is_zero());
    let chains = found.chains.iter_mut().map(|chain| &mut chain.proxy);
    for proxy in chains.chain(&mut found.other) {
        proxy.idle_timeout = idle_timeout;
        // Statistics are those of the service, wherever its connections go.
        proxy.stat_prefix = outbound_cluster(port.port, "", &service.host);
    }
    found
}
