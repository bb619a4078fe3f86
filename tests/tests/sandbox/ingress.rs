//! An Ingress as the first tutorials use it: obeyed by the ingress gateway, whose address its status tells.

use std::process::Command;

use k8s_openapi::api::networking::v1::Ingress;
use kube::Api;
use mesh_tests::eventually;

use crate::gateway_api::{client, secret};
use crate::namespaces::has;
use crate::sandbox::{SETTLED, Sandbox};

const INGRESS: &str = r#"
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: mesh}
spec: {controller: istio.io/ingress-controller}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: by-class, namespace: default}
spec:
  ingressClassName: mesh
  tls: [{hosts: [httpbin.example.com], secretName: example}]
  rules:
  - host: httpbin.example.com
    http:
      paths:
      - {path: /status, pathType: Prefix, backend: {service: {name: httpbin, port: {name: http}}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: by-annotation, namespace: default, annotations: {kubernetes.io/ingress.class: istio}}
spec: {defaultBackend: {service: {name: httpbin, port: {number: 8000}}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: foreign, namespace: default}
spec:
  ingressClassName: other
  rules: [{host: other.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: httpbin, port: {number: 8000}}}}]}}]
"#;

#[test]
fn ingresses_are_obeyed_and_told_their_address() {
    if !has(&["curl"]) {
        return;
    }
    let client = client();
    let client = client.path().display().to_string();
    let words = ["-f", "samples/httpbin/httpbin.yaml", "-f", &client];
    let sandbox = Sandbox::up("ingress", &words);
    sandbox.apply_text(&secret("istio-system"));
    sandbox.apply_text(INGRESS);

    let ask = |host: &str, path: &str| {
        let url = format!("{}{path}", sandbox.ingress);
        let host = format!("host: {host}");
        let words = [
            "-s",
            "-m",
            "5",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-H",
            &host,
            &url,
        ];
        let output = Command::new("curl")
            .args(words)
            .output()
            .expect("curl runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    eventually("a path by the name of a port", SETTLED, || {
        (ask("httpbin.example.com", "/status/418") == "418").then_some(())
    });
    eventually("the default backend", SETTLED, || {
        (ask("anything.example.com", "/status/201") == "201").then_some(())
    });

    let address = |name: &'static str| {
        sandbox.with_client(async |client| {
            let api: Api<Ingress> = Api::namespaced(client, "default");
            let status = api.get(name).await.expect("there").status?;
            status.load_balancer?.ingress?.into_iter().next()?.ip
        })
    };
    let [at, _] = ["by-class", "by-annotation"]
        .map(|name| eventually("the address is told", SETTLED, || address(name)));
    let resolve = format!("httpbin.example.com:443:{at}");
    let url = "https://httpbin.example.com/status/418";
    eventually("the path over TLS", SETTLED, || {
        let answer = sandbox.curl(&["-k", "--resolve", &resolve, url]);
        answer.ends_with(" 418").then_some(())
    });
    assert_eq!(address("foreign"), None);
}
