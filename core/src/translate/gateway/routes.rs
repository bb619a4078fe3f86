//! Route tables of gateways. On one port the routes of all VirtualServices with the same host are joined, those of the
//! first candidate first (private objects, then exported, then public ones, each the oldest first); routes that take every request go last.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_ir::{DirectResponse, Redirect, Route, RouteAction, RouteConfig, RouteMatch, VirtualHost};

use super::ports::{BoundServer, Port};
use crate::translate::naming::host_port;
use crate::translate::rules::CompiledRules;
use crate::translate::view::View;

/// Routes of one host while they are joined.
#[derive(Default)]
struct Host {
    specific: Vec<Route>,
    catch_all: Vec<Route>,
    https_redirect: bool,
}

/// The route table of a port whose requests are in plain text.
pub(super) fn plain_table(
    view: &View<'_>,
    port: &Port,
    rules: &[Arc<CompiledRules>],
) -> RouteConfig {
    // Servers that bind an address have a table of their own.
    let name = match port.bind {
        None => format!("http.{}", port.target),
        Some(bind) => format!("http.{}.{bind}", port.target),
    };
    let number = port
        .servers
        .first()
        .map_or(port.target, |server| server.number);
    table(view, name, number, &port.servers, rules)
}

/// The route table of a server that ends TLS.
pub(super) fn encrypted_table(
    view: &View<'_>,
    port: &Port,
    server: &BoundServer,
    rules: &[Arc<CompiledRules>],
) -> RouteConfig {
    let key = &server.gateway.resource.key;
    let (number, port_name) = (server.number, &server.port_name);
    let mut name = format!("https.{number}.{port_name}.{}.{}", key.name, key.namespace);
    if let Some(bind) = port.bind {
        name = format!("{name}.{bind}");
    }
    table(view, name, number, std::slice::from_ref(server), rules)
}

/// The routes of servers.
fn table(
    view: &View<'_>,
    name: String,
    number: u16,
    servers: &[BoundServer],
    rules: &[Arc<CompiledRules>],
) -> RouteConfig {
    let mut hosts: BTreeMap<Arc<str>, Host> = BTreeMap::new();
    for compiled in rules {
        // Several servers of one port may share hosts; an object's routes are joined once for each Gateway.
        let mut done: Vec<(Arc<str>, Arc<str>)> = Vec::new();
        for server in servers {
            if !server.is_for(compiled) {
                continue;
            }
            let client = server.client_context(view);
            for host in server.hosts_of(compiled) {
                let entry = hosts.entry(host.clone()).or_default();
                entry.https_redirect |= server.https_redirect;
                let key = (server.gateway.name.clone(), host);
                if done.contains(&key) {
                    continue;
                }
                done.push(key);
                for route in compiled.routes(&client) {
                    let resolved = route.resolve(view, server.number);
                    if route.is_catch_all() {
                        entry.catch_all.push(resolved);
                    } else {
                        entry.specific.push(resolved);
                    }
                }
            }
        }
    }
    for server in servers.iter().filter(|server| server.https_redirect) {
        for served in &server.hosts {
            hosts.entry(served.host.clone()).or_default().https_redirect = true;
        }
    }
    let mut virtual_hosts: Vec<VirtualHost> = hosts
        .into_iter()
        .map(|(host, routes)| routes.virtual_host(&host, number))
        .filter(|host| !host.routes.is_empty())
        .collect();
    if virtual_hosts.is_empty() {
        virtual_hosts.push(black_hole(number));
    }
    RouteConfig {
        name: name.into(),
        virtual_hosts: virtual_hosts.into_iter().map(Arc::new).collect(),
        discovers_virtual_hosts: false,
        ignore_port_in_host: true,
    }
}

// === impl Host ===

impl Host {
    fn virtual_host(self, host: &Arc<str>, port: u16) -> VirtualHost {
        let routes = if self.https_redirect {
            vec![route(
                "https-redirect",
                RouteAction::Redirect(Redirect {
                    code: 301,
                    scheme: Some("https".into()),
                    host: None,
                    port: None,
                    path: None,
                }),
            )]
        } else {
            let mut routes = self.specific;
            // Behind a route that takes every request no other one is reached.
            routes.extend(self.catch_all.into_iter().take(1));
            routes
        };
        VirtualHost {
            name: host_port(host, port),
            domains: vec![host.clone()],
            routes,
        }
    }
}

/// Answers every request with 404.
fn black_hole(port: u16) -> VirtualHost {
    VirtualHost {
        name: host_port("blackhole", port),
        domains: vec!["*".into()],
        routes: vec![route(
            "blackhole",
            RouteAction::Direct(DirectResponse {
                code: 404,
                body: "".into(),
            }),
        )],
    }
}

fn route(name: &str, action: RouteAction) -> Route {
    Route {
        name: name.into(),
        ..Route::new(RouteMatch::everything(), action)
    }
}
