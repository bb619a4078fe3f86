//! HTTP/2 by the book: h2spec's cases, the strict ones too, against a gateway.

use std::process::Command;

use mesh_tests::eventually;

use crate::http::Connection;
use crate::mesh::{LIMIT, Mesh};
use crate::yaml::PodSpec;

const PODS: [PodSpec; 2] = [
    PodSpec::GATEWAY,
    PodSpec::serving("echo", "echo", "v1", "echo", 8080),
];

const CONFIG: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: istio-ingressgateway, namespace: default}
spec:
  clusterIP: 10.96.0.200
  selector: {app: istio-ingressgateway}
  ports: [{name: http2, port: 80, targetPort: 8080}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: default}
spec:
  selector: {app: istio-ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: front, namespace: default}
spec:
  hosts: ["*"]
  gateways: [front]
  http: [{route: [{destination: {host: echo}}]}]
"#;

/// The port speaks HTTP/1.1 as well, so that what is no preface is answered with its 400 before the connection ends.
const EXPLAINED: [&str; 1] = ["\u{d7} 2: Sends invalid connection preface"];

#[test]
#[ignore = "needs h2spec, which tests/run h2spec builds"]
fn h2spec_finds_only_what_is_explained() {
    let h2spec = std::env::var_os("H2SPEC").expect("H2SPEC is the path of h2spec");
    let mut mesh = Mesh::start(&PODS, CONFIG);
    let gateway = mesh.pod("gateway").at(8080);
    eventually("the gateway serves", LIMIT, || {
        let mut connection = Connection::open(gateway).ok()?;
        let answer = connection.get("/status/200", &[]).ok()?;
        (answer.status == 200).then_some(())
    });
    let run = Command::new(h2spec)
        .args(["--strict", "--timeout", "5", "--path", "/headers"])
        .args(["--host", &gateway.ip().to_string()])
        .args(["--port", &gateway.port().to_string()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    let (_, failures) = said.split_once("Failures:").unwrap_or_default();
    let failed: Vec<&str> = failures
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with('\u{d7}'))
        .collect();
    assert_eq!(failed, EXPLAINED, "{said}");
    assert!(said.contains(" tests, "), "nothing was tested");
}
