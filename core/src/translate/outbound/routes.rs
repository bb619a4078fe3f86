//! Route tables of sidecars: one per port with a virtual host for each service that has the port, and one per service port whose
//! protocol is detected.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mesh_ir::{Forward, Route, RouteAction, RouteConfig, RouteMatch, Target, VirtualHost};
use rustc_hash::FxHashSet;

use super::conflicts::{HttpSlot, Slots};
use super::fixed::unknown_host;
use crate::snapshot::{MeshService, Protocol, Resolution, ServicePort, is_wildcard};
use crate::translate::cache::{DomainForms, VirtualHostKey};
use crate::translate::naming::{host_forms, host_port, outbound_cluster};
use crate::translate::rules::CompiledRules;
use crate::translate::view::{MeshRules, View};

/// Port on which hosts are routed that only a VirtualService knows.
const UNKNOWN_HOSTS_PORT: u16 = 80;

/// The route tables that the listeners name, sorted by name.
pub(super) fn routes(view: &View<'_>, rules: &MeshRules, slots: &Slots) -> Vec<Arc<RouteConfig>> {
    let mut services = services_by_port(view);
    let mut hosts = unknown_hosts(view, rules);
    let mut tables = Vec::new();
    for ((_, port), slot) in slots {
        let table = match &slot.http {
            None => continue,
            Some(HttpSlot::Port) => port_table(
                view,
                rules,
                *port,
                &services.remove(port).unwrap_or_default(),
                &hosts.remove(port).unwrap_or_default(),
            ),
            Some(HttpSlot::Service(name, service, port)) => RouteConfig {
                name: name.clone(),
                virtual_hosts: vec![virtual_host(view, rules, service, port, true).into()],
                discovers_virtual_hosts: false,
                ignore_port_in_host: true,
            },
        };
        tables.push(Arc::new(table));
    }
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    tables.dedup_by(|a, b| a.name == b.name);
    tables
}

type ServicePorts<'a> = Vec<(&'a Arc<MeshService>, &'a ServicePort)>;

fn services_by_port<'a>(view: &'a View<'_>) -> BTreeMap<u16, ServicePorts<'a>> {
    let mut by_port: BTreeMap<u16, ServicePorts<'a>> = BTreeMap::new();
    for service in &view.services {
        for port in &service.ports {
            if port.protocol.is_http() || port.protocol == Protocol::Detect {
                by_port.entry(port.port).or_default().push((service, port));
            }
        }
    }
    by_port
}

type UnknownHosts<'a> = Vec<(&'a Arc<str>, &'a Arc<CompiledRules>)>;

/// Hosts that only VirtualServices know, by port: the ports of the services that the same object routes, or else port 80.
fn unknown_hosts<'a>(view: &View<'_>, rules: &'a MeshRules) -> BTreeMap<u16, UnknownHosts<'a>> {
    let mut hosts: BTreeMap<u16, UnknownHosts<'a>> = BTreeMap::new();
    for compiled in &rules.all {
        let mut ports = BTreeSet::new();
        let mut unknown = Vec::new();
        for host in &compiled.source.hosts {
            let covered: Vec<&Arc<MeshService>> = if is_wildcard(host) {
                let covers =
                    |service: &&Arc<MeshService>| crate::snapshot::host_covers(host, &service.host);
                view.services.iter().filter(covers).collect()
            } else {
                let exact = |service: &&Arc<MeshService>| service.host == *host;
                view.service(host).filter(exact).into_iter().collect()
            };
            let wins = rules
                .by_host
                .get(host)
                .is_some_and(|winner| Arc::ptr_eq(winner, compiled));
            if covered.is_empty() && wins {
                unknown.push(host);
            }
            let all = covered.iter().flat_map(|service| &service.ports);
            ports.extend(
                all.filter(|port| port.protocol.is_http())
                    .map(|port| port.port),
            );
        }
        if ports.is_empty() {
            ports.insert(UNKNOWN_HOSTS_PORT);
        }
        for port in ports {
            let of_port = unknown.iter().map(|host| (*host, compiled));
            hosts.entry(port).or_default().extend(of_port);
        }
    }
    hosts
}

fn port_table(
    view: &View<'_>,
    rules: &MeshRules,
    port: u16,
    services: &ServicePorts<'_>,
    hosts: &UnknownHosts<'_>,
) -> RouteConfig {
    let of_services = services
        .iter()
        .map(|(service, port)| virtual_host(view, rules, service, port, false));
    let of_hosts = hosts.iter().map(|(host, compiled)| VirtualHost {
        name: host_port(host, port),
        domains: vec![(*host).clone()],
        routes: resolved(view, compiled, port),
    });
    let mut virtual_hosts: Vec<VirtualHost> = of_services
        .chain(of_hosts.filter(|host| !host.routes.is_empty()))
        .collect();
    virtual_hosts.sort_by(|a, b| a.name.cmp(&b.name));
    // Domains of exact hosts go before short forms of others, whatever the order of names.
    let names: FxHashSet<Arc<str>> = virtual_hosts
        .iter()
        .filter_map(|host| host.domains.first().cloned())
        .collect();
    let mut taken: FxHashSet<Arc<str>> = FxHashSet::default();
    for host in &mut virtual_hosts {
        let mut first = true;
        host.domains.retain(|domain| {
            let own = std::mem::take(&mut first);
            (own || !names.contains(domain)) && taken.insert(domain.clone())
        });
    }
    virtual_hosts.retain(|host| !host.domains.is_empty());
    if !taken.contains("*") {
        virtual_hosts.push(unknown_host(view.snapshot.mesh().outbound_mode()));
    }
    RouteConfig {
        name: port.to_string().into(),
        virtual_hosts: virtual_hosts.into_iter().map(Arc::new).collect(),
        discovers_virtual_hosts: false,
        ignore_port_in_host: true,
    }
}

/// The virtual host of a service port; `alone` in a table of its own, where the host does not matter.
fn virtual_host(
    view: &View<'_>,
    rules: &MeshRules,
    service: &Arc<MeshService>,
    port: &ServicePort,
    alone: bool,
) -> VirtualHost {
    let compiled = rules.by_host.find(&service.host);
    let make = || VirtualHost {
        name: host_port(&service.host, port.port),
        domains: if alone {
            vec!["*".into()]
        } else {
            domains(view, service)
        },
        routes: compiled
            .map(|compiled| resolved(view, compiled, port.port))
            .filter(|routes| !routes.is_empty())
            .unwrap_or_else(|| vec![default_route(view, service, port)]),
    };
    if compiled.is_some_and(|compiled| !compiled.is_for_all_clients()) {
        return make();
    }
    let forms = match (alone, &*service.namespace == view.namespace) {
        (true, _) => DomainForms::Any,
        (false, true) => DomainForms::OwnNamespace,
        (false, false) => DomainForms::OtherNamespace,
    };
    let key = VirtualHostKey {
        host: service.host.clone(),
        object: service.object.clone(),
        port: port.port,
        domains: forms,
        key: view.key.clone(),
        rules: compiled.map(|compiled| compiled.source.resource.key.clone()),
    };
    (*view.cache.virtual_host(key, make)).clone()
}

fn resolved(view: &View<'_>, compiled: &CompiledRules, port: u16) -> Vec<Route> {
    compiled
        .routes(&view.client_context(port))
        .into_iter()
        .map(|route| route.resolve(port, |destination| view.cluster(destination, port)))
        .collect()
}

fn default_route(view: &View<'_>, service: &MeshService, port: &ServicePort) -> Route {
    let target = Target::Cluster(outbound_cluster(port.port, "", &service.host));
    let forward = Forward {
        retry: view.default_retry.clone(),
        ..Forward::to(target)
    };
    Route {
        name: "default".into(),
        ..Route::new(RouteMatch::everything(), RouteAction::Forward(forward))
    }
}

fn domains(view: &View<'_>, service: &MeshService) -> Vec<Arc<str>> {
    let mut domains = host_forms(service, view.namespace, view.domain);
    let headless = service.resolution == Resolution::Passthrough && service.addresses.is_empty();
    if headless && !is_wildcard(&service.host) && domains.len() > 1 {
        // Pods of stateful sets are named below their service.
        let below: Vec<Arc<str>> = domains
            .iter()
            .map(|domain| format!("*.{domain}").into())
            .collect();
        domains.extend(below);
    }
    domains.extend(service.addresses.iter().map(|address| match address {
        std::net::IpAddr::V4(address) => address.to_string().into(),
        std::net::IpAddr::V6(address) => format!("[{address}]").into(),
    }));
    domains
}
