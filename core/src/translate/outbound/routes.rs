//! Virtual hosts of sidecars: one for each service port whose requests are routed, and one for each host that only a VirtualService
//! knows. They lie in one route table per port, and those of ports whose protocol is detected in tables of their own.

use std::sync::Arc;

use mesh_ir::{Forward, Route, RouteAction, RouteConfig, RouteMatch, Target, VirtualHost};

use super::fixed::unknown_host as unknown_hosts;
use crate::snapshot::{MeshService, Resolution, ServicePort, is_wildcard};
use crate::translate::naming::{alias_forms, host_forms, host_port, outbound_cluster};
use crate::translate::rules::CompiledRules;
use crate::translate::view::View;

/// The route table of a port without its virtual hosts, which are resources of their own.
pub(super) fn of_port(port: u16) -> RouteConfig {
    RouteConfig {
        name: port.to_string().into(),
        virtual_hosts: Vec::new(),
        discovers_virtual_hosts: true,
        ignore_port_in_host: true,
    }
}

/// The route table of one service port, whose virtual host takes any domain.
pub(super) fn of_service(all: &VirtualHost) -> RouteConfig {
    RouteConfig {
        name: all.name.clone(),
        virtual_hosts: vec![Arc::new(VirtualHost {
            name: all.name.clone(),
            domains: vec!["*".into()],
            routes: all.routes.clone(),
        })],
        discovers_virtual_hosts: false,
        ignore_port_in_host: true,
    }
}

/// The virtual host of hosts that no other one in the table of a port takes.
pub(super) fn fallback(view: &View<'_>) -> VirtualHost {
    unknown_hosts(view.snapshot.mesh().outbound_mode())
}

/// The virtual host of a service port, with all domains that it may have.
pub(super) fn virtual_host(
    view: &View<'_>,
    rules: Option<&CompiledRules>,
    service: &Arc<MeshService>,
    port: &ServicePort,
) -> VirtualHost {
    VirtualHost {
        name: host_port(&service.host, port.port),
        domains: domains(view, service),
        routes: rules
            .map(|compiled| resolved(view, compiled, port.port))
            .filter(|routes| !routes.is_empty())
            .unwrap_or_else(|| vec![default_route(view, service, port)]),
    }
}

/// The virtual host of a host that only a VirtualService knows; nothing if no rule is for these clients.
pub(super) fn unknown_host(
    view: &View<'_>,
    rules: &CompiledRules,
    host: &Arc<str>,
    port: u16,
) -> Option<VirtualHost> {
    let routes = resolved(view, rules, port);
    (!routes.is_empty()).then(|| VirtualHost {
        name: host_port(host, port),
        domains: vec![host.clone()],
        routes,
    })
}

fn resolved(view: &View<'_>, compiled: &CompiledRules, port: u16) -> Vec<Route> {
    compiled
        .routes(&view.client_context(port))
        .into_iter()
        .map(|route| route.resolve(view, port))
        .collect()
}

fn default_route(view: &View<'_>, service: &MeshService, port: &ServicePort) -> Route {
    let target = Target::Cluster(outbound_cluster(port.port, "", &service.host));
    let forward = Forward {
        retry: view.default_retry.clone(),
        hash: view
            .hash_for_service(service, port.port)
            .into_iter()
            .collect(),
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
    let aliases = service.aliases.iter();
    let visible = aliases.filter(|alias| alias.visibility.sees(view.namespace));
    domains.extend(visible.flat_map(|alias| alias_forms(alias, view.namespace)));
    domains.extend(view.addresses(service).iter().map(|address| match address {
        std::net::IpAddr::V4(address) => address.to_string().into(),
        std::net::IpAddr::V6(address) => format!("[{address}]").into(),
    }));
    domains
}
