//! Which listener each service port has, and who wins where services contend for one.
//!
//! HTTP ports of all services share one listener per number; TCP ports have one per address. Where HTTP and TCP meet on
//! `0.0.0.0`, the first bytes of a connection decide.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use mesh_ir::TcpProxy;

use crate::diag::{Diagnostic, FieldPath};
use crate::snapshot::policy::EffectiveTrafficPolicy;
use crate::snapshot::{MeshService, Protocol, Registry, Resolution, ServicePort, report};
use crate::translate::naming::{host_port, outbound_cluster};
use crate::translate::view::{MeshRules, View};

/// Listeners by address and port.
pub(super) type Slots = BTreeMap<(IpAddr, u16), Slot>;

/// What arrives at an address and port.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot {
    /// Where requests are routed.
    pub(super) http: Option<HttpSlot>,
    /// Where other connections go.
    pub(super) tcp: Option<(TcpProxy, Arc<MeshService>)>,
}

/// The route table of a listener.
#[derive(Clone, Debug)]
pub(super) enum HttpSlot {
    /// The table of all services with the port.
    Port,
    /// The table of one service, whose protocol is detected.
    Service(Arc<str>, Arc<MeshService>, ServicePort),
}

const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// All listeners of a view. Services contend in the order of their age.
pub(super) fn slots(view: &View<'_>, rules: &MeshRules) -> (Slots, Vec<Diagnostic>) {
    let mut services: Vec<&Arc<MeshService>> = view.services.iter().collect();
    services.sort_by(|a, b| {
        (a.created, &a.name, &a.namespace, &a.host).cmp(&(
            b.created,
            &b.name,
            &b.namespace,
            &b.host,
        ))
    });
    let mut slots = Slots::new();
    let mut diagnostics = Vec::new();
    for service in services {
        for port in &service.ports {
            let addresses = addresses(view, service, port);
            if addresses.contains(&ANY) && matches!(port.protocol, Protocol::Tls | Protocol::Https)
            {
                diagnostics.extend(needs_server_name(view, service, port));
                continue;
            }
            for address in addresses {
                let slot = slots.entry((address, port.port)).or_default();
                if port.protocol.is_http() || port.protocol == Protocol::Detect {
                    slot.add_http(address, service, port);
                }
                if port.protocol.is_http() || !has_connections(address, service) {
                    continue;
                }
                match &slot.tcp {
                    None => {
                        slot.tcp = Some((tcp_proxy(view, rules, service, port), service.clone()))
                    }
                    Some((_, winner)) => {
                        let known = view.snapshot.get(&service.object);
                        diagnostics.extend(known.map(|resource| {
                            let message = format!(
                                "port {} at {address} is taken by {}; connections to {} do not reach it there",
                                port.port, winner.host, service.host
                            );
                            report::conflict(resource, FieldPath::parse("spec.ports"), message)
                        }));
                    }
                }
            }
        }
    }
    keep_server_first_apart(&mut slots);
    (slots, diagnostics)
}

// === impl Slot ===

impl Slot {
    fn add_http(&mut self, address: IpAddr, service: &Arc<MeshService>, port: &ServicePort) {
        if address == ANY {
            self.http = Some(HttpSlot::Port);
        } else if self.http.is_none() && self.tcp.is_none() {
            let name = host_port(&service.host, port.port);
            self.http = Some(HttpSlot::Service(name, service.clone(), port.clone()));
        }
    }
}

/// TLS to hosts without addresses can only be told apart by the server's name. Sending all of it to one host would be wrong, so
/// that it goes where unknown traffic goes.
fn needs_server_name(
    view: &View<'_>,
    service: &MeshService,
    port: &ServicePort,
) -> Option<Diagnostic> {
    let resource = view.snapshot.get(&service.object)?;
    let message = format!(
        "TLS port {} of host {} needs routing by server name, which is not supported yet; give the host an address",
        port.port, service.host
    );
    let path = FieldPath::parse("spec.ports");
    Some(report::unsupported(resource, path, message))
}

/// Whether connections to an address can be meant for a service: a Service without addresses is only known by the host of a
/// request.
fn has_connections(address: IpAddr, service: &MeshService) -> bool {
    address != ANY || service.registry == Registry::ServiceEntry
}

/// Where a port listens: HTTP everywhere; others at the service's addresses, or those of a headless service's instances, or
/// everywhere when a ServiceEntry has none. A Service that has no address yet is reached by requests only.
fn addresses(view: &View<'_>, service: &MeshService, port: &ServicePort) -> Vec<IpAddr> {
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
        let mut addresses: Vec<IpAddr> = view
            .snapshot
            .instances(service, port)
            .iter()
            .map(|instance| instance.address)
            .collect();
        addresses.dedup();
        return addresses;
    }
    match port.protocol {
        Protocol::Detect => vec![ANY],
        _ => Vec::new(),
    }
}

fn tcp_proxy(
    view: &View<'_>,
    rules: &MeshRules,
    service: &MeshService,
    port: &ServicePort,
) -> TcpProxy {
    let cluster = outbound_cluster(port.port, "", &service.host);
    let rule = rules
        .by_host
        .find(&service.host)
        .and_then(|rules| rules.tcp(&view.client_context(port.port)));
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

/// Servers that speak first would never be reached through a listener that waits for the client's first bytes.
fn keep_server_first_apart(slots: &mut Slots) {
    for slot in slots.values_mut() {
        let Some((_, service)) = &slot.tcp else {
            continue;
        };
        let server_first = service.ports.iter().any(|port| {
            let name = port.name.split('-').next().unwrap_or_default();
            port.protocol == Protocol::Tcp && matches!(name, "mysql" | "mongo")
        });
        if server_first && matches!(slot.http, Some(HttpSlot::Port)) {
            slot.tcp = None;
        }
    }
}
