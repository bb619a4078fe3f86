//! Upstreams that fail: retries, limits, and clients that go away.

use std::sync::atomic::Ordering;
use std::time::Duration;

use mesh_ir::*;

use super::harness::*;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const BUSY: &str = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";

fn retried(attempts: u32, on: &[RetryOn]) -> Route {
    let mut action = forward(Target::Cluster("one".into()));
    action.retry = Some(retry(attempts, on));
    prefix("/", RouteAction::Forward(action))
}

#[test]
fn a_code_is_retried_until_it_is_better() {
    let (address, requests) = script(&[BUSY, BUSY, OK]);
    let proxy = http_proxy(
        vec![retried(2, &[RetryOn::FiveXx])],
        vec![static_cluster("one", &[address])],
    );
    let answer = proxy.get("/");
    assert_eq!((answer.code, &*answer.body), (200, "ok"));
    assert_eq!(requests.load(Ordering::SeqCst), 3);
    assert_eq!(proxy.settled().clusters["one"].rq_retry, 2);
}

#[test]
fn fields_of_an_answer_may_ask_for_another_try() {
    const NAMED: &str = "HTTP/1.1 200 OK\r\nX-Again: 1\r\nContent-Length: 0\r\n\r\n";
    const LIMITED: &str =
        "HTTP/1.1 429 Too Many\r\nx-envoy-ratelimited: true\r\nContent-Length: 0\r\n\r\n";
    const OVERLOADED: &str =
        "HTTP/1.1 503 Busy\r\nx-envoy-overloaded: true\r\nContent-Length: 0\r\n\r\n";
    for (answers, on, code, tries) in [
        (
            &[NAMED, OK] as &'static [_],
            RetryOn::RetriableHeaders,
            200,
            2,
        ),
        (&[NAMED, OK], RetryOn::FiveXx, 200, 1),
        (&[LIMITED, OK], RetryOn::EnvoyRateLimited, 200, 2),
        (&[LIMITED, OK], RetryOn::FiveXx, 429, 1),
        (&[OVERLOADED, OK], RetryOn::FiveXx, 503, 1),
    ] {
        let (address, requests) = script(answers);
        let clusters = vec![static_cluster("one", &[address])];
        let proxy = http_proxy(vec![retried(2, &[on])], clusters);
        let mut wire = proxy.connect();
        wire.send(
            "GET / HTTP/1.1\r\nHost: a\r\nx-envoy-retriable-header-names: x-other, x-again\r\n\r\n",
        );
        assert_eq!(wire.answer().code, code, "{on:?}");
        assert_eq!(requests.load(Ordering::SeqCst), tries, "{on:?}");
    }
}

#[test]
fn tries_end_and_the_last_answer_is_passed_on() {
    let (address, requests) = script(&[BUSY]);
    let proxy = http_proxy(
        vec![retried(2, &[RetryOn::FiveXx])],
        vec![static_cluster("one", &[address])],
    );
    assert_eq!(proxy.get("/").code, 503);
    assert_eq!(requests.load(Ordering::SeqCst), 3);
}

#[test]
fn a_body_is_sent_again_with_the_next_try() {
    let bodies = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = bodies.clone();
    let address = backend(move |_, mut wire| {
        while let Some(head) = wire.head() {
            let body = wire.body(&head);
            let count = field(&head, "x-envoy-attempt-count").unwrap().to_owned();
            let first = count == "1";
            seen.lock().unwrap().push((count, body));
            wire.send(if first { BUSY } else { OK });
        }
    });
    let proxy = http_proxy(
        vec![retried(1, &[RetryOn::FiveXx])],
        vec![static_cluster("one", &[address])],
    );
    let mut wire = proxy.connect();
    wire.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
    wire.send("body");
    assert_eq!(wire.answer().code, 200);
    let expect = [
        ("1".to_owned(), "body".to_owned()),
        ("2".to_owned(), "body".to_owned()),
    ];
    assert_eq!(*bodies.lock().unwrap(), expect);
}

#[test]
fn a_refused_connection_goes_to_the_next_endpoint() {
    let proxy = http_proxy(
        vec![retried(2, &[RetryOn::ConnectFailure])],
        vec![static_cluster("one", &[free(), echo("good")])],
    );
    for _ in 0..4 {
        let answer = proxy.get("/");
        assert_eq!(answer.code, 200);
    }
    assert!(proxy.settled().clusters["one"].cx_connect_fail >= 1);
}

#[test]
fn without_an_upstream_the_answer_says_why() {
    let proxy = http_proxy(vec![to("/", "one")], vec![static_cluster("one", &[free()])]);
    let answer = proxy.get("/");
    assert_eq!(answer.code, 503);
    assert!(answer.body.ends_with("remote connection failure, transport failure reason: delayed connect error: Connection refused"), "{}", answer.body);
}

#[test]
fn a_connection_that_ends_before_the_answer_is_503() {
    let (address, _) = script(&[""]);
    let proxy = http_proxy(
        vec![to("/", "one")],
        vec![static_cluster("one", &[address])],
    );
    let answer = proxy.get("/");
    assert_eq!(answer.code, 503);
    assert!(
        answer
            .body
            .ends_with("reset reason: connection termination"),
        "{}",
        answer.body
    );
}

#[test]
fn an_idle_connection_that_has_ended_costs_no_request() {
    // Every connection serves one request and then ends without saying so.
    let address = backend(|_, mut wire| {
        wire.head();
        wire.send(OK);
    });
    let proxy = http_proxy(
        vec![to("/", "one")],
        vec![static_cluster("one", &[address])],
    );
    let mut wire = proxy.connect();
    for _ in 0..50 {
        wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(wire.answer().code, 200);
    }
}

#[test]
fn limits_of_time_answer_504() {
    let address = backend(|_, mut wire| {
        wire.head();
        wire.rest();
    });
    let mut whole = forward(Target::Cluster("one".into()));
    whole.timeout = Some(Duration::from_millis(30));
    let mut each = forward(Target::Cluster("one".into()));
    each.retry = Some(RetryPolicy {
        per_try_timeout: Some(Duration::from_millis(10)),
        ..retry(1, &[RetryOn::FiveXx])
    });
    let proxy = http_proxy(
        vec![
            prefix("/whole", RouteAction::Forward(whole)),
            prefix("/each", RouteAction::Forward(each)),
        ],
        vec![static_cluster("one", &[address])],
    );
    let answer = proxy.get("/whole");
    assert_eq!(
        (answer.code, &*answer.body),
        (504, "upstream request timeout")
    );
    assert_eq!(proxy.get("/each").code, 504);
    let counted = proxy.settled();
    assert_eq!(counted.clusters["one"].rq_timeout, 3);
}

#[test]
fn a_client_that_goes_away_frees_the_upstream() {
    // At once, or after it has ended its side.
    for half_closes in [false, true] {
        let (sender, receiver) = std::sync::mpsc::channel();
        let address = backend(move |_, mut wire| {
            wire.head();
            sender.send("begun").unwrap();
            wire.stream.set_read_timeout(None).unwrap();
            wire.rest();
            sender.send("freed").unwrap();
        });
        let proxy = http_proxy(
            vec![to("/", "one")],
            vec![static_cluster("one", &[address])],
        );
        let mut wire = proxy.connect();
        wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(receiver.recv().unwrap(), "begun");
        if half_closes {
            wire.stream.shutdown(std::net::Shutdown::Write).unwrap();
        }
        wire.reset();
        let freed = receiver.recv_timeout(Duration::from_secs(20));
        assert_eq!(freed, Ok("freed"), "{half_closes}");
        assert_eq!(
            proxy.metric("istio_requests_total", &["response_flags=\"DC\""]),
            1
        );
    }
}

#[test]
fn a_client_that_ends_its_side_gets_its_answer() {
    let (go_on, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let address = backend(move |_, mut wire| {
        while wire.head().is_some() {
            held.lock().unwrap().recv().unwrap();
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let proxy = http_proxy(
        vec![to("/", "one")],
        vec![static_cluster("one", &[address])],
    );
    let mut wire = proxy.connect();
    wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.stream.shutdown(std::net::Shutdown::Write).unwrap();
    while proxy.counted().workers.downstream_rq_active == 0 {
        std::thread::yield_now();
    }
    go_on.send(()).unwrap();
    let answer = wire.answer();
    assert_eq!((answer.code, &*answer.body), (200, "ok"));
    assert_eq!(wire.rest(), "");
}

#[test]
fn an_early_answer_is_read_by_a_client_that_looks_for_it_after_its_upload() {
    let address = backend(|_, mut wire| {
        wire.head();
        wire.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig");
    });
    let proxy = http_proxy(
        vec![to("/up", "one")],
        vec![static_cluster("one", &[address])],
    );
    // Refused by the endpoint, and by the proxy itself.
    for (path, code, body) in [("/up", 413, "big"), ("/none", 404, "")] {
        let mut wire = proxy.connect();
        let size = 24 << 20;
        wire.send(&format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"
        ));
        let piece = "x".repeat(1 << 20);
        for _ in 0..size >> 20 {
            wire.send(&piece);
        }
        let answer = wire.answer();
        assert_eq!((answer.code, &*answer.body), (code, body));
        assert_eq!(answer.field("connection"), Some("close"));
    }
}

#[test]
fn an_answer_that_comes_before_the_end_of_the_request_is_passed_on() {
    let address = backend(|_, mut wire| {
        wire.head();
        wire.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig");
        wire.rest();
    });
    let proxy = http_proxy(
        vec![to("/", "one")],
        vec![static_cluster("one", &[address])],
    );
    let mut wire = proxy.connect();
    wire.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc");
    let answer = wire.answer();
    assert_eq!((answer.code, &*answer.body), (413, "big"));
    assert_eq!(answer.field("connection"), Some("close"));
}

#[test]
fn a_response_that_breaks_off_is_not_made_whole() {
    let (address, _) = script(&["HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", ""]);
    let address_chunked = script(&[
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "",
    ])
    .0;
    let closing = |address| {
        // The script waits for the next request, which never comes; the proxy has to see the end by itself.
        backend(move |_, mut wire| {
            let mut upstream = Wire::connect(address);
            upstream.send(&wire.head().unwrap());
            let head = upstream.head().unwrap();
            wire.send(&head);
            wire.send(&upstream.take(4));
        })
    };
    for address in [closing(address), closing(address_chunked)] {
        let proxy = http_proxy(
            vec![to("/", "one")],
            vec![static_cluster("one", &[address])],
        );
        let mut wire = proxy.connect();
        wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(wire.head().is_some());
        let rest = wire.rest();
        assert!(!rest.ends_with("0\r\n\r\n") && rest.len() < 12, "{rest:?}");
    }
}

#[test]
fn clients_cannot_take_all_connections() {
    let address = free();
    let config = http_config(
        address,
        vec![to("/", "one")],
        vec![static_cluster("one", &[echo("one")])],
    );
    let proxy = start_with(address, Capture::Redirect, 3, &config);
    let mut wires: Vec<Wire> = (0..3).map(|_| proxy.connect()).collect();
    let mut serve = |wire: &mut Wire| {
        wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(wire.answer().code, 200);
    };
    wires.iter_mut().for_each(&mut serve);
    assert_eq!(proxy.connect().rest(), "");
    assert_eq!(proxy.counted().workers.downstream_cx_overflow, 1);
    // Those that are there are served, and when one ends another may come.
    wires.iter_mut().for_each(&mut serve);
    wires.pop();
    while proxy.workers.connections() == 3 {
        std::thread::yield_now();
    }
    serve(&mut proxy.connect());
}
