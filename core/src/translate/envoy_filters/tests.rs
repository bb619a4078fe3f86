//! Selection and order of patches.

use std::collections::BTreeMap;

use mesh_ir::{ProxyKind, ProxyScope};

use crate::snapshot::testing::snapshot;

/// An object whose patch is told by the name of the cluster that it adds.
fn object(namespace: &str, name: &str, meta: &str, spec: &str, matches: &str) -> String {
    format!(
        "---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {{name: {name}, namespace: {namespace}{meta}}}
spec:
  {spec}
  configPatches:
  - applyTo: CLUSTER
    match: {{{matches}}}
    patch: {{operation: ADD, value: {{name: {name}}}}}
"
    )
}

fn scope() -> ProxyScope {
    let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
    let mut scope = ProxyScope::new(ProxyKind::Sidecar, "books", labels);
    scope.version = "1.28.0".into();
    scope.metadata.insert("TIER".into(), "gold".into());
    scope
}

#[track_caller]
fn check(objects: &[String], scope: &ProxyScope, expect: &[&str]) {
    let (snapshot, _) = snapshot(&objects.concat());
    let patches = super::patches(&snapshot, scope);
    let names: Vec<&str> = patches
        .iter()
        .flat_map(|patches| patches.iter())
        .map(|patch| &*patch.origin.name)
        .collect();
    assert_eq!(names, expect);
}

#[test]
fn the_root_namespace_comes_first_then_priority_then_age() {
    let at = |day| format!(", creationTimestamp: '2026-01-0{day}T00:00:00Z'");
    let none = "priority: 0";
    check(
        &[
            object("books", "young", &at(3), none, ""),
            object("books", "old", &at(1), none, ""),
            object("books", "late", &at(1), "priority: 10", ""),
            object("books", "soon", &at(4), "priority: -1", ""),
            object("istio-system", "root", &at(5), "priority: 5", ""),
            object("other", "foreign", &at(1), none, ""),
        ],
        &scope(),
        &["root", "soon", "old", "young", "late"],
    );
}

#[test]
fn workloads_are_selected_by_label_and_gateways_by_name() {
    let selector = |app: &str| format!("workloadSelector: {{labels: {{app: {app}}}}}");
    check(
        &[
            object("books", "mine", "", &selector("web"), ""),
            object("books", "other", "", &selector("api"), ""),
        ],
        &scope(),
        &["mine"],
    );
    let target = "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}]";
    let mut gateway = scope();
    gateway.kind = ProxyKind::Gateway;
    gateway
        .labels
        .insert(super::GATEWAY_LABEL.into(), "edge".into());
    let objects = [object("books", "edge", "", target, "")];
    check(&objects, &gateway, &["edge"]);
    check(&objects, &scope(), &[]);
}

#[test]
fn proxies_are_matched_by_context_version_and_metadata() {
    let none = "priority: 0";
    check(
        &[
            object("books", "a", "", none, "context: SIDECAR_INBOUND"),
            object("books", "b", "", none, "context: GATEWAY"),
            object("books", "c", "", none, "proxy: {proxyVersion: '^1\\.28.*'}"),
            object("books", "d", "", none, "proxy: {proxyVersion: '^1\\.27.*'}"),
            object(
                "books",
                "e",
                "",
                none,
                "proxy: {metadata: {TIER: gold, CLUSTER_ID: Kubernetes}}",
            ),
            object("books", "f", "", none, "proxy: {metadata: {TIER: silver}}"),
        ],
        &scope(),
        &["a", "c", "e"],
    );
}

#[test]
fn an_invalid_patch_leaves_the_others_of_its_object() {
    let object = "apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: both, namespace: books}
spec:
  configPatches:
  - applyTo: CLUSTER
    patch: {operation: MERGE, value: {connect_timeout: soon}}
  - applyTo: CLUSTER
    patch: {operation: MERGE, value: {connect_timeout: 1s}}
";
    check(&[object.to_owned()], &scope(), &["both"]);
}
