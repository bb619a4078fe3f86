//! The listener of a port of TLS: a chain for each server that ends it, and for each rule by which connections are passed on as they are.

use std::collections::BTreeSet;
use std::sync::Arc;

use mesh_ir::{
    Capture, ChainMatch, Direction, FilterChain, Inspect, Listener, Network, RouteConfig, Transport,
};

use super::ports::{BoundServer, Encryption, Port};
use super::tls::Termination;
use super::{connections, http, listening, routes};
use crate::translate::connections::Connections;
use crate::translate::mesh_tls::Carries;
use crate::translate::rules::CompiledRules;
use crate::translate::view::View;

/// The listener of a port, and the route tables of its servers; none where no rule sends any connection somewhere.
pub(super) fn listener(
    view: &View<'_>,
    port: &Port,
    capture: &Capture,
    rules: &[Arc<CompiledRules>],
) -> (Option<Listener>, Vec<RouteConfig>) {
    let settings = &view.http_server;
    let mut chains = Vec::new();
    let mut tables = Vec::new();
    for server in &port.servers {
        match &server.encryption {
            Encryption::Ended(termination, Carries::Http) => {
                let table = routes::encrypted_table(view, port, server, rules);
                let network = http(view, port, capture, table.name.clone());
                tables.push(table);
                chains.push(ended(server, termination, ChainMatch::default(), network));
            }
            Encryption::Ended(termination, Carries::Tcp) => {
                let found = connections(view, std::slice::from_ref(server), rules);
                let other = found.other.clone();
                let other = other.map(|proxy| settings.tcp(Direction::Outbound, proxy));
                let other = other.map(|other| FilterChain::new("", ChainMatch::default(), other));
                for chain in found.filter_chains(settings).chain(other) {
                    chains.push(ended(server, termination, chain.matcher, chain.network));
                }
            }
            Encryption::Passthrough | Encryption::None => {}
        }
    }
    chains.extend(passed_on(view, port, rules).filter_chains(settings));
    let chains = without_repetitions(chains);
    let made = (!chains.is_empty()).then(|| Listener {
        chains,
        inspect: Inspect {
            tls: true,
            ..Inspect::default()
        },
        ..listening(port, capture)
    });
    (made, tables)
}

/// The chain of a server that ends TLS.
fn ended(
    server: &BoundServer,
    termination: &Termination,
    matcher: ChainMatch,
    network: Network,
) -> FilterChain {
    let matcher = ChainMatch {
        transport: Some(Transport::Tls),
        server_names: server.server_names(),
        ..matcher
    };
    FilterChain {
        tls: Some(termination.tls.clone()),
        ..FilterChain::new("", matcher, network)
    }
}

/// Where rules send connections by the name that clients ask for, as they are.
fn passed_on(view: &View<'_>, port: &Port, rules: &[Arc<CompiledRules>]) -> Connections {
    let mut found = Connections::default();
    let passing = |server: &&BoundServer| matches!(server.encryption, Encryption::Passthrough);
    for server in port.servers.iter().filter(passing) {
        let client = server.client_context(view);
        for compiled in rules.iter().filter(|compiled| server.is_for(compiled)) {
            let namespace = &compiled.source.resource.key.namespace;
            let served = compiled.connections(&client, true).filter_map(|rule| {
                let mut rule = rule.clone();
                rule.server_names = match rule.server_names.is_empty() {
                    true => server.names_of(&["*".into()].into(), namespace),
                    false => server.names_of(&rule.server_names, namespace),
                };
                if rule.server_names.is_empty() {
                    return None;
                }
                if rule.server_names.contains("*") {
                    rule.server_names.clear();
                }
                Some(rule)
            });
            let served: Vec<_> = served.collect();
            found.add_rules(view, served.iter(), (server.number, true));
        }
    }
    found
}

/// Chains without the names that an earlier one has for the same networks: Envoy refuses a listener with two for the same connections.
fn without_repetitions(chains: Vec<FilterChain>) -> Vec<FilterChain> {
    let mut kept: Vec<FilterChain> = Vec::new();
    for mut chain in chains {
        let earlier = |known: &&FilterChain| {
            known.matcher.destination_prefixes == chain.matcher.destination_prefixes
        };
        let earlier: Vec<&FilterChain> = kept.iter().filter(earlier).collect();
        let for_any = chain.matcher.server_names.is_empty();
        let taken: BTreeSet<&Arc<str>> = earlier
            .iter()
            .flat_map(|known| &known.matcher.server_names)
            .collect();
        let is_taken = for_any
            && earlier
                .iter()
                .any(|known| known.matcher.server_names.is_empty());
        let left: BTreeSet<Arc<str>> = chain
            .matcher
            .server_names
            .iter()
            .filter(|name| !taken.contains(name))
            .cloned()
            .collect();
        if is_taken || !for_any && left.is_empty() {
            continue;
        }
        chain.matcher.server_names = left;
        kept.push(chain);
    }
    kept
}
