//! Authorizers outside of the proxy (`action: CUSTOM`), over HTTP and by gRPC, and what happens when nobody answers.

use mesh_tests::eventually;

use crate::authorization::{logged, policy};
use crate::http::{Answer, Connection};
use crate::mesh::{LIMIT, Mesh};
use crate::yaml::PodSpec;

/// A client, a server, and an authorizer for each protocol.
const PODS: [PodSpec; 4] = [
    PodSpec {
        account: Some("friend"),
        ..PodSpec::CLIENT
    },
    PodSpec {
        account: Some("echo"),
        ..PodSpec::serving("echo", "echo", "v1", "echo", 8080)
    },
    PodSpec {
        account: Some("authz"),
        ..PodSpec::serving("authz", "authz", "v1", "ext-authz", 8000)
    },
    PodSpec {
        account: Some("checker"),
        port_name: "grpc",
        ..PodSpec::serving(
            "checker",
            "checker",
            "v1",
            "ext-authz -http=8001 -grpc=9000 -allow_sa=friend",
            9000,
        )
    },
];

const PROVIDERS: &str = "    extensionProviders:
    - name: over-http
      envoyExtAuthzHttp:
        service: authz.default.svc.cluster.local
        port: 8000
        pathPrefix: /check
        includeRequestHeadersInCheck: [x-ext-authz, 'x-team*']
        includeAdditionalHeadersInCheck: {x-added: mesh}
        includeRequestBodyInCheck: {maxRequestBytes: 16, allowPartialMessage: true}
        headersToUpstreamOnAllow: ['x-ext-authz-*']
        headersToDownstreamOnDeny: [x-ext-authz-check-result]
        headersToDownstreamOnAllow: [x-ext-authz-check-result]
    - name: whole-bodies
      envoyExtAuthzHttp:
        service: authz.default.svc.cluster.local
        port: 8000
        includeRequestHeadersInCheck: [x-ext-authz]
        includeRequestBodyInCheck: {maxRequestBytes: 16}
    - name: by-grpc
      envoyExtAuthzGrpc: {service: default/checker.default.svc.cluster.local, port: '9000', timeout: 5s}
    - name: gone
      envoyExtAuthzGrpc: {service: gone.default.svc.cluster.local, port: 9000, statusOnError: '503'}
    - name: gone-open
      envoyExtAuthzHttp: {service: gone.default.svc.cluster.local, port: 9000, failOpen: true}
";

/// A service without endpoints.
const GONE: &str = "apiVersion: v1
kind: Service
metadata: {name: gone, namespace: default}
spec:
  clusterIP: 10.96.7.7
  ports: [{name: grpc, port: 9000}]
---
";

fn custom(provider: &str, rules: &str) -> String {
    let spec = format!(
        "{{selector: {{matchLabels: {{app: echo}}}}, action: CUSTOM, provider: {{name: {provider}}}, rules: {rules}}}"
    );
    policy("ask", &spec)
}

const ADMIN: &str = "[{to: [{operation: {paths: [/echo*]}}]}]";

/// One request to the pod `echo`, as it comes from a program without a proxy.
#[track_caller]
fn send(mesh: &mut Mesh, head: &str, fields: &str, body: &str) -> Answer {
    let mut connection = Connection::open(mesh.pod("echo").at(8080)).unwrap();
    let length = body.len();
    let request = format!(
        "{head} HTTP/1.1\r\nhost: echo:8080\r\n{fields}content-length: {length}\r\n\r\n{body}"
    );
    connection.send(request.as_bytes()).unwrap();
    connection.receive().unwrap()
}

#[track_caller]
fn start(provider: &str, others: &str) -> Mesh {
    let extra = [GONE, &custom(provider, ADMIN), others].concat();
    Mesh::start_with(&PODS, PROVIDERS, &extra)
}

const ALLOWED: &str = "x-ext-authz: allow\r\nx-team: red\r\naccept: x\r\n";

#[test]
fn an_authorizer_over_http_decides_and_is_told_what_is_asked_for() {
    let mut mesh = start("over-http", "");
    // Nothing is asked about what no rule matches.
    assert_eq!(send(&mut mesh, "GET /status/200", "", "").status, 200);

    let denied = send(&mut mesh, "GET /echo?a=b", "", "");
    assert_eq!(denied.status, 403);
    assert!(denied.body.starts_with("denied by ext_authz"), "{denied:?}");
    assert_eq!(denied.header("x-ext-authz-check-result"), Some("denied"));
    assert_eq!(denied.header("x-ext-authz-check-received"), None);
    logged(mesh.pod("echo"), &["403 UAEX ext_authz_denied"]);

    let allowed = send(&mut mesh, "GET /echo?a=b", ALLOWED, "");
    assert_eq!(allowed.status, 200, "{allowed:?}");
    assert_eq!(allowed.header("x-ext-authz-check-result"), Some("allowed"));
    let told = &allowed.body;
    for text in [
        r#""X-Ext-Authz-Check-Result":"allowed""#,
        "GET /check/echo?a=b",
        "x-added: mesh",
        "x-team: red",
        "host: echo:8080",
    ] {
        assert!(told.contains(text), "{text} is not in {told}");
    }
    assert!(!told.contains("accept: x;"), "{told}");

    // The beginning of the body is told, and all of it goes on.
    let body = "0123456789abcdefghijklmnopqrstuvwxyz";
    let allowed = send(&mut mesh, "POST /echo", ALLOWED, body);
    assert_eq!(allowed.status, 200, "{allowed:?}");
    assert!(allowed.body.contains("body of 16 bytes"), "{allowed:?}");
    assert!(
        allowed.body.contains("x-envoy-auth-partial-body: true"),
        "{allowed:?}"
    );
    assert!(
        allowed.body.contains(&format!(r#""data":"{body}""#)),
        "{allowed:?}"
    );
}

#[test]
fn a_body_that_is_too_long_for_the_authorizer_is_refused() {
    let mut mesh = start("whole-bodies", "");
    let fits = send(&mut mesh, "POST /echo", ALLOWED, "0123456789");
    assert_eq!(fits.status, 200, "{fits:?}");
    assert!(fits.body.contains(r#""data":"0123456789""#), "{fits:?}");
    let refused = send(&mut mesh, "POST /echo", ALLOWED, "0123456789abcdefg");
    assert_eq!(refused.status, 413, "{refused:?}");
    logged(mesh.pod("echo"), &["413 - request_payload_too_large"]);
    // Without any list all of the answer is for the client.
    let denied = send(&mut mesh, "GET /echo", "", "");
    assert_eq!(denied.header("x-ext-authz-check-result"), Some("denied"));
    assert!(denied.header("x-ext-authz-check-received").is_some());
}

#[test]
fn an_authorizer_by_grpc_decides_and_knows_who_asks() {
    let mut mesh = start("by-grpc", "");
    let denied = send(&mut mesh, "GET /echo", "", "");
    assert_eq!(denied.status, 403);
    assert!(denied.body.starts_with("denied by ext_authz"), "{denied:?}");
    assert_eq!(denied.header("x-ext-authz-check-result"), Some("denied"));
    let allowed = send(
        &mut mesh,
        "GET /echo?a=b",
        "x-ext-authz: allow\r\nx-ext-authz-additional-header-override: mine\r\n",
        "",
    );
    assert_eq!(allowed.status, 200, "{allowed:?}");
    assert!(
        allowed.body.contains("GET echo:8080/echo?a=b"),
        "{allowed:?}"
    );
    let overridden =
        r#""X-Ext-Authz-Additional-Header-Override":"grpc-additional-header-override-value""#;
    assert!(allowed.body.contains(overridden), "{allowed:?}");

    // By its certificate.
    let mut connection = mesh.pod("client").outbound();
    let answer = connection.get("http://echo:8080/echo", &[]).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    let principal = "spiffe://cluster.local/ns/default/sa/friend";
    assert!(answer.body.contains(principal), "{answer:?}");
}

#[test]
fn nothing_passes_when_nobody_answers_unless_that_is_asked_for() {
    let mut mesh = start("gone", "");
    let refused = send(&mut mesh, "GET /echo", ALLOWED, "");
    assert_eq!((refused.status, &*refused.body), (503, ""));
    logged(mesh.pod("echo"), &["503 UAEX ext_authz_error"]);
    mesh.configure(&[GONE, &custom("gone-open", ADMIN)].concat());
    eventually("requests pass", LIMIT, || {
        (send(&mut mesh, "GET /echo", "", "").status == 200).then_some(())
    });
    mesh.configure(&[GONE, &custom("nobody-knows", ADMIN)].concat());
    eventually("an unknown authorizer denies", LIMIT, || {
        (send(&mut mesh, "GET /echo", ALLOWED, "").status == 403).then_some(())
    });
}

#[test]
fn policies_after_the_authorizer_see_what_it_has_made_of_the_request() {
    let deny = policy(
        "after",
        "{action: DENY, rules: [{when: [{key: 'request.headers[x-ext-authz-check-result]', values: [allowed]}]}]}",
    );
    let mut mesh = start("over-http", &deny);
    let denied = send(&mut mesh, "GET /echo", "", "");
    assert!(denied.body.starts_with("denied by ext_authz"), "{denied:?}");
    let denied = send(&mut mesh, "GET /echo", ALLOWED, "");
    assert_eq!(denied.body, "RBAC: access denied");
    let forged = "x-ext-authz-check-result: allowed\r\n";
    assert_eq!(send(&mut mesh, "GET /status/200", forged, "").status, 403);
}

#[test]
fn connections_are_asked_about_by_grpc() {
    let mut pods = PODS;
    pods[1].port_name = "tcp";
    let extra = custom("by-grpc", "[{to: [{operation: {ports: ['8080']}}]}]");
    let mut mesh = Mesh::start_with(&pods, PROVIDERS, &[GONE, &extra].concat());
    let mut stranger = Connection::open(mesh.pod("echo").at(8080)).unwrap();
    let _ = stranger.send(b"GET /status/200 HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(stranger.is_closed());
    logged(mesh.pod("echo"), &["UAEX", "ext_authz_denied"]);
    let mut friend = mesh.pod("client").outbound();
    let answer = friend.get("http://echo:8080/status/200", &[]).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    mesh.configure(&[GONE, &extra.replace("by-grpc", "over-http")].concat());
    // Nobody can be asked about connections over HTTP.
    eventually("connections are closed", LIMIT, || {
        let mut stranger = Connection::open(mesh.pod("echo").at(8080)).unwrap();
        assert!(stranger.is_closed());
        let log = mesh.pod("echo").proxy.stdout();
        let rule = "rbac_access_denied_matched_policy[ns[default]-policy[ask]-rule[0]]";
        log.contains(rule).then_some(())
    });
}
