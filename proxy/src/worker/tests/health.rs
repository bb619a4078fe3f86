//! Active health checks, against servers that are well and others that are not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use mesh_ir::*;

use super::harness::*;

fn checked(probe: Probe, addresses: &[SocketAddr]) -> Arc<Cluster> {
    let mut cluster = (*static_cluster("one", addresses)).clone();
    cluster.client.health_checks = vec![HealthCheck {
        timeout: Duration::from_secs(5),
        interval: Duration::from_millis(30),
        unhealthy_threshold: 2,
        healthy_threshold: 2,
        probe,
    }];
    // Nothing goes to those that are unfit, not even if all are.
    cluster.client.panic_threshold = Some(0);
    Arc::new(cluster)
}

/// A server that answers checks with a code and everything else with its name.
fn server(name: &'static str, code: &Arc<AtomicU16>) -> SocketAddr {
    let code = code.clone();
    backend(move |_, mut wire| {
        while let Some(head) = wire.head() {
            let answer = if head.starts_with("GET /healthz HTTP/1.1\r\n") {
                assert_eq!(field(&head, "host"), Some("check.example"), "{head}");
                let code = code.load(Ordering::SeqCst);
                format!("HTTP/1.1 {code} X\r\nContent-Length: 0\r\n\r\n")
            } else {
                format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{name}")
            };
            wire.send(&answer);
        }
    })
}

/// What so many answers say, sorted and without repetition.
fn answers(proxy: &Proxy) -> String {
    let mut answers: Vec<String> = (0..8).map(|_| proxy.get("/").body).collect();
    answers.sort();
    answers.dedup();
    answers.concat()
}

#[test]
fn endpoints_get_traffic_while_they_say_that_they_are_well() {
    let codes = [200, 200].map(|code| Arc::new(AtomicU16::new(code)));
    let probe = Probe::Http {
        host: "check.example".into(),
        path: "/healthz".into(),
    };
    let addresses = [server("a", &codes[0]), server("b", &codes[1])];
    let proxy = http_proxy(vec![to("/", "one")], vec![checked(probe, &addresses)]);
    wait_for("both are fit", || answers(&proxy) == "ab");
    codes[0].store(503, Ordering::SeqCst);
    wait_for("one is fit", || answers(&proxy) == "b");
    let host = |index: usize| {
        let runtime = proxy.workers.runtime();
        let cluster = runtime.cluster_named("one").unwrap();
        cluster.hosts.at(addresses[index]).unwrap()
    };
    assert!(host(0).is_unwell() && !host(0).is_ejected() && !host(1).is_unwell());
    codes[1].store(500, Ordering::SeqCst);
    wait_for("none is fit", || proxy.get("/").code == 503);
    codes[0].store(200, Ordering::SeqCst);
    wait_for("one has recovered", || proxy.get("/").code == 200);
    assert_eq!(answers(&proxy), "a");
    let runtime = proxy.workers.runtime();
    let checks = runtime.cluster_named("one").unwrap().hosts.checks();
    let count = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
    assert!(
        count(&checks.good) >= 4 && count(&checks.bad) >= 2,
        "{checks:?}"
    );
}

#[test]
fn endpoints_that_take_no_connections_get_no_traffic() {
    let well = echo("well");
    let proxy = http_proxy(
        vec![to("/", "one")],
        vec![checked(Probe::Tcp, &[free(), well])],
    );
    wait_for("one is fit", || proxy.get("/").code == 200);
    for _ in 0..8 {
        assert_eq!(proxy.get("/").code, 200);
    }
}
