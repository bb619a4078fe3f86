//! The settings of the mesh, which decoding finds in the ConfigMap `istio`.

use std::sync::Arc;

use super::objects::Objects;
use super::report;
use crate::diag::{Diagnostic, FieldPath};
use crate::model::{MeshConfig, OutboundMode};
use crate::resource::{Kind, Object, Resource};

/// The settings; Istio's defaults when there are none. Of several the one in `istio-system` counts, or else the first by
/// namespace and name.
pub(super) fn mesh_config(objects: &Objects) -> (Arc<MeshConfig>, Vec<Diagnostic>) {
    let mut found: Vec<_> = objects
        .of(Kind::ConfigMap)
        .iter()
        .filter_map(|resource| match &resource.object {
            Object::MeshConfig(mesh) => Some((resource, mesh)),
            _ => None,
        })
        .collect();
    found.sort_by_key(|(resource, _)| &*resource.key.namespace != "istio-system");
    let Some((resource, mesh)) = found.first() else {
        return (Arc::default(), Vec::new());
    };
    ((*mesh).clone(), without_effect(resource, mesh))
}

/// Settings that are understood, but not acted on.
fn without_effect(resource: &Resource, mesh: &MeshConfig) -> Vec<Diagnostic> {
    let dynamic = mesh.outbound_mode() == OutboundMode::AllowAnyDynamicDns;
    let message = "outboundTrafficPolicy.mode ALLOW_ANY_DYNAMIC_DNS works as ALLOW_ANY: requests to unknown hosts go to their original destination, \
                   and host names are not resolved yet";
    let found = report::partial_effect(resource, FieldPath::parse("data.mesh"), message);
    let mut all: Vec<Diagnostic> = dynamic.then_some(found).into_iter().collect();
    all.extend(providers(resource, mesh));
    all
}

/// Extension providers of kinds that nothing can be sent to.
fn providers(resource: &Resource, mesh: &MeshConfig) -> impl Iterator<Item = Diagnostic> {
    let kinds = mesh.extension_providers.iter().flat_map(|provider| {
        let kinds = provider.others.keys();
        kinds.map(|kind| (&provider.name, kind))
    });
    kinds.map(|(name, kind)| {
        let message = format!("the extension provider {name:?} is of the kind {kind}, which is not supported; nothing is sent there");
        report::partial_effect(resource, FieldPath::parse("data.mesh"), message)
    })
}

#[cfg(test)]
mod tests {
    use crate::model::OutboundMode;
    use crate::snapshot::testing::snapshot;

    #[test]
    fn unknown_hosts_by_their_names_are_understood_and_said_to_work_otherwise() {
        let (snapshot, found) = snapshot(
            "
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: 'outboundTrafficPolicy: {mode: ALLOW_ANY_DYNAMIC_DNS}'}
",
        );
        let mode = snapshot.mesh().outbound_mode();
        assert_eq!(mode, OutboundMode::AllowAnyDynamicDns);
        let codes: Vec<&str> = found.iter().map(|found| found.code).collect();
        assert_eq!(codes, ["MESH0001"]);
    }
}
