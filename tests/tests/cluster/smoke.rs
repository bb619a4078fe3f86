//! The shortest story that touches everything: install, inject, request, shift, mutual TLS, uninstall.

use mesh_tests::{eventually, root};

use crate::chance;
use crate::cluster::{Cluster, SETTLED};
use crate::forward::Forward;
use crate::http;

/// A program that does nothing by itself and has curl.
const CLIENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: client}
spec:
  selector: {matchLabels: {app: client}}
  template:
    metadata: {labels: {app: client}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: app
        image: meshctl/curl:test
        imagePullPolicy: IfNotPresent
";

const STRICT: &str = "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec: {mtls: {mode: STRICT}}
";

/// A gateway that the control plane makes, in the application's own namespace.
const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: public
  annotations: {networking.istio.io/service-type: ClusterIP}
spec:
  gatewayClassName: istio
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: reviews}
spec:
  parentRefs: [{name: public}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /reviews}}]
    backendRefs: [{name: reviews, port: 9080}]
";

/// A Job whose pod ends only if its sidecar does.
const JOB: &str = "
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec:
  backoffLimit: 0
  template:
    metadata: {labels: {app: once}}
    spec:
      restartPolicy: Never
      containers:
      - name: app
        image: meshctl/curl:test
        imagePullPolicy: IfNotPresent
        command: [/usr/bin/curl, -fsS, -o, /dev/null, 'http://reviews:9080/reviews/0']
";

/// Exit code of curl for a connection that ends before it is answered.
const CLOSED: [i32; 2] = [52, 56];

const INSIDE: &str = "smoke";
const OUTSIDE: &str = "smoke-outside";

#[test]
fn installed_used_and_removed() {
    let cluster = Cluster::of_environment();
    let before = cluster.objects();

    let images = std::env::var("IMAGES").unwrap_or_default();
    let mut install = vec!["install", "--profile", "demo", "-y"];
    for set in images.split_whitespace() {
        install.extend(["--set", set]);
    }
    let said = cluster.meshctl(&install);
    assert!(said.contains("Installation complete"), "{said}");
    cluster.step("installed");
    let again = cluster.meshctl(&install);
    let last = again.lines().last().unwrap_or_default();
    assert!(last.ends_with(" unchanged"), "{again}");
    cluster.step("installed again, nothing changed");

    cluster.kubectl(&["create", "namespace", OUTSIDE]);
    cluster.kubectl(&["create", "namespace", INSIDE]);
    cluster.kubectl(&["label", "namespace", INSIDE, "istio-injection=enabled"]);
    for file in [
        "platform/kube/bookinfo",
        "networking/bookinfo-gateway",
        "networking/destination-rule-all",
        "networking/virtual-service-all-v1",
    ] {
        let path = root().join(format!("samples/bookinfo/{file}.yaml"));
        cluster.kubectl(&[
            "apply",
            "--namespace",
            INSIDE,
            "-f",
            &path.display().to_string(),
        ]);
    }
    cluster.apply(INSIDE, CLIENT);
    cluster.apply(OUTSIDE, CLIENT);
    let pods = cluster.wait_for_pods(INSIDE, 2);
    assert_eq!(pods.len(), 7, "{pods:?}");
    cluster.wait_for_pods(OUTSIDE, 1);
    cluster.step("bookinfo is ready, each pod with its proxy");

    let gateway = Forward::to(&cluster, "istio-system", "service/istio-ingressgateway", 80);
    let page = format!("http://{}/productpage", gateway.address);
    eventually("the ingress gateway serves bookinfo", SETTLED, || {
        let answer = http::get(&page, &[]).ok()?;
        (answer.status == 200 && answer.body.contains("Reviewer1")).then_some(())
    });
    cluster.step("bookinfo answers through the ingress gateway");

    captured(&cluster);
    shifted(&cluster, &page);
    strict(&cluster);
    gateway_made(&cluster);

    cluster.apply(INSIDE, JOB);
    cluster.kubectl(&[
        "wait",
        "--namespace",
        INSIDE,
        "--for=condition=Complete",
        "job/once",
        "--timeout=120s",
    ]);
    cluster.step("a Job with a sidecar ends");

    drop(gateway);
    cluster.kubectl(&["delete", "namespace", INSIDE, OUTSIDE]);
    cluster.meshctl(&["uninstall", "--purge", "-y"]);
    let left = eventually("everything is gone", SETTLED, || {
        let left: Vec<String> = cluster.objects().difference(&before).cloned().collect();
        left.is_empty().then_some(left)
    });
    assert!(left.is_empty());
    cluster.step("uninstalled, nothing is left");
}

/// The versions of reviews that answer a plain curl in a pod, request by request.
fn versions(cluster: &Cluster, count: u32) -> Vec<String> {
    let url = format!("http://reviews:9080/reviews/0?[1-{count}]");
    let (code, text) = cluster.exec(
        INSIDE,
        "deployment/client",
        &["/usr/bin/curl", "-fsS", &url],
    );
    assert_eq!(code, Some(0), "{text}");
    let stars = |json: &str| match (json.contains("\"red\""), json.contains("\"black\"")) {
        (true, _) => "v3",
        (_, true) => "v2",
        _ => "v1",
    };
    text.split("{\"id\"")
        .skip(1)
        .map(|json| stars(json).to_owned())
        .collect()
}

/// A plain program's connections are the proxy's to route, out and in.
fn captured(cluster: &Cluster) {
    eventually(
        "a plain curl is routed by the VirtualService",
        SETTLED,
        || {
            let found = versions(cluster, 30);
            (found.len() == 30 && found.iter().all(|version| version == "v1")).then_some(())
        },
    );
    // The server's own proxy answers, to a client that has none.
    let host = format!("http://reviews.{INSIDE}:9080/reviews/0");
    let (code, head) = cluster.exec(
        OUTSIDE,
        "deployment/client",
        &["/usr/bin/curl", "-fsSI", "-X", "GET", &host],
    );
    assert_eq!(code, Some(0), "{head}");
    let server = head
        .lines()
        .find(|line| line.starts_with("server:") || line.starts_with("x-envoy-"));
    assert!(server.is_some(), "{head}");
    cluster.step("connections are captured, out and in");
}

/// Half of the traffic to another version, measured by what arrives.
fn shifted(cluster: &Cluster, page: &str) {
    let said = cluster.run(
        "meshctl",
        &[
            "shift",
            "reviews",
            "v3=50",
            "--namespace",
            INSIDE,
            "--probe",
            page,
            "-y",
        ],
    );
    cluster.step(&format!(
        "shift: {}",
        said.0.lines().last().unwrap_or_default()
    ));
    let found = versions(cluster, 200);
    let v3 = found.iter().filter(|version| *version == "v3").count();
    let v3 = u32::try_from(v3).expect("a count");
    chance::check("reviews v3", v3, 200, 0.5);
    assert!(found.iter().all(|version| version != "v2"), "{found:?}");
    cluster.step(&format!("reviews v3=50: {v3} of 200"));
}

/// Who has no certificate is not served; who has is.
fn strict(cluster: &Cluster) {
    let outside = |path: &str| {
        let url = format!("http://reviews.{INSIDE}:9080{path}");
        let words = ["/usr/bin/curl", "-fsS", "-o", "/dev/null", &url];
        cluster.exec(OUTSIDE, "deployment/client", &words).0
    };
    assert_eq!(outside("/reviews/0"), Some(0));
    cluster.apply(INSIDE, STRICT);
    eventually("plain text is refused", SETTLED, || {
        let code = outside("/reviews/0")?;
        CLOSED.contains(&code).then_some(())
    });
    assert_eq!(versions(cluster, 10).len(), 10);
    cluster.step("mutual TLS is strict: plain text is refused, the mesh goes on");
}

/// A Gateway of the Gateway API gets pods and a Service, says so, and serves under strict mutual TLS as the ingress gateway does.
fn gateway_made(cluster: &Cluster) {
    cluster.apply(INSIDE, GATEWAY);
    cluster.kubectl(&[
        "wait",
        "--namespace",
        INSIDE,
        "--for=condition=Programmed",
        "gateways.gateway.networking.k8s.io/public",
        "--timeout=120s",
    ]);
    let forward = Forward::to(cluster, INSIDE, "service/public-istio", 80);
    let ask = |path: &str| http::get(&format!("http://{}{path}", forward.address), &[]).ok();
    eventually("the gateway serves its route", SETTLED, || {
        let answer = ask("/reviews/0")?;
        (answer.status == 200 && answer.body.contains("Reviewer1")).then_some(())
    });
    assert_eq!(ask("/productpage").map(|answer| answer.status), Some(404));
    cluster.step("a Gateway has pods and a Service of its own");
}
