//! Outbound listeners. They lend their chains to `virtualOutbound` and bind nothing.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use mesh_ir::{
    ChainMatch, Direction, FilterChain, HttpConnectionManager, Listener, Network, Routes,
};

use super::conflicts::{HttpSlot, Slot, Slots};
use super::fixed::unknown_destination;
use crate::translate::naming::listener_name;
use crate::translate::view::View;

/// The listeners, sorted by name.
pub(super) fn listeners(view: &View<'_>, slots: &Slots) -> Vec<Arc<Listener>> {
    let mut listeners: Vec<Arc<Listener>> = slots
        .iter()
        .map(|((address, port), slot)| Arc::new(listener(view, *address, *port, slot)))
        .collect();
    listeners.sort_by(|a, b| a.name.cmp(&b.name));
    listeners
}

/// Requests are routed, other connections go to the TCP service of the slot. Without one, a listener of HTTP services lets them
/// pass as if it were not there: it only knows that some services speak HTTP on the port.
fn listener(view: &View<'_>, address: IpAddr, port: u16, slot: &Slot) -> Listener {
    let name = listener_name(address, port);
    let tcp = slot.tcp.as_ref().map(|(proxy, _)| FilterChain {
        name: proxy.stat_prefix.clone(),
        matcher: ChainMatch::default(),
        network: Network::Tcp(proxy.clone()),
    });
    let http = slot.http.as_ref().map(|http| {
        let routes = match http {
            HttpSlot::Port => port.to_string().into(),
            HttpSlot::Service(routes, _, _) => routes.clone(),
        };
        http_chain(view, &name, routes)
    });
    let detect_http = http.is_some();
    let (chains, default_chain) = match (http, tcp) {
        (Some(http), Some(tcp)) => (vec![http], Some(tcp)),
        (Some(http), None) => {
            let mode = view.snapshot.mesh().outbound_mode();
            let other = unknown_destination(mode, view.access_log.as_ref());
            (vec![http], Some(other))
        }
        (None, tcp) => (tcp.into_iter().collect(), None),
    };
    Listener {
        name,
        address: SocketAddr::new(address, port),
        bind: false,
        use_original_destination: false,
        detect_http,
        direction: Direction::Outbound,
        chains,
        default_chain,
    }
}

fn http_chain(view: &View<'_>, listener: &str, routes: Arc<str>) -> FilterChain {
    FilterChain {
        name: routes.clone(),
        matcher: ChainMatch {
            destination_port: None,
            application_protocols: ["h2c".into(), "http/1.1".into()].into(),
        },
        network: Network::Http(HttpConnectionManager {
            stat_prefix: format!("outbound_{listener}").into(),
            routes: Routes::Discovered(routes),
            direction: Direction::Outbound,
            use_remote_address: false,
            websocket: true,
            idle_timeout: None,
            access_log: view.access_log.clone(),
        }),
    }
}
