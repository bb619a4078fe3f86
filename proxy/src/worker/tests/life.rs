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
    let counted = proxy.settled();
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
fn an_idle_connection_holds_no_configuration() {
    let address = free();
    let one = echo("one");
    let config = |path| {
        http_config(
            address,
            vec![to(path, "one")],
            vec![static_cluster("one", &[one])],
        )
    };
    let proxy = start(address, Capture::Redirect, &config("/a"));
    let mut wire = proxy.connect();
    let mut code = |path: &str| {
        wire.send(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        wire.answer().code
    };
    assert_eq!(code("/a"), 200);
    let before = std::sync::Arc::downgrade(&proxy.workers.runtime());
    proxy.apply(&config("/b"));
    wait_for("the runtime is freed", || before.strong_count() == 0);
    assert_eq!([code("/a"), code("/b")], [404, 200]);
}

#[test]
fn idle_connections_to_endpoints_that_are_gone_are_closed_at_once() {
    let (sender, ended) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let gone = backend(move |_, mut wire| {
        while wire.head().is_some() {
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
        sender.lock().unwrap().send(()).unwrap();
    });
    let stays = echo("stays");
    let address = free();
    let config = |clusters| http_config(address, vec![to("/", "c")], clusters);
    for after in [
        // An endpoint less, another cluster in its place, and none.
        vec![static_cluster("c", &[stays])],
        vec![static_cluster("d", &[gone])],
        vec![],
    ] {
        let proxy = start(
            address,
            Capture::Redirect,
            &config(vec![static_cluster("c", &[gone])]),
        );
        let mut wire = proxy.connect();
        wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(wire.answer().code, 200);
        // The client stays connected, and no further request comes.
        proxy.apply(&config(after));
        ended.recv_timeout(Duration::from_secs(20)).unwrap();
        proxy.apply(&ProxyConfig::default());
        wait_for("the port is free", || {
            std::net::TcpStream::connect(address).is_err()
        });
    }
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
        clusters: clusters().into(),
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
    let other = listener("zz", taken.local_addr().unwrap(), true, Vec::new());
    config.listeners = config.listeners.iter().cloned().chain([other]).collect();
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
fn a_sidecar_that_ends_takes_connections_as_long_as_somebody_comes() {
    let address = free();
    let mut manager = manager(vec![to("/", "one")]);
    manager.direction = Direction::Inbound;
    let inbound = Listener {
        chains: vec![chain(Network::Http(manager))],
        ..Listener::new("in".into(), address, Direction::Inbound)
    };
    let config = |more: Option<Listener>| ProxyConfig {
        listeners: std::iter::once(inbound.clone())
            .chain(more)
            .map(std::sync::Arc::new)
            .collect(),
        clusters: vec![static_cluster("one", &[echo("one")])].into(),
        ..ProxyConfig::default()
    };
    let proxy = start(address, Capture::Redirect, &config(None));
    let mut idle = proxy.connect();
    idle.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(idle.answer().field("connection"), None);
    let drained = std::thread::scope(|scope| {
        let drained = scope.spawn(|| proxy.drain(Duration::from_secs(20)));
        wait_for("answers are the last ones", || {
            proxy.get("/").field("connection") == Some("close")
        });
        // A connection from before has its last answer as well.
        idle.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(idle.answer().field("connection"), Some("close"));
        assert_eq!(idle.rest(), "");
        let begin = std::time::Instant::now();
        while begin.elapsed() < Duration::from_millis(1500) {
            assert_eq!(proxy.get("/").code, 200);
        }
        drained.join().unwrap()
    });
    assert!(drained);
    assert!(std::net::TcpStream::connect(address).is_err());
    // What is closed is not opened again by the next configuration.
    let other = free();
    proxy.apply(&config(Some(Listener {
        chains: inbound.chains.clone(),
        ..Listener::new("other".into(), other, Direction::Inbound)
    })));
    assert!(std::net::TcpStream::connect(other).is_err());
    assert!(std::net::TcpStream::connect(address).is_err());
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
    let counted = proxy.settled();
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

#[test]
fn every_request_leaves_a_line_in_the_log() {
    let directory = std::env::temp_dir().join(format!("mesh-proxy-log-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("access.log");
    let address = free();
    let mut manager = manager(vec![to("/x", "one")]);
    manager.telemetry = logged(&path, Some("%REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %REQ(X-REQUEST-ID)% %UPSTREAM_CLUSTER_RAW% %ROUTE_NAME% %BYTES_RECEIVED% %RESP(X-UP)%".into()));
    let (upstream, _) = script(&["HTTP/1.1 201 Made\r\nX-Up: seen\r\nContent-Length: 0\r\n\r\n"]);
    let config = ProxyConfig {
        listeners: vec![listener(
            "test",
            address,
            true,
            vec![chain(Network::Http(manager))],
        )]
        .into(),
        clusters: vec![static_cluster("one", &[upstream])].into(),
        ..ProxyConfig::default()
    };
    let proxy = start(address, Capture::Redirect, &config);
    let mut wire = proxy.connect();
    wire.send("PUT /x HTTP/1.1\r\nHost: a\r\nX-Request-Id: id\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(wire.answer().code, 201);
    wire.send("GET /y HTTP/1.1\r\nHost: a\r\nX-Request-Id: id\r\n\r\n");
    assert_eq!(wire.answer().code, 404);
    wire.send("GET /z\r\n\r\n");
    assert_eq!(wire.answer().code, 400);
    let expect = "PUT /x 201 - via_upstream id one /x 3 seen\nGET /y 404 NR route_not_found id - - 0 -\n\
        - - 400 DPE http1.invalid_request_line - - - 0 -\n";
    let read = || std::fs::read_to_string(&path).unwrap_or_default();
    while read().lines().count() < 3 {
        std::thread::yield_now();
    }
    assert_eq!(read(), expect);
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn host_names_are_resolved() {
    let backend = echo("named");
    let mut cluster = (*static_cluster("one", &[])).clone();
    cluster.kind = ClusterKind::StrictDns(vec![("localhost".into(), backend.port())]);
    let proxy = http_proxy(vec![to("/", "one")], vec![std::sync::Arc::new(cluster)]);
    while proxy.get("/").code != 200 {
        std::thread::yield_now();
    }
    assert!(proxy.get("/").body.starts_with("named\n"));
}
