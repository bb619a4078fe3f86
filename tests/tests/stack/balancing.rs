//! Which endpoint takes a request: by hashes of requests, and by what endpoints are able to.

use mesh_tests::eventually;

use crate::mesh::{LIMIT, Mesh};
use crate::routing::{HELLO, URL};

/// A DestinationRule with one line of a policy.
pub fn policy(policy: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata:\n  name: helloworld\n  namespace: default\n\
         spec:\n  host: helloworld\n  trafficPolicy:\n    {policy}\n"
    )
}

#[track_caller]
fn version(mesh: &mut Mesh, headers: &[(&str, &str)]) -> bool {
    let answer = mesh.pod("client").outbound().get(URL, headers).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body.contains("version: v2")
}

#[test]
fn users_stay_with_an_endpoint_by_a_header() {
    let rule = policy("loadBalancer: {consistentHash: {httpHeaderName: x-user}}");
    let mut mesh = Mesh::start(&HELLO, &rule);
    let first: Vec<bool> = (0..20)
        .map(|user| version(&mut mesh, &[("x-user", &format!("user-{user}"))]))
        .collect();
    assert!(first.contains(&true) && first.contains(&false), "{first:?}");
    for _ in 0..3 {
        let again: Vec<bool> = (0..20)
            .map(|user| version(&mut mesh, &[("x-user", &format!("user-{user}"))]))
            .collect();
        assert_eq!(again, first);
    }
}

#[test]
fn users_stay_with_an_endpoint_by_a_cookie_that_is_made_for_them() {
    let rule = policy(
        "loadBalancer: {consistentHash: {httpCookie: {name: user, path: /, ttl: 60s}, maglev: {}}}",
    );
    let mut mesh = Mesh::start(&HELLO, &rule);
    for _ in 0..5 {
        let answer = mesh.pod("client").outbound().get(URL, &[]).unwrap();
        let made = answer.header("set-cookie").unwrap().to_owned();
        assert!(
            made.starts_with("user=\"") && made.ends_with("\"; Max-Age=60; Path=/; HttpOnly"),
            "{made}"
        );
        let cookie = made.split(';').next().unwrap();
        for _ in 0..4 {
            let next = mesh
                .pod("client")
                .outbound()
                .get(URL, &[("cookie", cookie)])
                .unwrap();
            assert_eq!(next.header("set-cookie"), None);
            assert_eq!(
                next.body.contains("version: v2"),
                answer.body.contains("version: v2")
            );
        }
    }
}

#[test]
fn an_endpoint_that_fails_gets_nothing_for_a_while() {
    let rule = policy(
        "outlierDetection: {consecutive5xxErrors: 2, interval: 500ms, baseEjectionTime: 4s, maxEjectionPercent: 100}",
    );
    let mut mesh = Mesh::start(&HELLO, &rule);
    let failing = mesh.pod("helloworld-v1").at(5000);
    let flags = format!("outbound|5000||helloworld.default.svc.cluster.local::{failing}");
    let says = |mesh: &mut Mesh, line: &str| {
        let page = mesh.pod("client").admin("/clusters").body;
        let line = format!("{flags}::{line}");
        page.lines().any(|it| it == line)
    };
    assert!(says(&mut mesh, "health_flags::healthy"));
    if let Some(app) = &mut mesh.pod("helloworld-v1").app {
        app.kill();
    }
    eventually("it is ejected", LIMIT, || {
        mesh.pod("client").outbound().get(URL, &[]).unwrap();
        says(&mut mesh, "health_flags::/failed_outlier_check").then_some(())
    });
    let ejections = "cluster.outbound|5000||helloworld.default.svc.cluster.local.outlier_detection";
    let active = |mesh: &mut Mesh| {
        mesh.pod("client")
            .stat(&format!("{ejections}.ejections_active"))
    };
    assert_eq!(active(&mut mesh), 1);
    for _ in 0..20 {
        assert!(version(&mut mesh, &[]));
    }
    let total = mesh
        .pod("client")
        .stat(&format!("{ejections}.ejections_enforced_total"));
    assert_eq!(total, 1);
    eventually("it comes back", LIMIT, || {
        (active(&mut mesh) == 0).then_some(())
    });
    assert!(says(&mut mesh, "health_flags::healthy"));
}
