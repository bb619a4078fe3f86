//! Which `Telemetry` objects are for a workload: one for the mesh, one for its namespace, one for itself, in this order. Of several at a
//! level the oldest counts, as in Istio.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::build::oldest_first;
use super::{PolicyTargets, Snapshot};
use crate::model::TelemetrySpec;
use crate::resource::{Kind, Object, Resource};

/// What an object says, and which one it is.
pub(crate) type MeshTelemetry<'s> = (&'s Arc<Resource>, &'s TelemetrySpec);

// === impl Snapshot ===

impl Snapshot {
    /// The objects that are for a workload, from the mesh's to its own.
    pub(crate) fn telemetries_for<'s>(
        &'s self,
        namespace: &'s str,
        labels: &BTreeMap<String, String>,
    ) -> Vec<MeshTelemetry<'s>> {
        let root = self.mesh().root_namespace();
        let mut found = Vec::new();
        if root != namespace {
            found.extend(self.telemetry(root, is_for_all));
        }
        found.extend(self.telemetry(namespace, is_for_all));
        found.extend(self.telemetry(namespace, |targets| {
            !is_for_all(targets) && targets.select(labels)
        }));
        found
    }

    /// All objects, whomever they are for.
    pub(crate) fn telemetries(&self) -> impl Iterator<Item = MeshTelemetry<'_>> {
        self.resources(Kind::Telemetry).iter().filter_map(spec)
    }

    fn telemetry<'s>(
        &'s self,
        namespace: &'s str,
        is_meant: impl Fn(PolicyTargets<'_>) -> bool,
    ) -> Option<MeshTelemetry<'s>> {
        let within = self.objects.within(Kind::Telemetry, namespace);
        let meant = within.filter(|resource| {
            let targets = PolicyTargets::of(&resource.object);
            !resource.malformed && targets.is_some_and(&is_meant)
        });
        oldest_first(meant).into_iter().find_map(spec)
    }
}

fn spec(resource: &Arc<Resource>) -> Option<MeshTelemetry<'_>> {
    match &resource.object {
        Object::Telemetry(spec) => Some((resource, spec)),
        _ => None,
    }
}

fn is_for_all(targets: PolicyTargets<'_>) -> bool {
    targets.labels().is_none() && targets.references().next().is_none()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::snapshot::testing::snapshot;

    #[track_caller]
    fn check(namespace: &str, app: &str, expect: &[&str]) {
        let object = |at: &str, created: u32, spec: &str| {
            let (namespace, name) = at.split_once('/').unwrap();
            format!(
                "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {{name: {name}, namespace: {namespace}, \
                 creationTimestamp: '2026-01-0{created}T00:00:00Z'}}\nspec: {spec}\n---\n"
            )
        };
        let selector = "{selector: {matchLabels: {app: web}}}";
        let text = [
            object("istio-system/mesh", 1, "{}"),
            object("istio-system/web", 1, selector),
            object("shop/later", 2, "{}"),
            object("shop/namespace", 1, "{}"),
            object("shop/web", 1, selector),
            object(
                "shop/edge",
                1,
                "{targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}]}",
            ),
        ]
        .concat();
        let (snapshot, _) = snapshot(&text);
        let labels = BTreeMap::from([("app".to_owned(), app.to_owned())]);
        let found = snapshot.telemetries_for(namespace, &labels);
        let names: Vec<String> = found
            .iter()
            .map(|(object, _)| format!("{}/{}", object.key.namespace, object.key.name))
            .collect();
        assert_eq!(names, expect, "{namespace} {app}");
    }

    #[test]
    fn one_counts_of_each_level() {
        check("other", "web", &["istio-system/mesh"]);
        check("shop", "db", &["istio-system/mesh", "shop/namespace"]);
        check(
            "shop",
            "web",
            &["istio-system/mesh", "shop/namespace", "shop/web"],
        );
        check(
            "istio-system",
            "web",
            &["istio-system/mesh", "istio-system/web"],
        );
    }
}
