//! Decoding: all versions of a kind are read, and what is refused is named by the path of its field.

use proptest::prelude::*;

use super::*;
use crate::resource::Kind;
use crate::source::parse;

/// The single object of a text.
#[track_caller]
fn object(text: &str) -> Resource {
    let (documents, findings) = parse("a.yaml", text);
    assert!(findings.is_empty(), "{findings:?}");
    let (resource, findings) = decode(&documents[0], None);
    assert!(findings.is_empty(), "{findings:?}");
    resource.expect("an object")
}

/// The single finding of a text whose object is refused.
#[track_caller]
fn refused(text: &str) -> Diagnostic {
    let (documents, findings) = parse("a.yaml", text);
    assert!(findings.is_empty(), "{findings:?}");
    let (resource, mut findings) = decode(&documents[0], Some("prod"));
    if let Some(resource) = resource {
        assert!(resource.malformed && resource.is_refused());
        findings.extend(resource.findings);
    }
    assert_eq!(findings.len(), 1);
    findings.remove(0)
}

const VIRTUAL_SERVICE: &str = "\
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - route:
    - destination: {host: reviews}
      weight: WEIGHT
";

#[test]
fn objects_of_all_versions_are_read() {
    let resource = object(&VIRTUAL_SERVICE.replace("WEIGHT", "50"));
    assert_eq!(resource.key.to_string(), "VirtualService default/reviews");
    let Object::VirtualService(spec) = &resource.object else {
        panic!("a VirtualService");
    };
    assert_eq!(spec.http[0].route[0].weight, Some(50));

    let old = object(
        "apiVersion: extensions/v1beta1\nkind: Deployment\nmetadata: {name: a, namespace: b}\nspec: {replicas: 2}\n",
    );
    assert_eq!(old.key.to_string(), "Deployment b/a");
    assert_eq!(old.raw["apiVersion"], "extensions/v1beta1");
    let Object::Deployment(deployment) = &old.object else {
        panic!("a Deployment");
    };
    assert_eq!(deployment.spec.as_ref().unwrap().replicas, Some(2));

    let node = object("apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {x: 'y'}}\n");
    assert_eq!(node.key.to_string(), "Namespace a");
    assert_eq!(node.meta.labels["x"], "y");
}

#[test]
fn wrong_types_are_named_with_their_path() {
    for (weight, message) in [
        (
            "fifty",
            "spec.http[0].route[0].weight: expected a whole number, found string \"fifty\"",
        ),
        (
            "[1]",
            "spec.http[0].route[0].weight: expected a whole number, found a list",
        ),
        (
            "1.5",
            "spec.http[0].route[0].weight: expected a whole number, found floating point `1.5`",
        ),
    ] {
        let finding = refused(&VIRTUAL_SERVICE.replace("WEIGHT", weight));
        assert_eq!(finding.message, message);
        assert_eq!(finding.path.to_string(), "spec.http[0].route[0].weight");
        assert_eq!(finding.code, SCHEMA);
        assert_eq!(
            finding.resource.unwrap().to_string(),
            "VirtualService prod/reviews"
        );
    }
    for (text, path, message) in [
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: http}]}\n",
            "spec.ports[0].port",
            "spec.ports[0].port: expected a whole number, found string \"http\"",
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {version: 1}}\n",
            "metadata.labels.version",
            "metadata.labels.version: expected a string, found integer `1`",
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {}\n",
            "metadata.name",
            "metadata.name: Pod has no name",
        ),
        (
            "apiVersion: networking.istio.io/v2\nkind: Gateway\nmetadata: {name: a}\n",
            "apiVersion",
            "apiVersion: Gateway has no version \"networking.istio.io/v2\"",
        ),
        ("- a\n", "", "expected a Kubernetes object, found a list"),
        ("name: x\n", "kind", "kind is missing"),
    ] {
        let finding = refused(text);
        assert_eq!(
            (finding.path.to_string().as_str(), finding.message.as_str()),
            (path, message)
        );
    }
}

#[test]
fn other_kinds_pass_without_a_word() {
    let text = "apiVersion: gateway.networking.k8s.io/v1\nkind: Teapot\nmetadata: {name: a}\n";
    let (documents, _) = parse("a.yaml", text);
    let (resource, findings) = decode(&documents[0], None);
    assert!(resource.is_none() && findings.is_empty());
}

#[test]
fn the_mesh_configuration_is_read_from_its_config_map() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |\n    trustDomain: example.org\n    connectTimeout: SECONDS\n";
    let resource = object(&text.replace("SECONDS", "3s"));
    let Object::MeshConfig(config) = &resource.object else {
        panic!("a MeshConfig");
    };
    assert_eq!(config.trust_domain.as_deref(), Some("example.org"));

    let (documents, _) = parse("a.yaml", &text.replace("SECONDS", "3 apples"));
    let (resource, _) = decode(&documents[0], None);
    let resource = resource.unwrap();
    assert!(matches!(resource.object, Object::ConfigMap(_)));
    let findings = resource.findings;
    assert!(
        findings[0]
            .message
            .starts_with("data.mesh: connectTimeout: "),
        "{findings:?}"
    );
}

#[test]
fn managed_fields_are_dropped_and_nulls_are_absent() {
    let value = serde_json::json!({
        "apiVersion": "networking.istio.io/v1", "kind": "Gateway",
        "metadata": {"name": "a", "managedFields": [{}], "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"servers": null, "selector": {"a": "b"}, "future": 1}
    });
    let (resource, findings) = decode_value(value, Origin::Builtin, None);
    assert!(findings.is_empty(), "{findings:?}");
    let resource = resource.unwrap();
    assert!(resource.raw["metadata"].get("managedFields").is_none());
    assert_eq!(resource.raw["spec"]["future"], 1);
    assert_eq!(resource.meta.created, Some(1_767_225_600));
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "[a-z0-9*./ -]{0,8}".prop_map(Into::into),
    ];
    let name = prop::sample::select(vec![
        "hosts",
        "http",
        "route",
        "destination",
        "host",
        "weight",
        "match",
        "uri",
        "prefix",
        "timeout",
        "ports",
        "port",
        "number",
        "servers",
        "tls",
        "name",
        "labels",
        "spec",
        "template",
        "containers",
        "data",
        "subsets",
    ]);
    leaf.prop_recursive(5, 40, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Into::into),
            prop::collection::vec((name.clone(), inner), 0..4).prop_map(|entries| {
                entries
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect::<serde_json::Map<_, _>>()
                    .into()
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_value_is_read_or_refused_without_panic(
        kind in prop::sample::select(Kind::all().collect::<Vec<_>>()), spec in value(), data in value(), metadata in value(),
    ) {
        let mut object = serde_json::json!({
            "apiVersion": kind.api_version(), "kind": kind.name(), "metadata": {"name": "a", "labels": metadata},
        });
        if kind == Kind::ConfigMap {
            object["data"] = data;
        } else {
            object["spec"] = spec;
        }
        let (resource, findings) = decode_value(object, Origin::Builtin, None);
        prop_assert!(resource.is_some() || !findings.is_empty());
    }
}
