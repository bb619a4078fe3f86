//! Variables resolve as in Kubernetes.

use serde_json::json;

use super::*;

struct Fixture;

impl Sources for Fixture {
    fn config_map(&self, name: &str) -> Option<ConfigMap> {
        (name == "settings")
            .then(|| serde_json::from_value(json!({"data": {"color": "red"}})).unwrap())
    }

    fn secret(&self, name: &str) -> Option<Secret> {
        // "aHVudGVyMg==" is "hunter2".
        (name == "login")
            .then(|| serde_json::from_value(json!({"data": {"password": "aHVudGVyMg=="}})).unwrap())
    }
}

fn facts() -> Facts {
    Facts {
        pod_ip: "127.9.1.1".into(),
        host_ip: "127.9.0.1".into(),
        node_name: "sandbox".into(),
        cpus: 4,
        memory: 1 << 30,
    }
}

fn pod() -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "n", "uid": "u", "labels": {"app": "web", "q": "a\"b"}},
        "spec": {"serviceAccountName": "sa", "containers": []},
    }))
    .unwrap()
}

#[track_caller]
fn check(container: serde_json::Value, expected: Result<&[(&str, &str)], &str>) {
    let mut container = container;
    container["name"] = json!("c");
    let container: Container = serde_json::from_value(container).unwrap();
    let base = vec![("BASE".to_owned(), "base".to_owned())];
    let got =
        resolve(&pod(), &container, &facts(), base, &Fixture).map_err(|error| error.to_string());
    let got = got.map(|mut variables| {
        variables.remove("BASE");
        variables
    });
    let expected = expected.map(|pairs| {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    });
    assert_eq!(got, expected.map_err(str::to_owned));
}

#[test]
fn values_expand_what_came_before() {
    let env = json!([
        {"name": "A", "value": "1"},
        {"name": "B", "value": "$(A)-$(BASE)-$(LATER)-$$(A)-$"},
        {"name": "LATER", "value": "x"},
    ]);
    check(
        json!({"env": env}),
        Ok(&[("A", "1"), ("B", "1-base-$(LATER)-$(A)-$"), ("LATER", "x")]),
    );
}

#[test]
fn references_resolve() {
    let env = json!([
        {"name": "NS", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
        {"name": "MEM", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
        {"name": "COLOR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "color"}}},
        {"name": "PW", "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}}},
        {"name": "NONE", "valueFrom": {"secretKeyRef": {"name": "other", "key": "x", "optional": true}}},
    ]);
    let expected = [
        ("APP", "web"),
        ("COLOR", "red"),
        ("CPU", "1"),
        ("IP", "127.9.1.1"),
        ("MEM", "1024"),
        ("NS", "n"),
        ("PW", "hunter2"),
    ];
    check(
        json!({"env": env, "resources": {"limits": {"cpu": "200m"}}}),
        Ok(&expected),
    );
}

#[test]
fn all_of_a_map_comes_with_a_prefix() {
    let from = json!([{"prefix": "X_", "configMapRef": {"name": "settings"}}, {"secretRef": {"name": "login"}}]);
    check(
        json!({"envFrom": from}),
        Ok(&[("X_color", "red"), ("password", "hunter2")]),
    );
}

#[test]
fn what_is_missing_is_named() {
    let reference = |name: &str, key: &str| json!({"env": [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": name, "key": key}}}]});
    check(reference("nope", "k"), Err("configmap \"nope\" not found"));
    check(
        reference("settings", "k"),
        Err("key \"k\" not found in configmap \"settings\""),
    );
    let field = json!({"env": [{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "spec.x"}}}]});
    check(
        field,
        Err("field path \"spec.x\" is not supported by the downward API"),
    );
}

#[test]
fn labels_as_a_file_are_quoted() {
    assert_eq!(
        field(&pod(), &facts(), "metadata.labels").unwrap(),
        "app=\"web\"\nq=\"a\\\"b\""
    );
}
