//! `clusterz`, in the keys that Kiali reads.

use serde_json::{Value, json};

use crate::debug::Debug;

/// The one cluster that is watched. It needs no Secret: its access is the pod's own.
pub fn clusterz(debug: &Debug) -> Value {
    let synced = debug.published().generation > 0;
    let status = if synced { "synced" } else { "syncing" };
    json!([{ "id": debug.cluster_id, "secretName": "", "syncStatus": status }])
}
