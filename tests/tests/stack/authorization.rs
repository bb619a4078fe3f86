//! Who may do what: `AuthorizationPolicy` in front of workloads, as the tutorials write it.

use mesh_tests::eventually;

use crate::drain::ECHO;
use crate::http::{Answer, Connection};
use crate::mesh::{LIMIT, Mesh, Pod};
use crate::telemetry::check;
use crate::yaml::PodSpec;

/// A policy of the namespace `default`, with the lines of its `spec` as flow mappings.
pub fn policy(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: {name}, namespace: default}}\nspec: {spec}\n---\n"
    )
}

/// One request to the pod `echo`, as it comes from a program without a proxy.
#[track_caller]
fn request(mesh: &mut Mesh, method: &str, path: &str, fields: &str) -> Answer {
    let mut connection = Connection::open(mesh.pod("echo").at(8080)).unwrap();
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: echo:8080\r\n{fields}content-length: 0\r\n\r\n");
    connection.send(head.as_bytes()).unwrap();
    connection.receive().unwrap()
}

/// Changes the policies and waits until a request is answered otherwise than before.
#[track_caller]
fn apply(mesh: &mut Mesh, policies: &str, path: &str, status: u16) {
    mesh.configure(policies);
    eventually("the policies are in force", LIMIT, || {
        (request(mesh, "GET", path, "").status == status).then_some(())
    });
}

/// Waits for a line of a proxy's access log that has all the words.
#[track_caller]
pub fn logged(pod: &Pod, words: &[&str]) {
    eventually(&format!("{words:?} is logged"), LIMIT, || {
        let log = pod.proxy.stdout();
        let mut lines = log.lines();
        lines.find(|line| words.iter().all(|word| line.contains(word)))?;
        Some(())
    });
}

#[test]
fn nothing_is_allowed_but_what_policies_allow() {
    let mut mesh = Mesh::start(&ECHO, "");
    assert_eq!(request(&mut mesh, "GET", "/status/200", "").status, 200);

    apply(&mut mesh, &policy("nothing", "{}"), "/status/200", 403);
    let denied = request(&mut mesh, "GET", "/status/200", "");
    assert_eq!(denied.body, "RBAC: access denied");
    assert_eq!(denied.header("content-type"), Some("text/plain"));
    logged(
        mesh.pod("echo"),
        &["403 - rbac_access_denied_matched_policy[none]"],
    );

    let reads = "{selector: {matchLabels: {app: echo}}, action: ALLOW, rules: [{to: [{operation: {methods: [GET], paths: [/status/*]}}]}]}";
    let team = "{action: ALLOW, rules: [{when: [{key: 'request.headers[x-team]', values: [red, blue-*]}]}]}";
    let policies = [
        policy("nothing", "{}"),
        policy("reads", reads),
        policy("team", team),
    ];
    apply(&mut mesh, &policies.concat(), "/status/200", 200);
    for (method, path, fields, status) in [
        ("GET", "/status/418", "", 418),
        ("POST", "/status/200", "", 403),
        ("GET", "/echo", "", 403),
        ("GET", "/other/../status/200", "", 200),
        ("GET", "//status//200", "", 200),
        ("GET", "/%73tatus/200", "", 200),
        ("GET", "/STATUS/200", "", 403),
        ("POST", "/status/200", "x-team: red\r\n", 200),
        ("POST", "/status/200", "x-team: blue-2\r\n", 200),
        ("POST", "/status/200", "x-team: green\r\n", 403),
        // The program may look at either value.
        (
            "POST",
            "/status/200",
            "x-team: red\r\nx-team: green\r\n",
            403,
        ),
        // Not 100, since nobody would want the body.
        ("POST", "/status/200", "expect: 100-continue\r\n", 403),
    ] {
        let answer = request(&mut mesh, method, path, fields);
        assert_eq!(answer.status, status, "{method} {path} {fields:?}");
    }
}

#[test]
fn what_is_denied_says_by_which_rule_to_those_who_may_know() {
    let deny = "{action: DENY, rules: [{to: [{operation: {methods: [DELETE]}}]}, {to: [{operation: {paths: [/admin, '/status/{*}/secret']}}]}]}";
    let allow = "{rules: [{}]}";
    let policies = [policy("deny", deny), policy("allow", allow)].concat();
    let mut mesh = Mesh::start(&ECHO, &policies);
    for (method, path, status) in [
        ("GET", "/status/200", 200),
        ("DELETE", "/status/200", 403),
        ("GET", "/admin", 403),
        ("GET", "//admin", 403),
        ("GET", "/x/..\\admin", 403),
        ("GET", "/admin?a=b", 403),
        ("GET", "/status/1/secret", 403),
    ] {
        let answer = request(&mut mesh, method, path, "");
        assert_eq!(answer.status, status, "{method} {path}");
    }
    let echo = mesh.pod("echo");
    let details = "403 - rbac_access_denied_matched_policy[ns[default]-policy[deny]-rule[0]]";
    logged(echo, &["\"DELETE /status/200 HTTP/1.1\"", details]);
    for (rule, count) in [(0, 1), (1, 5)] {
        let name = format!("ns[default]-policy[deny]-rule[{rule}]");
        check(echo, &["envoy_rbac_denied", &name], count);
    }
    let words = ["istio_requests_total{", "response_code=\"403\""];
    check(echo, &words, 6);
}

#[test]
fn a_dry_run_is_counted_and_changes_nothing() {
    let dry_run = policy(
        "tried",
        "{action: DENY, rules: [{to: [{operation: {paths: [/status/*]}}]}]}",
    )
    .replace(
        "namespace: default}",
        "namespace: default, annotations: {istio.io/dry-run: 'true'}}",
    );
    let audit = policy(
        "audited",
        "{action: AUDIT, rules: [{to: [{operation: {methods: [POST]}}]}]}",
    );
    let mut mesh = Mesh::start(&ECHO, &[dry_run, audit].concat());
    assert_eq!(request(&mut mesh, "GET", "/status/200", "").status, 200);
    assert_eq!(request(&mut mesh, "POST", "/status/200", "").status, 200);
    let echo = mesh.pod("echo");
    check(
        echo,
        &["envoy_rbac_shadow_denied", "policy[tried]-rule[0]"],
        2,
    );
    check(echo, &["envoy_rbac_audited", "policy[audited]-rule[0]"], 1);
}

#[test]
fn a_policy_whose_authorizer_nobody_knows_denies_what_it_is_about() {
    let custom = "{action: CUSTOM, provider: {name: nobody}, rules: [{to: [{operation: {paths: [/admin*]}}]}]}";
    let mut mesh = Mesh::start(&ECHO, &policy("ask", custom));
    assert_eq!(request(&mut mesh, "GET", "/status/200", "").status, 200);
    assert_eq!(request(&mut mesh, "GET", "/admin/x", "").status, 403);
}

#[test]
fn the_root_namespace_is_for_the_whole_mesh_a_selector_for_its_pods() {
    let other = policy(
        "other",
        "{selector: {matchLabels: {app: other}}, action: DENY, rules: [{}]}",
    );
    let mut mesh = Mesh::start(&ECHO, &other);
    assert_eq!(request(&mut mesh, "GET", "/status/200", "").status, 200);
    let everywhere = policy("mesh", "{action: DENY, rules: [{}]}")
        .replace("namespace: default", "namespace: istio-system");
    apply(&mut mesh, &everywhere, "/status/200", 403);
    apply(&mut mesh, "", "/status/200", 200);
}

#[test]
fn connections_are_closed_by_address_and_http_fields_never_open_a_port() {
    let tcp = PodSpec {
        port_name: "tcp",
        ..ECHO[1]
    };
    let mut mesh = Mesh::start(&[PodSpec::CLIENT, tcp], "");
    let is_served = |mesh: &mut Mesh| {
        let mut connection = Connection::open(mesh.pod("echo").at(8080)).unwrap();
        // A connection that is closed at once may be so before the request has gone out.
        let answer = connection.get("/status/200", &[]);
        answer.is_ok_and(|answer| answer.status == 200)
    };
    assert!(is_served(&mut mesh));
    for (name, spec, served) in [
        ("nothing", "{}", false),
        (
            "port",
            "{rules: [{to: [{operation: {ports: ['8080']}}]}]}",
            true,
        ),
        // Of no use to a connection: nothing is allowed.
        (
            "method",
            "{rules: [{to: [{operation: {methods: [GET]}}]}]}",
            false,
        ),
        (
            "address",
            "{rules: [{from: [{source: {ipBlocks: [127.0.0.0/8]}}]}]}",
            true,
        ),
        (
            "elsewhere",
            "{action: DENY, rules: [{from: [{source: {ipBlocks: [10.0.0.0/8]}}]}]}",
            true,
        ),
        (
            "here",
            "{action: DENY, rules: [{from: [{source: {notIpBlocks: [10.0.0.0/8]}}]}]}",
            false,
        ),
        ("all", "{rules: [{}]}", true),
        // What a connection does not have is ignored where it denies.
        (
            "deny",
            "{action: DENY, rules: [{to: [{operation: {ports: ['8080'], paths: [/admin]}}]}]}",
            false,
        ),
    ] {
        mesh.configure(&policy(name, spec));
        eventually(&format!("{name} is in force"), LIMIT, || {
            (is_served(&mut mesh) == served).then_some(())
        });
        if !served {
            logged(mesh.pod("echo"), &["rbac_access_denied_matched_policy["]);
        }
    }
    let echo = mesh.pod("echo");
    logged(
        echo,
        &["rbac_access_denied_matched_policy[ns[default]-policy[deny]-rule[0]]"],
    );
    let words = ["envoy_rbac_denied", "ns[default]-policy[here]-rule[0]"];
    eventually("the denial is counted", LIMIT, || {
        let page = echo.admin("/stats/prometheus").body;
        let mut lines = page.lines();
        lines.find(|line| words.iter().all(|word| line.contains(word)))?;
        Some(())
    });
}
