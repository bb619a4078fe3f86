//! Which listener each service port has, and who wins where services contend for one.
//!
//! HTTP ports of all services share one listener per number; TCP ports have one per address. Where HTTP and TCP meet on
//! `0.0.0.0`, the first bytes of a connection decide.

use std::net::IpAddr;
use std::sync::Arc;

use mesh_ir::TcpProxy;

use super::unit::{ANY, HostUnit, PortUnit};
use crate::snapshot::policy::EffectiveTrafficPolicy;
use crate::snapshot::{MeshService, Protocol, Registry, Resolution, ServicePort, Snapshot};
use crate::translate::naming::{host_port, outbound_cluster};
use crate::translate::rules::CompiledRules;
use crate::translate::view::View;

/// What arrives at an address and port.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot {
    /// Where requests are routed.
    pub(super) http: Option<HttpSlot>,
    /// Where other connections go.
    pub(super) tcp: Option<(TcpProxy, Arc<MeshService>)>,
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
            tcp: None,
        };
        for (unit, port) in claimants {
            let Some((service, _)) = &unit.service else {
                continue;
            };
            if port.protocol == Protocol::Detect {
                slot.add_http(address, service, port.port);
            }
            if slot.tcp.is_none()
                && has_connections(address, service)
                && let Some(tcp) = &port.tcp
            {
                slot.tcp = Some((tcp.clone(), service.clone()));
            }
        }
        slot.keep_server_first_apart();
        (slot.http.is_some() || slot.tcp.is_some()).then_some(slot)
    }

    fn add_http(&mut self, address: IpAddr, service: &Arc<MeshService>, port: u16) {
        if address == ANY {
            self.http = Some(HttpSlot::Port);
        } else if self.http.is_none() && self.tcp.is_none() {
            self.http = Some(HttpSlot::Service(host_port(&service.host, port)));
        }
    }

    /// Servers that speak first would never be reached through a listener that waits for the client's first bytes.
    fn keep_server_first_apart(&mut self) {
        let Some((_, service)) = &self.tcp else {
            return;
        };
        let server_first = service.ports.iter().any(|port| {
            let name = port.name.split('-').next().unwrap_or_default();
            port.protocol == Protocol::Tcp && matches!(name, "mysql" | "mongo")
        });
        if server_first && self.http == Some(HttpSlot::Port) {
            self.tcp = None;
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
pub(super) fn addresses(
    snapshot: &Snapshot,
    service: &MeshService,
    port: &ServicePort,
) -> Vec<IpAddr> {
    if port.protocol.is_http() {
        return vec![ANY];
    }
    if !service.addresses.is_empty() {
        return service.addresses.clone();
    }
    if service.registry == Registry::ServiceEntry {
        return vec![ANY];
    }
    if service.resolution == Resolution::Passthrough {
        let instances = snapshot.instances(service, port).iter();
        let mut addresses: Vec<IpAddr> = instances.map(|instance| instance.address).collect();
        addresses.dedup();
        return addresses;
    }
    match port.protocol {
        Protocol::Detect => vec![ANY],
        _ => Vec::new(),
    }
}

pub(super) fn tcp_proxy(
    view: &View<'_>,
    rules: Option<&CompiledRules>,
    service: &MeshService,
    port: &ServicePort,
) -> TcpProxy {
    let cluster = outbound_cluster(port.port, "", &service.host);
    let rule = rules.and_then(|rules| rules.tcp(&view.client_context(port.port)));
    let clusters = match rule {
        None => vec![(cluster.clone(), 1)],
        Some(rule) => rule
            .destinations
            .iter()
            .map(|(destination, weight)| (view.cluster(destination, port.port), *weight))
            .collect(),
    };
    let destination_rule = view.destination_rule(service);
    let policy = destination_rule
        .as_ref()
        .and_then(|rule| rule.traffic_policy.as_ref());
    let pool = EffectiveTrafficPolicy::effective(policy, None, port.port).connection_pool;
    TcpProxy {
        clusters,
        idle_timeout: pool
            .and_then(|pool| pool.tcp.as_ref()?.idle_timeout)
            .map(|text| text.0)
            .filter(|timeout| !timeout.is_zero()),
        access_log: view.http_server.access_log.clone(),
        ..TcpProxy::to(cluster)
    }
}
