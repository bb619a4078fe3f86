//! `/init_dump`: what the proxy still waits for before it serves.

use mesh_xds::ResourceType;
use serde_json::{Value, json};

use super::{Ask, Page, State};
use crate::lifecycle::Stage;

/// Types without which nothing can be served, by Envoy's names for them.
const TARGETS: [(ResourceType, &str); 2] = [
    (ResourceType::Cluster, "CDS"),
    (ResourceType::Listener, "LDS"),
];

pub(super) fn page(state: &State, _: &Ask) -> Page {
    if state.lifecycle.stage() > Stage::Starting {
        return Page::json(&json!({}));
    }
    let missing: Vec<&str> = state.known.look(|known| {
        let targets = TARGETS.iter();
        let missing = targets.filter(|(kind, _)| !known.resources.contains_key(kind));
        missing.map(|(_, name)| *name).collect()
    });
    let server: Value = json!({ "name": "init manager Server", "target_names": missing });
    Page::json(&json!({ "unready_targets_dumps": [server] }))
}
