//! Admission webhooks, served by programs of these tests over TLS.

use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio_rustls::TlsAcceptor;

use super::*;

/// What a webhook answers to a request of a review.
type Respond = dyn Fn(&Value) -> Value + Send + Sync;

/// A webhook server, and what it was asked.
struct Webhook {
    address: SocketAddr,
    ca: String,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Webhook {
    async fn serve(respond: impl Fn(&Value) -> Value + Send + Sync + 'static) -> Self {
        let Identity { ca, server } =
            Identity::generate(&[IpAddr::V4(Ipv4Addr::LOCALHOST)]).unwrap();
        let mut server = rustls::ServerConfig::clone(&server);
        server.alpn_protocols = Vec::new();
        let acceptor = TlsAcceptor::from(Arc::new(server));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::default();
        let (kept, respond): (_, Arc<Respond>) = (Arc::clone(&asked), Arc::new(respond));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, kept, respond) =
                    (acceptor.clone(), Arc::clone(&kept), Arc::clone(&respond));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let service = service_fn(|request: http::Request<Incoming>| {
                        let (kept, respond) = (Arc::clone(&kept), Arc::clone(&respond));
                        answer(request, kept, respond)
                    });
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ = connection
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { address, ca, asked }
    }

    /// A configuration with this webhook for ConfigMaps.
    fn configuration(&self, kind: &str, name: &str, change: Value) -> Value {
        let url = format!("https://{}/hook", self.address);
        let mut webhook = json!({
            "name": format!("{name}.test.io"), "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"url": url, "caBundle": STANDARD.encode(&self.ca)},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}],
        });
        for (field, value) in change.as_object().into_iter().flatten() {
            webhook[field] = value.clone();
        }
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name},
            "webhooks": [webhook]})
    }

    fn asked(&self) -> Vec<Value> {
        self.asked.lock().unwrap().clone()
    }
}

async fn answer(
    request: http::Request<Incoming>,
    asked: Arc<Mutex<Vec<Value>>>,
    respond: Arc<Respond>,
) -> Result<http::Response<Full<Bytes>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    let review: Value = serde_json::from_slice(&body).unwrap();
    let request = &review["request"];
    let mut response = respond(request);
    response["uid"] = request["uid"].clone();
    asked.lock().unwrap().push(request.clone());
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
    Ok(http::Response::new(Full::new(Bytes::from(
        review.to_string(),
    ))))
}

fn allowed() -> Value {
    json!({"allowed": true})
}

/// Allows, and changes the object.
fn patched(operations: Value) -> Value {
    json!({"allowed": true, "patchType": "JSONPatch", "patch": STANDARD.encode(operations.to_string())})
}

async fn configure(world: &World, configuration: &Value) {
    let plural = match configuration["kind"].as_str().unwrap() {
        "MutatingWebhookConfiguration" => "mutatingwebhookconfigurations",
        _ => "validatingwebhookconfigurations",
    };
    let path = format!("/apis/admissionregistration.k8s.io/v1/{plural}");
    let body = configuration.to_string();
    world
        .raw("POST", &path, "application/json", &body)
        .await
        .unwrap();
}

const MUTATING: &str = "MutatingWebhookConfiguration";
const VALIDATING: &str = "ValidatingWebhookConfiguration";

#[tokio::test]
async fn mutating_webhooks_change_objects_and_validating_ones_see_the_result() {
    let world = World::start().await;
    let first = Webhook::serve(|_| {
        patched(json!([{"op": "add", "path": "/data/first", "value": "1"},
            {"op": "add", "path": "/metadata/uid", "value": "forged"}, {"op": "add", "path": "/nonsense", "value": 1}]))
    })
    .await;
    let second = Webhook::serve(|request| match &request["object"]["data"]["second"] {
        Value::Null => patched(json!([{"op": "add", "path": "/data/second", "value": "2"}])),
        _ => allowed(),
    })
    .await;
    let judge = Webhook::serve(|request| match request["object"]["data"]["bad"].as_str() {
        Some(_) => json!({"allowed": false, "status": {"code": 422, "message": "it is bad"}, "warnings": ["w"]}),
        None => json!({"allowed": true, "warnings": ["mind the gap"]}),
    })
    .await;
    let again = json!({"reinvocationPolicy": "IfNeeded"});
    configure(&world, &first.configuration(MUTATING, "a", again)).await;
    configure(&world, &second.configuration(MUTATING, "b", json!({}))).await;
    configure(&world, &judge.configuration(VALIDATING, "c", json!({}))).await;
    let api: Api<ConfigMap> = world.api();
    let made = api
        .create(
            &PostParams::default(),
            &config_map("x", json!({"own": "0"})),
        )
        .await
        .unwrap();
    let data = json!(made.data);
    assert_eq!(data, json!({"own": "0", "first": "1", "second": "2"}));
    assert_ne!(made.uid().unwrap(), "forged");
    let (first, second, judged) = (first.asked(), second.asked(), judge.asked());
    assert_eq!(
        (first.len(), second.len(), judged.len()),
        (2, 1, 1),
        "the first was asked again after the second"
    );
    let request = &first[0];
    assert_eq!(
        (
            &request["operation"],
            &request["name"],
            &request["namespace"]
        ),
        (&json!("CREATE"), &json!("x"), &json!("default"))
    );
    assert_eq!(request["userInfo"]["groups"][0], "system:masters");
    assert_eq!(request["object"]["metadata"]["uid"], Value::Null);
    assert_eq!(judged[0]["object"]["data"], data);
    let bad = config_map("y", json!({"bad": "1"}));
    let refused = api.create(&PostParams::default(), &bad).await.unwrap_err();
    assert_eq!(code(&refused), 422);
    let expected = "admission webhook \"c.test.io\" denied the request: it is bad";
    assert!(refused.to_string().contains(expected), "{refused}");
    assert!(api.get_opt("y").await.unwrap().is_none());
    world.server.stop().await;
}

#[tokio::test]
async fn selectors_rules_and_policies_decide_who_is_asked() {
    let world = World::start().await;
    let hook = Webhook::serve(|_| allowed()).await;
    let labels = json!({"objectSelector": {"matchLabels": {"app": "x"}},
        "namespaceSelector": {"matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system"]}]}});
    configure(&world, &hook.configuration(VALIDATING, "labels", labels)).await;
    let api: Api<ConfigMap> = world.api();
    let post = PostParams::default();
    let mut other = config_map("other", json!({}));
    other.metadata.labels = None;
    api.create(&post, &other).await.unwrap();
    let system: Api<ConfigMap> = Api::namespaced(world.client.clone(), "kube-system");
    system
        .create(&post, &config_map("a", json!({})))
        .await
        .unwrap();
    assert_eq!(hook.asked().len(), 0);
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    api.create(&dry, &config_map("a", json!({}))).await.unwrap();
    api.create(&post, &config_map("a", json!({})))
        .await
        .unwrap();
    let merge = Patch::Merge(json!({"metadata": {"labels": {"app": null}}}));
    api.patch("a", &PatchParams::default(), &merge)
        .await
        .unwrap();
    api.delete("a", &DeleteParams::default()).await.unwrap();
    let asked: Vec<(Value, Value)> = hook
        .asked()
        .into_iter()
        .map(|request| (request["operation"].clone(), request["dryRun"].clone()))
        .collect();
    assert_eq!(
        asked,
        [
            (json!("CREATE"), json!(true)),
            (json!("CREATE"), json!(false)),
            // The label was there before.
            (json!("UPDATE"), json!(false)),
        ]
    );
    world.server.stop().await;
}

#[tokio::test]
async fn deletions_and_other_versions_are_asked_about() {
    let world = World::start().await;
    let hook = Webhook::serve(|request| match request["operation"].as_str() {
        Some("DELETE") => json!({"allowed": false}),
        _ => patched(json!([{"op": "add", "path": "/metadata/labels", "value": {"seen": "yes"}}])),
    })
    .await;
    let rules = json!([{"apiGroups": ["apps"], "apiVersions": ["v1beta1"], "operations": ["*"], "resources": ["deployments"]}]);
    let equivalent = hook.configuration(MUTATING, "equivalent", json!({"rules": rules}));
    configure(&world, &equivalent).await;
    let exact = hook.configuration(
        VALIDATING,
        "exact",
        json!({"rules": rules, "matchPolicy": "Exact"}),
    );
    configure(&world, &exact).await;
    let api: Api<Deployment> = world.api();
    let deployment: Deployment = parse(objects::deployment(Some(1)));
    let made = api
        .create(&PostParams::default(), &deployment)
        .await
        .unwrap();
    assert_eq!(made.labels()["seen"], "yes");
    let asked = hook.asked();
    assert_eq!(asked.len(), 1, "the exact one is not concerned");
    assert_eq!(asked[0]["object"]["apiVersion"], "apps/v1beta1");
    assert_eq!(asked[0]["requestResource"]["version"], "v1");
    let rules = json!([{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["DELETE"], "resources": ["*"]}]);
    let guard = hook.configuration(VALIDATING, "guard", json!({"rules": rules}));
    configure(&world, &guard).await;
    let refused = api.delete(&made.name_any(), &DeleteParams::default()).await;
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains("\"guard.test.io\" denied the request without explanation"),
        "{refused}"
    );
    assert!(api.get_opt(&made.name_any()).await.unwrap().is_some());
    world.server.stop().await;
}

#[tokio::test]
async fn a_webhook_that_does_not_answer_fails_requests_or_is_ignored() {
    let world = World::start().await;
    // Accepts connections, and says nothing.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = silent.local_addr().unwrap();
    let hook = Webhook {
        address,
        ca: world.ca.clone(),
        asked: Arc::default(),
    };
    let late = json!({"failurePolicy": "Ignore", "timeoutSeconds": 1});
    configure(&world, &hook.configuration(VALIDATING, "late", late)).await;
    let api: Api<ConfigMap> = world.api();
    let post = PostParams::default();
    api.create(&post, &config_map("a", json!({})))
        .await
        .unwrap();
    let service = json!({"service": {"namespace": "default", "name": "nobody", "path": "/x"}});
    let missing = json!({"clientConfig": service, "failurePolicy": "Fail"});
    configure(&world, &hook.configuration(MUTATING, "missing", missing)).await;
    let refused = api
        .create(&post, &config_map("b", json!({})))
        .await
        .unwrap_err();
    assert_eq!(code(&refused), 500);
    let expected = "failed calling webhook \"missing.test.io\": failed to call webhook: \
        Post \"https://nobody.default.svc:443/x?timeout=10s\": service \"nobody\" not found";
    assert!(refused.to_string().contains(expected), "{refused}");
    world.server.stop().await;
}

#[tokio::test]
async fn a_patch_that_would_fill_the_memory_fails_its_request() {
    let world = World::start().await;
    let hook = Webhook::serve(|_| {
        let double =
            |n: usize| json!({"op": "copy", "from": "/data", "path": format!("/data/b{n}")});
        patched((0..60).map(double).collect())
    })
    .await;
    configure(&world, &hook.configuration(MUTATING, "bomb", json!({}))).await;
    let api: Api<ConfigMap> = world.api();
    let object = config_map("a", json!({"a": "x".repeat(1000)}));
    let refused = api
        .create(&PostParams::default(), &object)
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("copies more than"),
        "{refused}"
    );
    // A client's own patch, with the rights of any token.
    let mut list: Vec<Value> = vec![json!({"op": "add", "path": "/data", "value": {"a": {}}})];
    list.extend((2..400).map(
        |level| json!({"op": "add", "path": format!("/data{}", "/a".repeat(level)), "value": {}}),
    ));
    let path = "/api/v1/namespaces/default/configmaps/kube-root-ca.crt";
    let refused = world
        .raw(
            "PATCH",
            path,
            "application/json-patch+json",
            &json!(list).to_string(),
        )
        .await
        .unwrap_err();
    assert_eq!(code(&refused), 422);
    assert!(refused.to_string().contains("levels deep"), "{refused}");
    world.server.stop().await;
}
