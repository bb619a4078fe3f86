//! The settings of the mesh, which decoding finds in the ConfigMap `istio`.

use std::sync::Arc;

use super::objects::Objects;
use crate::model::MeshConfig;
use crate::resource::{Kind, Object};

/// The settings; Istio's defaults when there are none. Of several the one in `istio-system` counts, or else the first by
/// namespace and name.
pub(super) fn mesh_config(objects: &Objects) -> Arc<MeshConfig> {
    let mut found: Vec<_> = objects
        .of(Kind::ConfigMap)
        .iter()
        .filter_map(|resource| match &resource.object {
            Object::MeshConfig(mesh) => Some((&resource.key.namespace, mesh)),
            _ => None,
        })
        .collect();
    found.sort_by_key(|(namespace, _)| &***namespace != "istio-system");
    found
        .first()
        .map_or_else(Arc::default, |(_, mesh)| (*mesh).clone())
}
