//! `configz` and `mesh`: what the control plane has read.

use serde_json::{Value, json};

use crate::debug::Debug;

/// All objects of the mesh's kinds as they were read; Kubernetes' own are left out, as in Istio.
pub fn configz(debug: &Debug) -> Value {
    let published = debug.published();
    let snapshot = published.translator.snapshot();
    let objects = snapshot.all_resources();
    objects
        .filter(|resource| is_of_mesh(resource.key.kind.row().group()))
        .map(|resource| (*resource.raw).clone())
        .collect()
}

fn is_of_mesh(group: &str) -> bool {
    group.ends_with(".istio.io") || group == "gateway.networking.k8s.io"
}

/// The mesh's settings with their defaults.
pub fn mesh(debug: &Debug) -> Value {
    json!(debug.published().translator.snapshot().mesh())
}
