//! `/server_info`: version, stage, node.

use mesh_ir::ProxyKind;
use mesh_xds::json::struct_json;
use serde_json::{Value, json};

use super::{Ask, Page, State};

pub(super) fn page(state: &State, _: &Ask) -> Page {
    let bootstrap = &state.bootstrap;
    let node = &bootstrap.node;
    let uptime = format!("{}s", state.started.elapsed().as_secs());
    let mode = match node.kind {
        ProxyKind::Sidecar => "sidecar",
        ProxyKind::Gateway => "router",
    };
    let value = json!({
        "version": version(),
        "state": state.lifecycle.name(),
        "uptime_current_epoch": uptime,
        "uptime_all_epochs": uptime,
        "hot_restart_version": "disabled",
        "command_line_options": {
            "concurrency": bootstrap.workers,
            "service_node": node.id(),
            "service_cluster": node.cluster,
            "drain_time": format!("{}s", bootstrap.drain.as_secs()),
            "mode": mode,
        },
        "node": node_json(state),
    });
    Page::json(&value)
}

/// Name and version of this program.
pub(super) fn version() -> String {
    ["mesh-proxy/", env!("CARGO_PKG_VERSION")].concat()
}

/// The node as the control plane knows it.
pub(super) fn node_json(state: &State) -> Value {
    let node = &state.bootstrap.node;
    json!({
        "id": node.id(),
        "cluster": node.cluster,
        "metadata": struct_json(node.metadata.clone()),
        "user_agent_name": node.user_agent,
        "user_agent_version": node.version,
    })
}
