//! Requests that go upstream.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mesh_ir::policy::{AbortStatus, DelayDuration, Fault, FaultAbort, FaultDelay};
use mesh_ir::*;

use super::harness::*;

#[test]
fn a_request_comes_through_with_what_the_mesh_adds() {
    let proxy = http_proxy(
        vec![to("/", "one")],
        vec![static_cluster("one", &[echo("one")])],
    );
    let mut wire = proxy.connect();
    wire.send("GET /x?y=z HTTP/1.1\r\nHost: test\r\nX-Mine: 1\r\nConnection: keep-alive\r\nKeep-Alive: 5\r\n\r\n");
    let answer = wire.answer();
    assert_eq!(answer.code, 200);
    assert_eq!(answer.field("server"), Some("envoy"));
    assert!(answer.field("x-envoy-upstream-service-time").is_some());
    assert!(answer.field("date").is_some());
    let (name, seen) = answer.body.split_once('\n').unwrap();
    assert_eq!(name, "one");
    assert!(
        seen.starts_with("GET /x?y=z HTTP/1.1\r\nhost: test\r\n"),
        "{seen}"
    );
    assert_eq!(field(seen, "x-mine"), Some("1"));
    assert_eq!(field(seen, "connection"), None);
    assert_eq!(field(seen, "keep-alive"), None);
    assert_eq!(field(seen, "x-forwarded-proto"), Some("http"));
    assert_eq!(field(seen, "x-envoy-attempt-count"), Some("1"));
    assert_eq!(field(seen, "x-request-id").map(str::len), Some(36));
    // The connection stays, and so does a request id.
    wire.send("GET / HTTP/1.1\r\nHost: test\r\nx-request-id: mine\r\n\r\n");
    assert_eq!(field(&wire.answer().body, "x-request-id"), Some("mine"));
}

#[test]
fn connections_to_upstreams_are_used_again() {
    let (address, requests) = script(&["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"]);
    let proxy = http_proxy(
        vec![to("/", "one")],
        vec![static_cluster("one", &[address])],
    );
    for _ in 0..5 {
        assert_eq!(proxy.get("/").body, "ok");
    }
    assert_eq!(requests.load(Ordering::SeqCst), 5);
    let counted = proxy.settled();
    let host = &counted.clusters["one"];
    assert_eq!((host.cx_total, host.rq_total, host.rq_success), (1, 5, 5));
    assert_eq!((host.rq_active, host.cx_active), (0, 1));
}

#[test]
fn weights_are_kept() {
    let weighted = |cluster: &str, weight| WeightedCluster {
        cluster: cluster.into(),
        weight,
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
    };
    let target = Target::Weighted(vec![weighted("one", 90), weighted("two", 10)]);
    let proxy = http_proxy(
        vec![prefix("/", RouteAction::Forward(forward(target)))],
        vec![
            static_cluster("one", &[echo("one")]),
            static_cluster("two", &[echo("two")]),
        ],
    );
    let mut wire = proxy.connect();
    let mut two = 0;
    for _ in 0..2000 {
        wire.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        two += usize::from(wire.answer().body.starts_with("two"));
    }
    // 200 are expected; 5.2 standard deviations (13.4) are left less than once in five million runs.
    assert!((130..=270).contains(&two), "{two}");
}

#[test]
fn bodies_of_all_framings_pass() {
    let proxy = http_proxy(
        vec![to("/", "one")],
        vec![static_cluster("one", &[echo("one")])],
    );
    let mut wire = proxy.connect();
    wire.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello");
    assert!(wire.answer().body.ends_with("\r\n\r\nhello"));
    wire.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe");
    wire.send("llo\r\n6;x=y\r\n world\r\n0\r\nTrailer: x\r\n\r\n");
    assert!(wire.answer().body.ends_with("\r\n\r\nhello world"));
    let large = "0123456789".repeat(50_000);
    wire.send(&format!(
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{large}",
        large.len()
    ));
    assert!(wire.answer().body.ends_with(&large));
    // Two requests at once.
    wire.send("GET /1 HTTP/1.1\r\nHost: test\r\n\r\nGET /2 HTTP/1.1\r\nHost: test\r\n\r\n");
    assert!(wire.answer().body.contains("GET /1 "));
    assert!(wire.answer().body.contains("GET /2 "));
}

#[test]
fn trailers_pass_both_ways_without_those_that_belong_into_heads() {
    let upstream = backend(|_, mut wire| {
        while let Some(head) = wire.head() {
            let mut seen = String::new();
            while !seen.ends_with("0\r\n") {
                seen.push_str(&wire.line());
                seen.push_str("\r\n");
            }
            seen.push_str(&wire.lines());
            assert!(head.starts_with("POST / "), "{head}");
            assert!(seen.ends_with("0\r\nx-sum: 1\r\n\r\n"), "{seen:?}");
            wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum:  2 \r\nContent-Length: 9\r\n\r\n");
        }
    });
    let proxy = http_proxy(
        vec![to("/", "one")],
        vec![static_cluster("one", &[upstream])],
    );
    let mut wire = proxy.connect();
    for _ in 0..2 {
        wire.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 1\r\n");
        wire.send("x-forwarded-client-cert: By=me\r\nAuthorization: x\r\n\r\n");
        assert!(wire.head().unwrap().starts_with("HTTP/1.1 200 "));
        assert_eq!(usize::from_str_radix(&wire.line(), 16), Ok(1));
        assert_eq!(wire.lines(), "a\r\n0\r\nX-Sum: 2\r\n\r\n");
    }
}

#[test]
fn responses_of_all_framings_pass() {
    let (address, _) = script(&[
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 304 Not Modified\r\nETag: 1\r\n\r\n",
        "HTTP/1.1 200 Fine\r\nContent-Length: 3\r\n\r\nxyz",
    ]);
    let proxy = http_proxy(
        vec![to("/", "one")],
        vec![static_cluster("one", &[address])],
    );
    let mut wire = proxy.connect();
    let mut get = || {
        wire.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        wire.answer()
    };
    assert_eq!(get().body, "abcde");
    assert_eq!(get().code, 204);
    assert_eq!(get().code, 304);
    let last = get();
    assert!(last.head.starts_with("HTTP/1.1 200 Fine\r\n"));
    assert_eq!(last.body, "xyz");
    assert_eq!(proxy.settled().clusters["one"].cx_total, 1);
}

#[test]
fn a_response_until_the_end_is_sent_in_chunks() {
    let address = backend(|_, mut wire| {
        wire.head();
        wire.send("HTTP/1.1 200 OK\r\n\r\nall of it");
    });
    let proxy = http_proxy(
        vec![to("/", "one")],
        vec![static_cluster("one", &[address])],
    );
    let answer = proxy.get("/");
    assert_eq!(answer.field("transfer-encoding"), Some("chunked"));
    assert_eq!(answer.body, "all of it");
}

#[test]
fn answers_to_head_have_no_body() {
    let (address, _) = script(&["HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"]);
    let proxy = http_proxy(
        vec![to("/", "one")],
        vec![static_cluster("one", &[address])],
    );
    let mut wire = proxy.connect();
    for _ in 0..2 {
        wire.send("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n");
        assert_eq!(field(&wire.head().unwrap(), "content-length"), Some("10"));
    }
}

#[test]
fn a_client_that_waits_is_told_to_continue() {
    let proxy = http_proxy(
        vec![to("/", "one")],
        vec![static_cluster("one", &[echo("one")])],
    );
    let mut wire = proxy.connect();
    wire.send("POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(wire.head().unwrap(), "HTTP/1.1 100 Continue\r\n\r\n");
    wire.send("ok");
    let answer = wire.answer();
    assert!(answer.body.ends_with("ok"));
    assert_eq!(field(&answer.body, "expect"), None);
}

#[test]
fn a_websocket_is_opened_and_passed_through() {
    let address = backend(|_, mut wire| {
        let head = wire.head().unwrap();
        assert_eq!(field(&head, "upgrade"), Some("websocket"));
        assert_eq!(field(&head, "connection"), Some("Upgrade"));
        wire.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst");
        let word = wire.take(4);
        wire.send(&format!("<{word}>"));
    });
    let proxy = http_proxy(
        vec![to("/", "one")],
        vec![static_cluster("one", &[address])],
    );
    let mut wire = proxy.connect();
    wire.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n");
    let head = wire.head().unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(field(&head, "upgrade"), Some("websocket"));
    assert_eq!(wire.take(5), "first");
    wire.send("ping");
    assert_eq!(wire.rest(), "<ping>");
}

#[test]
fn other_upgrades_are_ignored() {
    let proxy = http_proxy(
        vec![to("/", "one")],
        vec![static_cluster("one", &[echo("one")])],
    );
    let mut wire = proxy.connect();
    for offer in ["h2c", "TLS/1.2", "chat"] {
        wire.send(&format!("GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {offer}\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"));
        let answer = wire.answer();
        assert_eq!(answer.code, 200);
        for name in ["upgrade", "connection", "http2-settings"] {
            assert_eq!(field(&answer.body, name), None);
        }
    }
}

#[test]
fn a_request_with_a_body_opens_no_websocket() {
    let proxy = http_proxy(
        vec![to("/", "one")],
        vec![static_cluster("one", &[echo("one")])],
    );
    let mut wire = proxy.connect();
    wire.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nok");
    let answer = wire.answer();
    assert_eq!((answer.code, field(&answer.body, "upgrade")), (200, None));
    assert!(answer.body.ends_with("ok"));
}

#[test]
fn pages_of_allowed_origins_may_read_answers() {
    let mut route = prefix(
        "/",
        RouteAction::Forward(forward(Target::Cluster("one".into()))),
    );
    route.policy.cors = Some(Arc::new(CorsPolicy {
        allow_origins: vec![StringMatch::Exact("https://a.example".into())],
        allow_methods: vec!["PUT".into()],
        allow_credentials: Some(true),
        ..CorsPolicy::default()
    }));
    let missing = Route {
        matcher: RouteMatch::prefix("/missing"),
        action: RouteAction::Forward(forward(Target::Cluster("none".into()))),
        ..route.clone()
    };
    let mut manager = manager(vec![missing, route]);
    manager.filters = vec![HttpFilter::Cors];
    let address = free();
    let config = ProxyConfig {
        listeners: vec![listener(
            "http",
            address,
            true,
            vec![chain(Network::Http(manager))],
        )]
        .into(),
        clusters: vec![static_cluster("one", &[echo("one")])].into(),
        ..ProxyConfig::default()
    };
    let proxy = start(address, Capture::Redirect, &config);
    let mut wire = proxy.connect();
    let allowed = "access-control-allow-origin";
    for (head, code, origin) in [
        ("GET / HTTP/1.1\r\nOrigin: https://a.example", 200, true),
        ("GET / HTTP/1.1\r\nOrigin: https://b.example", 200, false),
        (
            "GET /missing HTTP/1.1\r\nOrigin: https://a.example",
            503,
            true,
        ),
    ] {
        wire.send(&format!("{head}\r\nHost: test\r\n\r\n"));
        let answer = wire.answer();
        let expect = origin.then_some("https://a.example");
        assert_eq!((answer.code, answer.field(allowed)), (code, expect));
    }
    wire.send(
        "OPTIONS / HTTP/1.1\r\nHost: test\r\nOrigin: https://a.example\r\n\
         Access-Control-Request-Method: PUT\r\n\r\n",
    );
    let answer = wire.answer();
    assert_eq!((answer.code, &*answer.body), (200, ""));
    assert_eq!(answer.field("access-control-allow-methods"), Some("PUT"));
    assert_eq!(
        answer.field("access-control-allow-credentials"),
        Some("true")
    );
}

#[test]
fn faults_hold_requests_back_and_answer_them() {
    let faulty = |path: &str, fault: Fault| {
        let mut route = prefix(
            path,
            RouteAction::Forward(forward(Target::Cluster("one".into()))),
        );
        route.policy.fault = Some(fault.into());
        route
    };
    let abort = |status| Fault {
        abort: Some(FaultAbort {
            status,
            percentage: Fraction::ALL,
        }),
        ..Fault::default()
    };
    let delay = Fault {
        delay: Some(FaultDelay {
            duration: DelayDuration::Fixed(Duration::from_millis(300)),
            percentage: Fraction::ALL,
        }),
        ..Fault::default()
    };
    let mut manager = manager(vec![
        faulty("/abort", abort(AbortStatus::Http(418))),
        faulty("/grpc", abort(AbortStatus::Grpc(14))),
        faulty("/asked", abort(AbortStatus::Header)),
        faulty("/delay", delay),
    ]);
    manager.filters = vec![HttpFilter::Fault];
    let address = free();
    let config = ProxyConfig {
        listeners: vec![listener(
            "http",
            address,
            true,
            vec![chain(Network::Http(manager))],
        )]
        .into(),
        clusters: vec![static_cluster("one", &[echo("one")])].into(),
        ..ProxyConfig::default()
    };
    let proxy = start(address, Capture::Redirect, &config);
    let mut wire = proxy.connect();
    wire.send("GET /abort HTTP/1.1\r\nHost: test\r\n\r\n");
    let answer = wire.answer();
    assert_eq!((answer.code, &*answer.body), (418, "fault filter abort"));
    wire.send("GET /grpc HTTP/1.1\r\nHost: test\r\nContent-Type: application/grpc\r\n\r\n");
    let answer = wire.answer();
    assert_eq!((answer.code, &*answer.body), (200, ""));
    assert_eq!(answer.field("grpc-status"), Some("14"));
    wire.send("GET /asked HTTP/1.1\r\nHost: test\r\nx-envoy-fault-abort-request: 503\r\n\r\n");
    assert_eq!(wire.answer().code, 503);
    wire.send("GET /asked HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(wire.answer().code, 200);
    let begun = std::time::Instant::now();
    wire.send("GET /delay HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(wire.answer().code, 200);
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[test]
fn command_operators_in_header_changes_are_replaced() {
    let mut changed = forward(Target::Cluster("one".into()));
    changed.path_rewrite = Some(PathRewrite::Full("/new".into()));
    changed.host_rewrite = Some("other".into());
    let set = |name: &str, value: &str| HeaderValue {
        name: name.into(),
        value: value.into(),
        append: HeaderAppend::Overwrite,
    };
    let mut route = prefix("/", RouteAction::Forward(changed));
    route.request_headers.set = vec![
        set("x-copy", "<%REQ(x-user)%>"),
        set("x-kept", "%REQ(x-missing)%"),
        set("x-from", "%REQ(:authority)%%REQ(:path)%"),
        set("x-all", "100%%"),
    ];
    route.response_headers.set = vec![set(
        "x-answer",
        "%PROTOCOL% %REQ(x-user)% %RESP(content-length)%",
    )];
    let proxy = http_proxy(vec![route], vec![static_cluster("one", &[echo("one")])]);
    let mut wire = proxy.connect();
    for _ in 0..2 {
        wire.send("GET /old?q HTTP/1.1\r\nHost: test\r\nX-User: anna\r\nX-Kept: 1\r\n\r\n");
        let answer = wire.answer();
        let seen = &answer.body;
        assert_eq!(field(seen, "x-copy"), Some("<anna>"));
        assert_eq!(field(seen, "x-kept"), Some("1"), "no value changes nothing");
        assert_eq!(field(seen, "x-from"), Some("test/old?q"));
        assert_eq!(field(seen, "x-all"), Some("100%"));
        assert!(seen.contains("GET /new?q HTTP/1.1\r\nhost: other\r\n"));
        let length = answer.body.len();
        let expect = format!("HTTP/1.1 anna {length}");
        assert_eq!(answer.field("x-answer"), Some(&*expect));
    }
}

#[test]
fn rewrites_header_changes_redirects_and_answers_of_the_proxy() {
    let mut changed = forward(Target::Cluster("one".into()));
    changed.path_rewrite = Some(PathRewrite::Prefix("/new".into()));
    changed.host_rewrite = Some("other".into());
    let mut rewritten = prefix("/old", RouteAction::Forward(changed));
    let set = |name: &str, append| HeaderValue {
        name: name.into(),
        value: "set".into(),
        append,
    };
    rewritten.request_headers = HeaderOps {
        remove: vec!["x-gone".into()],
        set: vec![
            set("x-set", HeaderAppend::Overwrite),
            set("x-add", HeaderAppend::Append),
        ],
    };
    rewritten.response_headers = HeaderOps {
        remove: vec!["server".into()],
        set: vec![set("x-answer", HeaderAppend::Append)],
    };
    let redirect = Redirect {
        code: 302,
        scheme: None,
        host: Some("there".into()),
        port: None,
        path: None,
    };
    let direct = DirectResponse {
        code: 418,
        body: "short".into(),
    };
    let proxy = http_proxy(
        vec![
            rewritten,
            prefix("/go", RouteAction::Redirect(redirect)),
            prefix("/tea", RouteAction::Direct(direct)),
        ],
        vec![static_cluster("one", &[echo("one")])],
    );
    let mut wire = proxy.connect();
    wire.send("GET /old/x?q HTTP/1.1\r\nHost: test\r\nX-Gone: 1\r\nX-Set: 1\r\nX-Add: 1\r\n\r\n");
    let answer = wire.answer();
    assert_eq!(answer.field("x-answer"), Some("set"));
    assert_eq!(answer.field("server"), None);
    let seen = &answer.body;
    assert!(
        seen.contains("GET /new/x?q HTTP/1.1\r\nhost: other\r\n"),
        "{seen}"
    );
    assert_eq!(field(seen, "x-gone"), None);
    assert_eq!(field(seen, "x-set"), Some("set"));
    assert_eq!(seen.to_lowercase().matches("x-add: ").count(), 2);
    assert_eq!(field(seen, "x-envoy-original-path"), Some("/old/x?q"));
    wire.send("GET /go?x HTTP/1.1\r\nHost: test\r\n\r\n");
    let answer = wire.answer();
    assert_eq!(
        (answer.code, answer.field("location")),
        (302, Some("http://there/go?x"))
    );
    wire.send("GET /tea HTTP/1.1\r\nHost: test\r\n\r\n");
    let answer = wire.answer();
    assert_eq!((answer.code, &*answer.body), (418, "short"));
    wire.send("GET /none HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(wire.answer().code, 404);
}

#[test]
fn missing_clusters_and_endpoints_answer_503() {
    let proxy = http_proxy(
        vec![to("/no", "missing"), to("/", "empty")],
        vec![static_cluster("empty", &[])],
    );
    let answer = proxy.get("/no");
    assert_eq!((answer.code, &*answer.body), (503, ""));
    let answer = proxy.get("/");
    assert_eq!((answer.code, &*answer.body), (503, "no healthy upstream"));
}

#[test]
fn at_the_edge_the_client_is_named() {
    let address = free();
    let mut manager = manager(vec![to("/", "one")]);
    manager.trust.use_remote_address = true;
    let config = ProxyConfig {
        listeners: vec![listener(
            "test",
            address,
            true,
            vec![chain(Network::Http(manager))],
        )]
        .into(),
        clusters: vec![static_cluster("one", &[echo("one")])].into(),
        ..ProxyConfig::default()
    };
    let proxy = start(address, Capture::Redirect, &config);
    let mut wire = proxy.connect();
    wire.send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 5.6.7.8\r\nX-Forwarded-Proto: https\r\nX-Envoy-Internal: true\r\n\r\n");
    let seen = wire.answer().body;
    assert_eq!(
        field(&seen, "x-forwarded-for"),
        Some("1.2.3.4,5.6.7.8,127.0.0.1")
    );
    assert_eq!(field(&seen, "x-forwarded-proto"), Some("http"));
    assert_eq!(field(&seen, "x-envoy-internal"), None);
}

#[test]
fn clients_do_not_instruct_the_proxy() {
    let proxy = http_proxy(
        vec![to("/", "one")],
        vec![static_cluster("one", &[echo("one")])],
    );
    let mut wire = proxy.connect();
    wire.send("GET https://test/ HTTP/1.1\r\nHost: test\r\nX-Envoy-Retry-On: 5xx\r\nx-envoy-max-retries: 9\r\nX-ENVOY-UPSTREAM-RQ-TIMEOUT-MS: 1\r\nX-Envoy-Other: 1\r\n\r\n");
    let seen = wire.answer().body;
    for name in [
        "x-envoy-retry-on",
        "x-envoy-max-retries",
        "x-envoy-upstream-rq-timeout-ms",
    ] {
        assert_eq!(field(&seen, name), None, "{seen}");
    }
    assert_eq!(field(&seen, "x-envoy-other"), Some("1"));
    // The connection says what was spoken, not the target.
    assert_eq!(field(&seen, "x-forwarded-proto"), Some("http"));
}

#[test]
fn inbound_requests_keep_what_the_client_side_counted() {
    let address = free();
    let mut manager = manager(vec![to("/", "one")]);
    manager.direction = Direction::Inbound;
    let config = ProxyConfig {
        listeners: vec![listener(
            "test",
            address,
            true,
            vec![chain(Network::Http(manager))],
        )]
        .into(),
        clusters: vec![static_cluster("one", &[echo("one")])].into(),
        ..ProxyConfig::default()
    };
    let proxy = start(address, Capture::Redirect, &config);
    let mut wire = proxy.connect();
    wire.send("GET / HTTP/1.1\r\nHost: a\r\nx-envoy-attempt-count: 3\r\n\r\n");
    let answer = wire.answer();
    assert_eq!(answer.field("server"), Some("istio-envoy"));
    assert_eq!(field(&answer.body, "x-envoy-attempt-count"), Some("3"));
    assert_eq!(
        proxy.metric("istio_requests_total", &["reporter=\"destination\""]),
        1
    );
}

/// A proxy with one route to an echo for each path.
fn with_manager(routes: Vec<Route>, change: impl FnOnce(&mut HttpConnectionManager)) -> Proxy {
    let address = free();
    let mut manager = manager(routes);
    change(&mut manager);
    let chains = vec![chain(Network::Http(manager))];
    let config = ProxyConfig {
        listeners: vec![listener("test", address, true, chains)].into(),
        clusters: ["one", "admin"]
            .map(|name| static_cluster(name, &[echo(name)]))
            .into(),
        ..ProxyConfig::default()
    };
    start(address, Capture::Redirect, &config)
}

#[test]
fn what_is_routed_is_what_is_forwarded() {
    for (how, path, code, seen) in [
        (
            PathNormalization::None,
            "/x/..//admin",
            200,
            "one\nGET /x/..//admin ",
        ),
        (
            PathNormalization::Base,
            "/x/../admin",
            200,
            "admin\nGET /admin ",
        ),
        (PathNormalization::Base, "//admin", 200, "one\nGET //admin "),
        (
            PathNormalization::MergeSlashes,
            "//admin",
            200,
            "admin\nGET /admin ",
        ),
        (
            PathNormalization::MergeSlashes,
            "/x%2f..%2fadmin",
            200,
            "one\nGET /x%2f..%2fadmin ",
        ),
        (
            PathNormalization::DecodeAndMergeSlashes,
            "/x%2f..%2fadmin",
            200,
            "admin\nGET /admin ",
        ),
        (PathNormalization::Base, "/%00", 400, ""),
    ] {
        let routes = vec![to("/admin", "admin"), to("/", "one")];
        let proxy = with_manager(routes, |manager| manager.normalization = how);
        let answer = proxy.get(path);
        assert_eq!(answer.code, code, "{how:?} {path}");
        assert!(
            answer.body.starts_with(seen),
            "{how:?} {path}: {}",
            answer.body
        );
    }
}

#[test]
fn nobody_else_says_whose_certificate_a_client_has() {
    for (how, expect) in [
        (ForwardClientCertificate::Sanitize, None),
        (ForwardClientCertificate::SanitizeSet, None),
        (ForwardClientCertificate::AlwaysForward, Some("By=x")),
    ] {
        let proxy = with_manager(vec![to("/", "one")], |manager| {
            manager.trust.client_certificate = how;
        });
        let mut wire = proxy.connect();
        wire.send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Client-Cert: By=x\r\n\r\n");
        let seen = wire.answer().body;
        assert_eq!(field(&seen, "x-forwarded-client-cert"), expect, "{how:?}");
    }
}

#[test]
fn a_connection_on_which_a_request_is_still_going_out_is_not_used_again() {
    // It answers before it has read the body, and goes on reading requests.
    let early = backend(|_, mut wire| {
        if wire.head().is_some() {
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            while wire.head().is_some() {
                wire.send("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
            }
        }
    });
    let proxy = http_proxy(vec![to("/", "c")], vec![static_cluster("c", &[early])]);
    let mut wire = proxy.connect();
    // It ends like a head, so that who takes it for a request is found out.
    let body = format!("{}\r\n\r\n", "x".repeat(60_000));
    wire.send(&format!(
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        body.len()
    ));
    wire.send(&body[..30_000]);
    assert_eq!(wire.answer().code, 200);
    assert_eq!(proxy.get("/").code, 200);
    assert_eq!(proxy.settled().clusters["c"].cx_total, 2);
}

#[test]
fn copies_go_elsewhere_and_nobody_waits_for_them() {
    let (sender, copies) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let (go_on, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let slow = backend(move |_, mut wire| {
        while let Some(head) = wire.head() {
            let body = wire.body(&head);
            sender.lock().unwrap().send((head, body)).unwrap();
            let _ = held.lock().unwrap().recv();
            wire.send("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let mut action = forward(Target::Cluster("one".into()));
    action.mirrors = vec![
        Mirror {
            cluster: "copies".into(),
            fraction: Fraction::ALL,
        },
        Mirror {
            cluster: "copies".into(),
            fraction: Fraction::NONE,
        },
        Mirror {
            cluster: "unknown".into(),
            fraction: Fraction::ALL,
        },
    ];
    let proxy = http_proxy(
        vec![prefix("/", RouteAction::Forward(action))],
        vec![
            static_cluster("one", &[echo("one")]),
            static_cluster("copies", &[slow]),
        ],
    );
    // All of them are answered while no copy is.
    let mut wire = proxy.connect();
    wire.send("GET /a?b HTTP/1.1\r\nHost: test:80\r\n\r\n");
    assert_eq!(wire.answer().code, 200);
    wire.send(
        "POST /b HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    );
    assert_eq!(wire.answer().code, 200);
    wire.send("POST /c HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(wire.answer().code, 200);
    drop(go_on);
    let mut seen: Vec<_> = (0..3)
        .map(|_| copies.recv_timeout(Duration::from_secs(5)).unwrap())
        .map(|(head, body)| {
            let host = field(&head, "host").unwrap().to_owned();
            (head.lines().next().unwrap().to_owned(), host, body)
        })
        .collect();
    seen.sort();
    let expect = [
        ("GET /a?b HTTP/1.1", "test-shadow:80", ""),
        ("POST /b HTTP/1.1", "test-shadow", "ok"),
        ("POST /c HTTP/1.1", "test-shadow", "ok"),
    ];
    assert_eq!(
        seen,
        expect.map(|(line, host, body)| (line.into(), host.into(), body.into()))
    );
    wire.send("GET /last HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(wire.answer().code, 200);
    let (last, _) = copies.recv_timeout(Duration::from_secs(5)).unwrap();
    assert!(last.starts_with("GET /last "), "{last}");
    // Those for a cluster that there is not.
    assert_eq!(proxy.settled().workers.mirror_dropped, 4);
}

#[test]
fn fields_that_proxies_add_are_not_too_many_for_the_next_one() {
    let app = backend(|_, mut wire| {
        while let Some(head) = wire.head() {
            wire.body(&head);
            let fields = "Y: 1\r\n".repeat(99);
            wire.send(&format!(
                "HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n"
            ));
        }
    });
    let address = free();
    let mut manager = manager(vec![to("/", "app")]);
    manager.direction = Direction::Inbound;
    let inbound = Listener {
        chains: vec![chain(Network::Http(manager))],
        ..Listener::new("in".into(), address, Direction::Inbound)
    };
    let config = ProxyConfig {
        listeners: vec![Arc::new(inbound)].into(),
        clusters: vec![static_cluster("app", &[app])].into(),
        ..ProxyConfig::default()
    };
    let _inbound = start(address, Capture::Redirect, &config);
    let outbound = http_proxy(
        vec![to("/", "one")],
        vec![static_cluster("one", &[address])],
    );
    for (more, code) in [(98, 200), (99, 200), (100, 431)] {
        let mut wire = outbound.connect();
        let fields = "X: 1\r\n".repeat(more);
        wire.send(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        let answer = wire.answer();
        assert_eq!(answer.code, code, "{more}");
        let has = |name: &str| {
            answer
                .head
                .lines()
                .filter(|line| line.to_lowercase().starts_with(name))
                .count()
        };
        assert_eq!(has("y:"), if code == 200 { 99 } else { 0 });
    }
}
