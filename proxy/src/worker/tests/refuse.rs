//! What is refused never reaches an upstream, and the connection ends.

use std::sync::atomic::Ordering;

use mesh_ir::*;

use super::harness::*;

#[test]
fn what_is_no_request_is_answered_and_the_connection_ends() {
    let (address, requests) = script(&["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]);
    let proxy = http_proxy(
        vec![to("/", "one")],
        vec![static_cluster("one", &[address])],
    );
    for (text, code) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.0\r\nHost: a\r\n\r\n", 426),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
            400,
        ),
        ("GET / HTTP/1.1\nHost: a\n\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", 400),
        ("\x16\x03\x01", 400),
        // The head is fine, the body is not: nothing of it was sent yet.
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            400,
        ),
    ] {
        let mut wire = proxy.connect();
        wire.send(text);
        // What follows must not be served either.
        wire.send("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = wire.answer();
        assert_eq!(answer.code, code, "{text:?}");
        assert_eq!(answer.field("connection"), Some("close"), "{text:?}");
        assert_eq!(wire.rest(), "", "{text:?}");
    }
    assert_eq!(requests.load(Ordering::SeqCst), 0);
}

#[test]
fn a_large_head_is_431() {
    let proxy = http_proxy(
        vec![to("/", "one")],
        vec![static_cluster("one", &[echo("one")])],
    );
    let mut wire = proxy.connect();
    wire.send(&format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(50 << 10)
    ));
    assert_eq!(wire.answer().code, 200);
    wire.send(&format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}",
        "x".repeat(61 << 10)
    ));
    assert_eq!(wire.answer().code, 431);
}

#[test]
fn a_body_that_breaks_on_the_way_ends_both_connections() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let address = backend(move |_, mut wire| {
        wire.head();
        sender.send(wire.rest()).unwrap();
    });
    let proxy = http_proxy(
        vec![to("/", "one")],
        vec![static_cluster("one", &[address])],
    );
    let mut wire = proxy.connect();
    wire.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    // The upstream has the first chunk before the bad one comes.
    while proxy
        .counted()
        .clusters
        .get("one")
        .is_none_or(|host| host.rq_active == 0)
    {
        std::thread::yield_now();
    }
    wire.send("3\r\nabcX");
    assert_eq!(wire.answer().code, 400);
    assert_eq!(wire.rest(), "");
    let seen = receiver.recv().unwrap();
    assert!(!seen.contains("0\r\n\r\n"), "{seen:?}");
}

#[test]
fn what_is_no_response_is_502() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "SSH-2.0-OpenSSH\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ] {
        let address = backend(move |_, mut wire| {
            wire.head();
            wire.send(answer);
            wire.rest();
        });
        let proxy = http_proxy(
            vec![to("/", "one")],
            vec![static_cluster("one", &[address])],
        );
        assert_eq!(proxy.get("/").code, 502, "{answer:?}");
    }
}

#[test]
fn what_has_no_path_or_no_known_method_is_taken_by_no_route() {
    let (address, requests) = script(&["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]);
    let any = Route {
        name: "any".into(),
        ..Route::new(
            RouteMatch::prefix(""),
            RouteAction::Forward(forward(Target::Cluster("one".into()))),
        )
    };
    let proxy = http_proxy(
        vec![to("/", "one"), any],
        vec![static_cluster("one", &[address])],
    );
    for (request, code, closes) in [
        (
            "CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
            404,
            true,
        ),
        (
            "CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\nContent-Length: 1\r\n\r\nx",
            400,
            true,
        ),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 404, false),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, true),
        ("get / HTTP/1.1\r\nHost: a\r\n\r\n", 400, true),
        ("FOO / HTTP/1.1\r\nHost: a\r\n\r\n", 400, true),
        ("PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n", 200, false),
        ("GET /admin%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400, true),
        (
            "GET http://a/admin%00/x HTTP/1.1\r\nHost: a\r\n\r\n",
            400,
            true,
        ),
    ] {
        let mut wire = proxy.connect();
        wire.send(request);
        let answer = wire.answer();
        assert_eq!(answer.code, code, "{request:?}");
        assert_eq!(
            answer.field("connection") == Some("close"),
            closes,
            "{request:?}"
        );
        if closes {
            assert_eq!(wire.rest(), "", "{request:?}");
        }
    }
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}
