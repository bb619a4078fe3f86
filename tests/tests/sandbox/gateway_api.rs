//! The Gateway API task of Istio's documentation: a Gateway gets pods and a Service of its own, and an HTTPRoute of another namespace leads
//! requests through it.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use mesh_tests::eventually;
use serde_json::{Value, json};

use crate::exec;
use crate::namespaces::has;
use crate::sandbox::{SETTLED, Sandbox};

const GATEWAY: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: istio-ingress}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gateway, namespace: istio-ingress}
spec:
  gatewayClassName: istio
  infrastructure: {labels: {team: edge}}
  listeners:
  - name: default
    hostname: "*.example.com"
    port: 80
    protocol: HTTP
    allowedRoutes: {namespaces: {from: All}}
  - name: https
    hostname: "*.example.com"
    port: 443
    protocol: HTTPS
    tls: {certificateRefs: [{name: example}]}
    allowedRoutes: {namespaces: {from: All}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: http, namespace: default}
spec:
  parentRefs: [{name: gateway, namespace: istio-ingress}]
  hostnames: [httpbin.example.com]
  rules:
  - matches: [{path: {type: PathPrefix, value: /get}}]
    backendRefs: [{name: httpbin, port: 8000}]
"#;

/// A client without a sidecar, as outside of the mesh.
const CLIENT: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: client, labels: {sidecar.istio.io/inject: "false"}}
spec:
  containers: [{name: client, image: curlimages/curl, command: [sleep, infinity]}]
"#;

#[test]
fn a_gateway_gets_pods_of_its_own_and_leads_requests_to_routes() {
    if !has(&["curl"]) {
        return;
    }
    let client = client();
    let client = client.path().display().to_string();
    let words = ["-f", "samples/httpbin/httpbin.yaml", "-f", &client];
    let sandbox = Sandbox::up("gateway-api", &words);
    sandbox.apply_text(GATEWAY);
    sandbox.apply_text(&secret("istio-ingress"));

    let address = sandbox.address_of_gateway();
    let plain = |path: &str| {
        let host = "host: httpbin.example.com";
        let url = format!("http://{address}{path}");
        sandbox.curl(&["-H", host, &url])
    };
    eventually("the route answers", SETTLED, || {
        plain("/get").ends_with(" 200").then_some(())
    });
    assert!(plain("/get").contains("httpbin.example.com"));
    assert!(plain("/headers").ends_with(" 404"));
    let other = format!("http://{address}/get");
    assert!(
        sandbox
            .curl(&["-H", "host: other.test", &other])
            .ends_with(" 404")
    );

    // Its pods are given the certificate that it names, with no right to read Secrets.
    let resolve = format!("httpbin.example.com:443:{address}");
    let url = "https://httpbin.example.com/get";
    eventually("the route answers over TLS", SETTLED, || {
        let answer = sandbox.curl(&["-k", "--resolve", &resolve, url]);
        answer.ends_with(" 200").then_some(())
    });

    // What is taken away comes again, and goes with the Gateway.
    sandbox.with_client(async |client| {
        let deployments: Api<Deployment> = Api::namespaced(client, "istio-ingress");
        let made = deployments.get("gateway-istio").await.expect("made");
        let labels = made.metadata.labels.unwrap_or_default();
        assert_eq!(labels.get("team").map(String::as_str), Some("edge"));
        let params = kube::api::DeleteParams::default();
        let gone = deployments.delete("gateway-istio", &params).await;
        gone.expect("deleted");
    });
    eventually("the Deployment is there again", SETTLED, || {
        sandbox.has_deployment().then_some(())
    });
    sandbox.delete_gateway();
    eventually("nothing is left of the Gateway", SETTLED, || {
        (!sandbox.has_deployment()).then_some(())
    });
}

/// The file of the client.
pub fn client() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::with_suffix(".yaml").expect("a file");
    std::fs::write(file.path(), CLIENT).expect("it can be written");
    file
}

/// A certificate for `*.example.com`.
pub fn secret(namespace: &str) -> String {
    let key = rcgen::KeyPair::generate().expect("a key");
    let names = vec!["*.example.com".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).expect("names");
    let certificate = certificate.self_signed(&key).expect("a certificate");
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": "example", "namespace": namespace},
        "stringData": {"tls.crt": certificate.pem(), "tls.key": key.serialize_pem()},
    });
    secret.to_string()
}

impl Sandbox {
    /// The address of the Gateway's Service.
    #[track_caller]
    fn address_of_gateway(&self) -> String {
        eventually(
            "the Service has an address",
            Duration::from_secs(60),
            || {
                self.with_client(async |client| {
                    let services: Api<Service> = Api::namespaced(client, "istio-ingress");
                    let service = services.get_opt("gateway-istio").await.ok()??;
                    let status: Value = serde_json::to_value(service.status?).ok()?;
                    let address = status["loadBalancer"]["ingress"][0]["ip"].as_str()?;
                    Some(address.to_owned())
                })
            },
        )
    }

    /// What the client gets: the body, and the status at the end.
    pub fn curl(&self, words: &[&str]) -> String {
        let mut all = vec!["curl", "-s", "-m", "5", "-o", "-", "-w", " %{http_code}"];
        all.extend(words);
        exec::output(self, "client", &all)
    }

    fn has_deployment(&self) -> bool {
        self.with_client(async |client| {
            let deployments: Api<Deployment> = Api::namespaced(client, "istio-ingress");
            let found = deployments.get_opt("gateway-istio").await;
            found.expect("an answer").is_some()
        })
    }

    /// Deletes the Gateway.
    #[track_caller]
    fn delete_gateway(&self) {
        self.with_client(async |client| {
            let path =
                "/apis/gateway.networking.k8s.io/v1/namespaces/istio-ingress/gateways/gateway";
            let request = http::Request::delete(path).body(Vec::new()).unwrap();
            let _: Value = client.request(request).await.expect("deleted");
        });
    }
}
