//! A gateway of the Gateway API whose backend speaks TLS, checked by a BackendTLSPolicy, behind a listener of a ListenerSet.

use mesh_tests::eventually;
use serde_json::{Value, json};

use crate::gateway_api::client;
use crate::namespaces::{has, is_possible};
use crate::sandbox::{SETTLED, Sandbox};

/// Python's own web server behind TLS, and a Gateway that takes listeners of the namespace.
const BACKEND: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: server}
data:
  server.py: |
    import http.server, ssl
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"by TLS")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/srv/tls/tls.crt", "/srv/tls/tls.key")
    server = http.server.ThreadingHTTPServer(("", 8443), Page)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()
---
apiVersion: v1
kind: Pod
metadata: {name: secure, labels: {app: secure, sidecar.istio.io/inject: "false"}}
spec:
  containers:
    - name: secure
      image: example.test/secure:1
      volumeMounts:
        - {name: server, mountPath: /srv/server, readOnly: true}
        - {name: tls, mountPath: /srv/tls, readOnly: true}
  volumes: [{name: server, configMap: {name: server}}, {name: tls, secret: {secretName: secure}}]
---
apiVersion: v1
kind: Service
metadata: {name: secure}
spec:
  selector: {app: secure}
  ports: [{name: https, port: 443, targetPort: 8443}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: istio
  allowedListeners: {namespaces: {from: Same}}
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: more}
spec:
  parentRef: {name: edge}
  listeners: [{name: second, port: 8088, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: secure}
spec:
  parentRefs: [{kind: ListenerSet, name: more}]
  rules: [{backendRefs: [{name: secure, port: 443}]}]
"#;

fn policy(hostname: &str) -> String {
    let policy = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "BackendTLSPolicy",
        "metadata": {"name": "secure"},
        "spec": {
            "targetRefs": [{"group": "", "kind": "Service", "name": "secure"}],
            "validation": {
                "hostname": hostname,
                "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "authority"}],
            },
        },
    });
    policy.to_string()
}

/// The certificate of the backend, which is its own authority.
fn certificate() -> [String; 2] {
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = rcgen::CertificateParams::new(vec!["secure.example".to_owned()]);
    let certificate = certificate.expect("names").self_signed(&key);
    let certificate = certificate.expect("a certificate").pem();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "secure"},
        "stringData": {"tls.crt": certificate, "tls.key": key.serialize_pem()},
    });
    let authority = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "authority"},
        "data": {"ca.crt": certificate},
    });
    [secret.to_string(), authority.to_string()]
}

#[test]
fn a_gateway_checks_the_certificate_of_its_backend() {
    if !is_possible() || !has(&["curl", "/usr/bin/python3"]) {
        return;
    }
    let client = client();
    let client = client.path().display().to_string();
    let image = "secure=/usr/bin/python3 /srv/server/server.py";
    let words = ["--backend", "namespaces", "-f", &client, "--image", image];
    let sandbox = Sandbox::up("backend-tls", &words);
    let [secret, authority] = certificate();
    sandbox.apply_text(&secret);
    sandbox.apply_text(BACKEND);

    let ask = || sandbox.curl(&["http://edge-istio.default:8088/"]);
    // Before there is a policy, plain text comes to a server of TLS.
    eventually("the listener of the set answers", SETTLED, || {
        let answer = ask();
        (answer.len() == 4 || answer.ends_with(" 503") || answer.ends_with(" 502")).then_some(())
    });
    assert!(!ask().ends_with(" 200"));
    sandbox.apply_text(&policy("secure.example"));
    let accepted = |expected: &str| {
        sandbox.with_client(async |client| {
            let path =
                "/apis/gateway.networking.k8s.io/v1/namespaces/default/backendtlspolicies/secure";
            let request = http::Request::get(path).body(Vec::new()).unwrap();
            let policy: Value = client.request(request).await.expect("there");
            let ancestor = &policy["status"]["ancestors"][0];
            let reason = &ancestor["conditions"][0]["reason"];
            (ancestor["ancestorRef"]["name"] == "edge" && reason == expected).then_some(())
        })
    };
    eventually("the missing ConfigMap is told", SETTLED, || {
        accepted("NoValidCACertificate")
    });
    assert!(!ask().ends_with(" 200"));

    sandbox.apply_text(&authority);
    eventually("the backend is trusted", SETTLED, || {
        (ask() == "by TLS 200").then_some(())
    });
    eventually("the policy is accepted", SETTLED, || accepted("Accepted"));

    // Another name than that of the certificate.
    sandbox.apply_text(&policy("other.example"));
    eventually("the backend is not trusted", SETTLED, || {
        ask().ends_with(" 503").then_some(())
    });
}
