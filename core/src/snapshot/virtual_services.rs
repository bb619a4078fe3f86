//! VirtualServices with their hosts and gateways resolved, in the order in which they are candidates.

use std::sync::Arc;

use super::visibility::visibility;
use super::{Visibility, expand_host};
use crate::model::{MeshConfig, VirtualServiceSpec};
use crate::resource::{Object, Resource};

/// The gateway name that stands for all sidecars.
pub const MESH_GATEWAY: &str = "mesh";

/// A VirtualService with its names resolved.
#[derive(Clone, Debug)]
pub struct MeshVirtualService {
    /// The object.
    pub resource: Arc<Resource>,
    /// Its typed view.
    pub spec: Arc<VirtualServiceSpec>,
    /// Fully qualified lower-case hosts and patterns, in the object's order.
    pub hosts: Vec<Arc<str>>,
    /// `mesh`, or `namespace/name` of gateways; never empty.
    pub gateways: Vec<Arc<str>>,
    /// Who sees it.
    pub visibility: Visibility,
}

// === impl MeshVirtualService ===

impl MeshVirtualService {
    pub(super) fn new(resource: &Arc<Resource>, mesh: &MeshConfig, domain: &str) -> Option<Self> {
        let Object::VirtualService(spec) = &resource.object else {
            return None;
        };
        let namespace = &resource.key.namespace;
        Some(Self {
            hosts: spec
                .hosts
                .iter()
                .map(|host| expand_host(host, namespace, domain).into())
                .collect(),
            gateways: resolve_gateways(&spec.gateways, namespace),
            visibility: visibility(
                spec.export_to.iter().map(String::as_str),
                &mesh.default_virtual_service_export_to,
                namespace,
            ),
            spec: spec.clone(),
            resource: resource.clone(),
        })
    }

    /// Whether it applies to sidecars.
    pub fn is_for_mesh(&self) -> bool {
        self.gateways
            .iter()
            .any(|gateway| &**gateway == MESH_GATEWAY)
    }

    /// 0 for objects that only their own namespace sees, 1 for those that some see, 2 for public ones.
    pub(super) fn candidate_class(&self) -> u8 {
        match &self.visibility {
            Visibility::Public => 2,
            Visibility::Namespaces(namespaces)
                if namespaces.len() == 1 && namespaces.contains(&self.resource.key.namespace) =>
            {
                0
            }
            Visibility::Namespaces(_) => 1,
        }
    }
}

/// Gateway references as `mesh` or `namespace/name`; none at all means `mesh`.
pub(crate) fn resolve_gateways(gateways: &[String], namespace: &str) -> Vec<Arc<str>> {
    if gateways.is_empty() {
        return vec![MESH_GATEWAY.into()];
    }
    let resolve = |gateway: &String| -> Arc<str> {
        match gateway.split_once('/') {
            None if gateway == MESH_GATEWAY => MESH_GATEWAY.into(),
            Some((".", name)) => format!("{namespace}/{name}").into(),
            Some(_) => gateway.as_str().into(),
            None => match gateway.split_once('.') {
                // The old form NAME.NAMESPACE[.svc.DOMAIN].
                Some((name, rest)) => {
                    let namespace = rest.split('.').next().unwrap_or_default();
                    format!("{namespace}/{name}").into()
                }
                None => format!("{namespace}/{gateway}").into(),
            },
        }
    };
    gateways.iter().map(resolve).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateway_references_are_resolved() {
        let resolve = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            resolve_gateways(&names, "own").join(" ")
        };
        assert_eq!(resolve(&[]), "mesh");
        assert_eq!(
            resolve(&[
                "mesh",
                "gw",
                "./gw",
                "other/gw",
                "gw.other.svc.cluster.local"
            ]),
            "mesh own/gw own/gw other/gw other/gw"
        );
    }
}
