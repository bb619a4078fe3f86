//! The settings of the mesh: a MeshConfig of its own, or the key `mesh` of the ConfigMap `istio`.

use std::sync::Arc;

use super::objects::Objects;
use super::report::invalid;
use crate::diag::{Diagnostic, FieldPath};
use crate::model::MeshConfig;
use crate::resource::{Kind, Object, Resource};

const CONFIG_MAP: &str = "istio";
const KEY: &str = "mesh";

/// The settings; Istio's defaults when there are none or they are not valid. Of several the one in `istio-system` counts, or
/// else the first by namespace and name.
pub(super) fn mesh_config(objects: &Objects) -> (Arc<MeshConfig>, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let mut found: Vec<(&Arc<Resource>, Arc<MeshConfig>)> = Vec::new();
    for resource in objects.of(Kind::ConfigMap) {
        match &resource.object {
            Object::MeshConfig(mesh) => found.push((resource, mesh.clone())),
            Object::ConfigMap(map) if &*resource.key.name == CONFIG_MAP => {
                let Some(text) = map.data.as_ref().and_then(|data| data.get(KEY)) else {
                    continue;
                };
                match serde_yaml::from_str::<Option<MeshConfig>>(text) {
                    Ok(mesh) => found.push((resource, Arc::new(mesh.unwrap_or_default()))),
                    Err(error) => diagnostics.push(invalid(
                        resource,
                        FieldPath::parse("data.mesh"),
                        format!(
                            "the mesh configuration is not valid and defaults are used: {error}"
                        ),
                    )),
                }
            }
            _ => {}
        }
    }
    found.sort_by_key(|(resource, _)| &*resource.key.namespace != "istio-system");
    let mesh = found
        .into_iter()
        .next()
        .map_or_else(Arc::default, |(_, mesh)| mesh);
    (mesh, diagnostics)
}
