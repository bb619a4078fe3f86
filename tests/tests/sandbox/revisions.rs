//! Two revisions of the control plane side by side, and tags that stand for them.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use mesh_tests::eventually;
use serde_json::{Value, json};

use crate::sandbox::{Sandbox, succeeded};

const SHOP: &str = "
apiVersion: v1
kind: Namespace
metadata:
  name: shop
  labels: {istio.io/rev: prod}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: hello, namespace: shop}
spec:
  selector: {matchLabels: {app: hello}}
  template:
    metadata: {labels: {app: hello}}
    spec:
      containers:
      - {name: hello, image: docker.io/istio/examples-helloworld-v1, ports: [{containerPort: 5000}]}
";

/// Where the proxy of the pod finds its control plane, once the pod is ready.
#[track_caller]
fn control_plane(sandbox: &Sandbox) -> String {
    let find = || {
        sandbox.with_client(async |client| {
            let api: Api<Pod> = Api::namespaced(client, "shop");
            let pods = api.list(&ListParams::default()).await.ok()?.items;
            let [pod] = &pods[..] else {
                return None;
            };
            let pod = serde_json::to_value(pod).ok()?;
            let is_ready =
                |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
            let mut conditions = pod["status"]["conditions"].as_array()?.iter();
            conditions.find(|it| is_ready(it))?;
            let all = ["initContainers", "containers"].map(|list| pod["spec"][list].clone());
            let mut containers = all.iter().filter_map(Value::as_array).flatten();
            let proxy = containers.find(|it| it["name"] == "istio-proxy")?;
            let mut variables = proxy["env"].as_array()?.iter();
            let variable = variables.find(|it| it["name"] == "CA_ADDR")?;
            Some(variable["value"].as_str()?.to_owned())
        })
    };
    eventually("the pod is ready", Duration::from_secs(60), find)
}

/// Replaces the pod by a new one.
fn restart(sandbox: &Sandbox) {
    sandbox.with_client(async |client| {
        let api: Api<Pod> = Api::namespaced(client, "shop");
        let now = DeleteParams::default().grace_period(0);
        let all = ListParams::default();
        let deleted = api.delete_collection(&now, &all).await;
        deleted.expect("pods can be deleted");
    });
}

#[test]
fn a_tag_moves_namespaces_from_one_revision_to_another() {
    let sandbox = Sandbox::empty("revisions");
    let install = |words: &[&str]| {
        let words = [&["install", "-y", "--profile=minimal"], words].concat();
        let output = sandbox.command(&words).output().expect("meshctl runs");
        succeeded(&output);
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let tags = || -> Value {
        serde_json::from_str(&sandbox.run(&["tag", "list", "-o", "json"])).expect("JSON")
    };
    install(&[]);
    install(&["--revision=canary"]);

    sandbox.run(&["tag", "set", "prod", "--revision=canary"]);
    sandbox.apply_text(SHOP);
    assert_eq!(
        control_plane(&sandbox),
        "istiod-canary.istio-system.svc:15012"
    );
    let expected = json!([{"tag": "prod", "revision": "canary", "namespaces": ["shop"]}]);
    assert_eq!(tags(), expected);
    // The next installation leaves the tag alone.
    let again = install(&["--revision=canary"]);
    assert!(!again.contains("removed"), "{again}");
    assert_eq!(tags(), expected);

    let move_it = ["tag", "set", "prod", "--revision=default"];
    let output = sandbox.command(&move_it).output().expect("meshctl runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("the tag prod stands for revision canary"),
        "{text}"
    );
    sandbox.run(&[&move_it[..], &["--overwrite"]].concat());
    restart(&sandbox);
    let moved = || {
        let now = control_plane(&sandbox);
        (now == "istiod.istio-system.svc:15012").then_some(())
    };
    eventually(
        "the new pod is on the other revision",
        Duration::from_secs(60),
        moved,
    );

    sandbox.run(&["tag", "remove", "prod", "-y"]);
    assert_eq!(tags(), json!([]));
}
