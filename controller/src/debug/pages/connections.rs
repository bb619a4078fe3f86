//! `adsz` and `connections`: the open streams, in Istio's keys.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use mesh_xds::json::struct_json;
use mesh_xds::node::keys;
use serde_json::{Value, json};

use crate::ads::Connection;
use crate::debug::Debug;

/// Every stream with its node and the types that it has asked for.
pub fn adsz(debug: &Debug) -> Value {
    clients(debug, |connection| {
        let node = &connection.node;
        let watches: BTreeMap<&str, [&str; 0]> = connection
            .progress()
            .types
            .keys()
            .map(|kind| (kind.type_url(), []))
            .collect();
        let mut client = short(connection);
        let metadata = struct_json(node.metadata.clone());
        client["labels"] = metadata[keys::LABELS].clone();
        client["metadata"] = metadata;
        client["watches"] = json!(watches);
        if let Some(locality) = &node.locality {
            client["locality"] = json!({"region": locality.region, "zone": locality.zone, "sub_zone": locality.subzone});
        }
        client
    })
}

/// Every stream, in short.
pub fn connections(debug: &Debug) -> Value {
    clients(debug, short)
}

fn clients(debug: &Debug, show: impl Fn(&Connection) -> Value) -> Value {
    let open = debug.connections.open();
    let clients: Vec<Value> = open.iter().map(|connection| show(connection)).collect();
    json!({ "totalClients": clients.len(), "clients": clients })
}

fn short(connection: &Connection) -> Value {
    let address = connection.node.address.map(|address| address.to_string());
    json!({
        "connectionId": format!("{}-{}", connection.proxy(), connection.id),
        "connectedAt": Timestamp::try_from(connection.since).ok().map(|at| at.to_string()),
        "address": address.unwrap_or_default(),
    })
}
