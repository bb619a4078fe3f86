//! Which policies are for a workload: those of the root namespace and of its own, by labels or by reference.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Snapshot;
use crate::model::{PolicyTargetReference, WorkloadSelector};
use crate::resource::{Kind, Object, Resource};

/// Group of the gateways that policies refer to.
const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";
/// Label of the pods of gateways that the Gateway API describes.
pub const GATEWAY_LABEL: &str = "gateway.networking.k8s.io/gateway-name";

/// What a policy says of the workloads that it is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PolicyTargets<'p> {
    selector: Option<&'p WorkloadSelector>,
    target_ref: Option<&'p PolicyTargetReference>,
    target_refs: &'p [PolicyTargetReference],
}

// === impl PolicyTargets ===

impl<'p> PolicyTargets<'p> {
    /// Of an object; none for kinds that are no policies of this form.
    pub(crate) fn of(object: &'p Object) -> Option<Self> {
        match object {
            Object::AuthorizationPolicy(spec) => Some(Self {
                selector: spec.selector.as_ref(),
                target_ref: spec.target_ref.as_ref(),
                target_refs: &spec.target_refs,
            }),
            Object::RequestAuthentication(spec) => Some(Self {
                selector: spec.selector.as_ref(),
                target_ref: spec.target_ref.as_ref(),
                target_refs: &spec.target_refs,
            }),
            Object::Telemetry(spec) => Some(Self {
                selector: spec.selector.as_ref(),
                target_ref: spec.target_ref.as_ref(),
                target_refs: &spec.target_refs,
            }),
            _ => None,
        }
    }

    /// The labels that a pod must have; none if any pod is selected.
    pub(crate) fn labels(self) -> Option<&'p BTreeMap<String, String>> {
        self.selector
            .map(|selector| &selector.match_labels)
            .filter(|labels| !labels.is_empty())
    }

    /// The objects that it refers to.
    pub(crate) fn references(self) -> impl Iterator<Item = &'p PolicyTargetReference> {
        self.target_ref.into_iter().chain(self.target_refs)
    }

    /// Whether it is for the pods with these labels, of a namespace whose policies count for them. What refers to objects is for the
    /// gateways that are named, and otherwise for waypoints, which there are none of.
    pub(crate) fn select(self, labels: &BTreeMap<String, String>) -> bool {
        if self.references().next().is_some() {
            let gateway = labels.get(GATEWAY_LABEL);
            let is_named = |target: &PolicyTargetReference| {
                target.group.as_deref() == Some(GATEWAY_GROUP)
                    && target.kind == "Gateway"
                    && gateway == Some(&target.name)
            };
            return self.references().any(is_named);
        }
        let mut wanted = self.labels().into_iter().flatten();
        wanted.all(|(key, value)| labels.get(key) == Some(value))
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// The policies of a kind that are for a workload, sorted by namespace and name. Those of the root namespace are for the whole mesh.
    /// Objects with parts of a wrong type are never acted on.
    pub(crate) fn policies_for<'s>(
        &'s self,
        kind: Kind,
        namespace: &'s str,
        labels: &BTreeMap<String, String>,
    ) -> Vec<&'s Arc<Resource>> {
        let root = self.mesh().root_namespace();
        let mut namespaces = vec![root, namespace];
        namespaces.sort_unstable();
        namespaces.dedup();
        let mut found = Vec::new();
        for within in namespaces {
            found.extend(self.objects.within(kind, within).filter(|resource| {
                let targets = PolicyTargets::of(&resource.object);
                !resource.malformed && targets.is_some_and(|targets| targets.select(labels))
            }));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::resource::Kind;
    use crate::snapshot::testing::snapshot;

    #[track_caller]
    fn check(namespace: &str, labels: &[(&str, &str)], expect: &[&str]) {
        let policy = |at: &str, spec: &str| {
            let (namespace, name) = at.split_once('/').unwrap();
            format!(
                "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n---\n"
            )
        };
        let text = [
            policy("istio-system/mesh", "{}"),
            policy(
                "istio-system/everywhere",
                "{selector: {matchLabels: {app: web}}}",
            ),
            policy("shop/all", "{}"),
            policy("shop/web", "{selector: {matchLabels: {app: web}}}"),
            policy(
                "shop/web-v2",
                "{selector: {matchLabels: {app: web, version: v2}}}",
            ),
            policy(
                "shop/edge",
                "{targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}]}",
            ),
            policy("other/all", "{}"),
        ]
        .concat();
        let (snapshot, _) = snapshot(&text);
        let labels: BTreeMap<String, String> = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let found = snapshot.policies_for(Kind::AuthorizationPolicy, namespace, &labels);
        let names: Vec<String> = found
            .iter()
            .map(|policy| format!("{}/{}", policy.key.namespace, policy.key.name))
            .collect();
        assert_eq!(names, expect, "{namespace} {labels:?}");
    }

    #[test]
    fn the_root_namespace_is_for_all_others_for_themselves() {
        check("shop", &[], &["istio-system/mesh", "shop/all"]);
        check("nowhere", &[], &["istio-system/mesh"]);
        check("istio-system", &[], &["istio-system/mesh"]);
    }

    #[test]
    fn all_labels_of_a_selector_count() {
        check(
            "shop",
            &[("app", "web"), ("version", "v1")],
            &[
                "istio-system/everywhere",
                "istio-system/mesh",
                "shop/all",
                "shop/web",
            ],
        );
        check(
            "other",
            &[("app", "web")],
            &["istio-system/everywhere", "istio-system/mesh", "other/all"],
        );
    }

    #[test]
    fn a_reference_is_for_the_gateway_that_it_names() {
        let label = super::GATEWAY_LABEL;
        check(
            "shop",
            &[(label, "edge")],
            &["istio-system/mesh", "shop/all", "shop/edge"],
        );
        check(
            "shop",
            &[(label, "other")],
            &["istio-system/mesh", "shop/all"],
        );
    }
}
