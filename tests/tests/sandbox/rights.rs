//! Who may do what in a sandbox: what its control plane was given is enough and no more, and a pod's token opens nothing.

use kube::Client;
use serde_json::{Value, json};

use crate::sandbox::Sandbox;

const CONTROL_PLANE: &str = "system:serviceaccount:istio-system:istiod";

async fn post(client: &Client, path: &str, body: Value) -> Result<Value, kube::Error> {
    let request = http::Request::post(path).header("content-type", "application/json");
    let request = request.body(body.to_string().into_bytes());
    client.request(request.unwrap()).await
}

/// Whether the control plane may do something, by the API server's own word.
async fn may(client: &Client, verb: &str, resource: &str, namespace: &str, name: &str) -> bool {
    let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
    let (resource, part) = resource.split_once('/').unwrap_or((resource, ""));
    let asked = json!({"verb": verb, "group": group, "resource": resource, "subresource": part,
        "namespace": namespace, "name": name});
    let groups = ["system:authenticated", "system:serviceaccounts"];
    let review =
        json!({"spec": {"user": CONTROL_PLANE, "groups": groups, "resourceAttributes": asked}});
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let answer = post(client, path, review).await.unwrap();
    answer["status"]["allowed"] == true
}

#[test]
fn rights_are_enough_and_no_more() {
    let sandbox = Sandbox::up("rights", &["--sample", "helloworld"]);
    sandbox.with_client(async |client| {
        for (verb, resource, namespace, name, expected) in [
            ("watch", "virtualservices.networking.istio.io", "", "", true),
            (
                "patch",
                "virtualservices/status.networking.istio.io",
                "shop",
                "a",
                true,
            ),
            ("create", "tokenreviews.authentication.k8s.io", "", "", true),
            ("get", "secrets", "istio-system", "istio-ca-secret", true),
            (
                "update",
                "virtualservices.networking.istio.io",
                "shop",
                "a",
                false,
            ),
            // Certificates of gateways may be anywhere.
            ("list", "secrets", "shop", "", true),
            ("update", "secrets", "shop", "certificate", false),
            ("create", "secrets", "shop", "", false),
            // What Gateways of the Gateway API run on may be anywhere, and goes with them.
            ("create", "deployments.apps", "shop", "", true),
            ("patch", "services", "shop", "front-istio", true),
            ("delete", "deployments.apps", "shop", "front-istio", false),
            (
                "patch",
                "gatewayclasses.gateway.networking.k8s.io",
                "",
                "other",
                false,
            ),
            ("create", "pods", "default", "", false),
            ("delete", "pods", "default", "a", false),
            ("create", "pods/exec", "default", "a", false),
            (
                "create",
                "serviceaccounts/token",
                "istio-system",
                "istiod",
                false,
            ),
            (
                "patch",
                "mutatingwebhookconfigurations.admissionregistration.k8s.io",
                "",
                "other",
                false,
            ),
            (
                "create",
                "clusterrolebindings.rbac.authorization.k8s.io",
                "",
                "",
                false,
            ),
        ] {
            let allowed = may(&client, verb, resource, namespace, name).await;
            assert_eq!(allowed, expected, "{verb} {resource} {namespace}/{name}");
        }
    });
    let pods = sandbox.status();
    let pods = pods["pods"].as_array().unwrap();
    let mut names = pods.iter().filter_map(|pod| pod["name"].as_str());
    let istiod = names.find(|name| name.starts_with("istiod-")).unwrap();
    let log = sandbox.run(&["sandbox", "logs", "-n", "istio-system", istiod]);
    assert!(!log.contains("forbidden"), "{log}");
    assert!(log.contains("serving xDS over TLS"), "{log}");
}

#[test]
fn the_token_of_a_pod_opens_nothing() {
    let sandbox = Sandbox::up("token", &[]);
    let token = sandbox.with_client(async |client| {
        let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
        let granted = post(&client, path, json!({})).await.unwrap();
        granted["status"]["token"].as_str().unwrap().to_owned()
    });
    sandbox.with_token(&token, async |client| {
        let refused = |answer: Result<Value, kube::Error>, what: &str| match answer {
            Err(kube::Error::Api(status)) => assert_eq!(status.code, 403, "{what}: {status:?}"),
            other => panic!("{what}: {other:?}"),
        };
        for path in [
            "/api/v1/secrets",
            "/api/v1/namespaces/istio-system/secrets/istio-ca-secret",
            "/api/v1/namespaces/default/pods",
        ] {
            let request = http::Request::get(path).body(Vec::new()).unwrap();
            refused(client.request(request).await, path);
        }
        let istiod = "/api/v1/namespaces/istio-system/serviceaccounts/istiod/token";
        refused(post(&client, istiod, json!({})).await, istiod);
        let pods = "/api/v1/namespaces/default/pods";
        refused(
            post(&client, pods, json!({"metadata": {"name": "x"}})).await,
            pods,
        );
    });
}
