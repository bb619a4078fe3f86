//! `/listeners`: names and addresses.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{Ask, Page, State};

pub(super) fn page(state: &State, ask: &Ask) -> Page {
    let config = state.known.look(|known| known.config.clone());
    let listeners = config.listeners.iter();
    if ask.query.get("format") == Some("json") {
        let statuses: Vec<Value> = listeners
            .map(|listener| {
                json!({ "name": &*listener.name, "local_address": address(listener.address) })
            })
            .collect();
        return Page::json(&json!({ "listener_statuses": statuses }));
    }
    let lines = listeners.map(|listener| format!("{}::{}\n", listener.name, listener.address));
    Page::text(lines.collect::<String>())
}

/// An address in Envoy's JSON.
pub(super) fn address(address: SocketAddr) -> Value {
    json!({
        "socket_address": {
            "address": address.ip().to_string(),
            "port_value": address.port(),
        }
    })
}
