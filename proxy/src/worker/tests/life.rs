//! Configurations that follow each other, draining, and what is counted.

use std::time::Duration;

use mesh_ir::*;

use super::harness::*;

#[test]
fn a_new_configuration_counts_from_the_next_request_on() {
    let address = free();
    let clusters = || vec![static_cluster("one", &[]), static_cluster("two", &[])];
    let (one, two) = (echo("one"), echo("two"));
    let clusters = || {
        let mut clusters = clusters();
        clusters[0] = static_cluster("one", &[one]);
        clusters[1] = static_cluster("two", &[two]);
        clusters
    };
    let proxy = start(
        address,
        Capture::Redirect,
        &http_config(address, vec![to("/", "one")], clusters()),
    );
    let mut wire = proxy.connect();
    let mut name = || {
        wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        wire.answer().body[..3].to_owned()
    };
    assert_eq!(name(), "one");
    proxy.apply(&http_config(address, vec![to("/", "two")], clusters()));
    assert_eq!(name(), "two");
    proxy.apply(&http_config(address, vec![to("/", "one")], clusters()));
    assert_eq!(name(), "one");
    let counted = proxy.counted();
    // The connection to the first upstream has outlived two configurations.
    assert_eq!(
        (
            counted.clusters["one"].cx_total,
            counted.clusters["one"].rq_total
        ),
        (1, 2)
    );
}

#[test]
fn endpoints_come_and_go() {
    let (one, two) = (echo("one"), echo("two"));
    let address = free();
    let config = |endpoints: &[std::net::SocketAddr]| {
        http_config(
            address,
            vec![to("/", "c")],
            vec![static_cluster("c", endpoints)],
        )
    };
    let proxy = start(address, Capture::Redirect, &config(&[one]));
    assert!(proxy.get("/").body.starts_with("one"));
    proxy.apply(&config(&[two]));
    assert!(proxy.get("/").body.starts_with("two"));
    proxy.apply(&config(&[]));
    assert_eq!(proxy.get("/").code, 503);
}

#[test]
fn a_listener_that_is_gone_ends_its_connections_after_an_answer() {
    let address = free();
    let clusters = || vec![static_cluster("one", &[echo("one")])];
    let proxy = start(
        address,
        Capture::Redirect,
        &http_config(address, vec![to("/", "one")], clusters()),
    );
    let mut wire = proxy.connect();
    wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.answer();
    proxy.apply(&ProxyConfig {
        clusters: clusters(),
        ..ProxyConfig::default()
    });
    wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = wire.answer();
    assert_eq!(
        (answer.code, answer.field("connection")),
        (200, Some("close"))
    );
    while std::net::TcpStream::connect(address).is_ok() {
        std::thread::yield_now();
    }
}

#[test]
fn a_port_that_is_taken_is_told_and_the_rest_works() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free();
    let mut config = http_config(
        address,
        vec![to("/", "one")],
        vec![static_cluster("one", &[echo("one")])],
    );
    config.listeners.push(listener(
        "zz",
        taken.local_addr().unwrap(),
        true,
        Vec::new(),
    ));
    let proxy = start(address, Capture::Redirect, &ProxyConfig::default());
    let errors = proxy.workers.apply(&config);
    assert_eq!(errors.len(), 1);
    let text = errors[0].to_string();
    assert!(
        text.starts_with("listener zz: failed to bind 127.0.0.1:"),
        "{text}"
    );
    assert_eq!(proxy.get("/").code, 200);
}

#[test]
fn draining_lets_requests_end_and_closes_idle_connections() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let (answer, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let address = backend(move |_, mut wire| {
        wire.head();
        sender.send(()).unwrap();
        wait.lock().unwrap().recv().unwrap();
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let proxy = http_proxy(
        vec![to("/", "one")],
        vec![static_cluster("one", &[address])],
    );
    let mut idle = proxy.connect();
    idle.send("GET /none HTTP/1.1\r\nHost: a\r\n");
    let mut busy = proxy.connect();
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    receiver.recv().unwrap();
    drop(idle);
    let mut quiet = proxy.connect();
    quiet.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    receiver.recv().unwrap();
    answer.send(()).unwrap();
    answer.send(()).unwrap();
    let drained = std::thread::scope(|scope| {
        let drained = scope.spawn(|| proxy.drain(Duration::from_secs(10)));
        for wire in [&mut busy, &mut quiet] {
            assert_eq!(wire.answer().body, "ok");
            // The end comes by itself, though the client would stay.
            assert_eq!(wire.rest(), "");
        }
        drained.join().unwrap()
    });
    assert!(drained);
    assert!(std::net::TcpStream::connect(proxy.address).is_err());
}

#[test]
fn draining_does_not_wait_for_ever() {
    let address = backend(|_, mut wire| {
        wire.head();
        wire.rest();
    });
    let proxy = http_proxy(
        vec![to("/", "one")],
        vec![static_cluster("one", &[address])],
    );
    let mut wire = proxy.connect();
    wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    while proxy.workers.connections() == 0 {
        std::thread::yield_now();
    }
    assert!(!proxy.drain(Duration::from_millis(30)));
}

#[test]
fn requests_are_counted_once_with_their_outcome() {
    let proxy = http_proxy(
        vec![to("/x", "one")],
        vec![static_cluster("one", &[echo("one")])],
    );
    for path in ["/x", "/x", "/none"] {
        proxy.get(path);
    }
    while proxy.counted().workers.downstream_rq_active > 0 {
        std::thread::yield_now();
    }
    let counted = proxy.counted();
    assert_eq!(counted.workers.downstream_rq_total, 3);
    assert_eq!(proxy.metric("istio_requests_total", &[]), 3);
    let reporter = "reporter=\"source\"";
    for (code, flags, count) in [("200", "-", 2), ("404", "NR", 1)] {
        let (code, flags) = (
            format!("response_code=\"{code}\""),
            format!("response_flags=\"{flags}\""),
        );
        assert_eq!(
            proxy.metric("istio_requests_total", &[&code, &flags, reporter]),
            count
        );
    }
}
