//! Outbound listeners. They lend their chains to `virtualOutbound` and bind nothing.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use mesh_ir::{ChainMatch, Direction, FilterChain, Inspect, Listener, Network, Routes, Transport};

use super::fixed::unknown_destination;
use super::slots::{HttpSlot, Slot};
use crate::translate::http_server::ServerRole;
use crate::translate::naming::listener_name;
use crate::translate::view::View;

/// Requests are routed, other connections go to the TCP service of the slot. Without one, a listener of HTTP services lets them
/// pass as if it were not there: it only knows that some services speak HTTP on the port.
pub(super) fn listener(view: &View<'_>, address: IpAddr, port: u16, slot: &Slot) -> Listener {
    let name = listener_name(address, port);
    let tcp = slot.connections.other.as_ref().map(|proxy| {
        FilterChain::new(
            proxy.stat_prefix.clone(),
            ChainMatch::default(),
            view.http_server.tcp(Direction::Outbound, proxy.clone()),
        )
    });
    let http = slot.http.as_ref().map(|http| {
        let routes = match http {
            HttpSlot::Port => port.to_string().into(),
            HttpSlot::Service(routes) => routes.clone(),
        };
        http_chain(view, &name, routes)
    });
    let detect_http = http.is_some();
    let detect_tls = slot.connections.looks_at_tls();
    let mut chains: Vec<FilterChain> = slot.connections.filter_chains(&view.http_server).collect();
    chains.extend(http.map(|mut http| {
        // Clients offer HTTP inside of TLS as well.
        http.matcher.transport = detect_tls.then_some(Transport::Plaintext);
        http
    }));
    let default_chain = match tcp {
        Some(tcp) if chains.is_empty() => {
            chains.push(tcp);
            None
        }
        Some(tcp) => Some(tcp),
        None => {
            let mode = view.snapshot.mesh().outbound_mode();
            Some(unknown_destination(mode, &view.http_server))
        }
    };
    Listener {
        bind: false,
        inspect: Inspect {
            http: detect_http,
            tls: detect_tls,
            ..Inspect::default()
        },
        chains,
        default_chain,
        ..Listener::new(name, SocketAddr::new(address, port), Direction::Outbound)
    }
}

fn http_chain(view: &View<'_>, listener: &str, routes: Arc<str>) -> FilterChain {
    let manager = view.http_server.manager(
        ServerRole::Outbound,
        listener,
        Routes::Discovered(routes.clone()),
    );
    FilterChain::new(routes, ChainMatch::detected_http(), Network::Http(manager))
}
