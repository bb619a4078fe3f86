//! HTTP/2 and gRPC, against the library on the other sides.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ::http::{HeaderMap, HeaderValue, Request, Response};
use bytes::Bytes;
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use mesh_ir::*;

use super::harness::*;

/// What a backend has seen.
#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: AtomicUsize,
    /// Streams that were broken off by `CANCEL`.
    cancelled: AtomicUsize,
}

/// A server of HTTP/2. It answers by the request's path.
fn server() -> (SocketAddr, Arc<Seen>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Seen::default());
    let counts = seen.clone();
    std::thread::spawn(move || {
        block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let seen = counts.clone();
                seen.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let Ok(mut connection) = h2::server::handshake(socket).await else {
                        return;
                    };
                    while let Some(Ok((request, response))) = connection.accept().await {
                        let number = seen.requests.fetch_add(1, Ordering::SeqCst);
                        if request.uri().path() == "/last" {
                            connection.graceful_shutdown();
                        }
                        tokio::spawn(serve(request, response, number, seen.clone()));
                    }
                });
            }
        });
    });
    (address, seen)
}

async fn serve(
    request: Request<RecvStream>,
    mut response: SendResponse<Bytes>,
    number: usize,
    seen: Arc<Seen>,
) {
    let (parts, mut body) = request.into_parts();
    match parts.uri.path() {
        "/refused-first" if number == 0 => return response.send_reset(Reason::REFUSED_STREAM),
        "/reset" => return response.send_reset(Reason::INTERNAL_ERROR),
        "/hang" => {
            let reason = std::future::poll_fn(|cx| response.poll_reset(cx)).await;
            if matches!(reason, Ok(Reason::CANCEL)) {
                seen.cancelled.fetch_add(1, Ordering::SeqCst);
            }
            return;
        }
        "/status" => {
            let answer = Response::builder()
                .header("content-type", "application/grpc")
                .header("grpc-status", if number == 0 { "14" } else { "0" })
                .body(())
                .unwrap();
            response.send_response(answer, true).unwrap();
            return;
        }
        _ => {}
    }
    let (bytes, trailers) = collect(&mut body).await;
    if parts.uri.path() == "/grpc.health.v1.Health/Check" {
        // The message's prefix, and a field of text with the name of the service.
        let is_well = bytes.get(7..) == Some(b"well".as_slice());
        let answer = Response::builder().header("content-type", "application/grpc");
        let mut stream = response
            .send_response(answer.body(()).unwrap(), false)
            .unwrap();
        let message = vec![0, 0, 0, 0, 2, 8, if is_well { 1 } else { 2 }];
        stream.send_data(message.into(), false).unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        return stream.send_trailers(trailers).unwrap();
    }
    let mut answer = Response::new(());
    for name in ["x-mine", "te", "cookie", "x-forwarded-proto"] {
        if let Some(value) = parts.headers.get(name) {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    let authority = parts.uri.authority().unwrap().as_str();
    let authority = HeaderValue::from_str(authority).unwrap();
    answer.headers_mut().insert("x-authority", authority);
    let Ok(mut stream) = response.send_response(answer, false) else {
        return;
    };
    send(&mut stream, bytes, false).await;
    let mut own = trailers;
    let status = parts.headers.get("x-status").cloned();
    let status = status.unwrap_or(HeaderValue::from_static("5"));
    own.insert("grpc-status", status);
    let _ = stream.send_trailers(own);
}

async fn collect(body: &mut RecvStream) -> (Bytes, HeaderMap) {
    let mut all = Vec::new();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        all.extend_from_slice(&data);
    }
    let trailers = body.trailers().await.ok().flatten().unwrap_or_default();
    (all.into(), trailers)
}

async fn send(stream: &mut h2::SendStream<Bytes>, bytes: Bytes, ends: bool) {
    let mut left = bytes;
    while !left.is_empty() {
        stream.reserve_capacity(left.len());
        let Some(Ok(_)) = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await else {
            return;
        };
        let piece = left.split_to(stream.capacity().min(left.len()));
        if stream.send_data(piece, false).is_err() {
            return;
        }
    }
    if ends {
        let _ = stream.send_data(Bytes::new(), true);
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async { tokio::time::timeout(Duration::from_secs(60), work).await })
        .expect("took too long")
}

/// A client's connection to the proxy.
async fn connect(address: SocketAddr) -> (SendRequest<Bytes>, tokio::task::JoinHandle<bool>) {
    let socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let (sender, connection) = h2::client::handshake(socket).await.unwrap();
    let driver = tokio::spawn(async move { connection.await.is_ok() });
    (sender, driver)
}

struct Answered {
    head: ::http::response::Parts,
    body: Bytes,
    trailers: HeaderMap,
}

/// A request with a body and one field behind it.
async fn ask(
    sender: &SendRequest<Bytes>,
    request: Request<()>,
    body: &[u8],
    trailer: bool,
) -> Result<Answered, h2::Error> {
    let mut sender = sender.clone().ready().await?;
    let ends = body.is_empty() && !trailer;
    let (response, mut stream) = sender.send_request(request, ends)?;
    let body = Bytes::copy_from_slice(body);
    let sending = async {
        if !ends {
            send(&mut stream, body, !trailer).await;
        }
        if trailer {
            let mut fields = HeaderMap::new();
            fields.insert("x-sum", HeaderValue::from_static("7"));
            let _ = stream.send_trailers(fields);
        }
    };
    let receiving = async {
        let (head, mut body) = response.await?.into_parts();
        let (body, trailers) = collect(&mut body).await;
        Ok(Answered {
            head,
            body,
            trailers,
        })
    };
    tokio::join!(sending, receiving).1
}

fn request(path: &str) -> ::http::request::Builder {
    Request::builder()
        .method("POST")
        .uri(format!("http://test{path}"))
}

fn call(path: &str) -> Request<()> {
    let call = request(path).header("content-type", "application/grpc");
    call.header("te", "trailers").body(()).unwrap()
}

fn http2_cluster(name: &str, addresses: &[SocketAddr]) -> Arc<Cluster> {
    let mut cluster = (*static_cluster(name, addresses)).clone();
    cluster.client.protocol = HttpProtocol::Http2;
    Arc::new(cluster)
}

fn proxy_to(address: SocketAddr) -> Proxy {
    http_proxy(vec![to("/", "one")], vec![http2_cluster("one", &[address])])
}

#[test]
fn calls_pass_with_bodies_and_trailers_both_ways() {
    let (address, seen) = server();
    let proxy = proxy_to(address);
    let large = vec![7; 3 << 20];
    block_on(async {
        let (sender, _) = connect(proxy.address).await;
        for body in [&b"hello"[..], &large, b""] {
            let call = call("/pkg.Service/Method");
            let answer = ask(&sender, call, body, true).await.unwrap();
            assert_eq!(answer.head.status, 200);
            assert!(answer.body == body);
            assert_eq!(answer.trailers["x-sum"], "7");
            assert_eq!(answer.trailers["grpc-status"], "5");
            assert_eq!(answer.head.headers["te"], "trailers");
            assert_eq!(answer.head.headers["x-authority"], "test");
            assert_eq!(answer.head.headers["server"], "envoy");
            assert!(
                answer
                    .head
                    .headers
                    .contains_key("x-envoy-upstream-service-time")
            );
        }
    });
    assert_eq!(seen.connections.load(Ordering::SeqCst), 1);
    let labels = [
        "request_protocol=\"grpc\"",
        "grpc_response_status=\"5\"",
        "response_code=\"200\"",
    ];
    assert_eq!(proxy.metric("istio_requests_total", &labels), 3);
}

#[test]
fn many_requests_share_a_connection_beside_each_other() {
    let (address, seen) = server();
    let proxy = proxy_to(address);
    block_on(async {
        let (sender, _) = connect(proxy.address).await;
        let asking = (0..60).map(|index| {
            let body = vec![index; 40_000];
            let sender = sender.clone();
            async move {
                let answer = ask(&sender, call("/"), &body, false).await.unwrap();
                assert!(answer.body == body);
            }
        });
        futures::future::join_all(asking).await;
    });
    assert_eq!(seen.connections.load(Ordering::SeqCst), 1);
    assert_eq!(proxy.settled().clusters["one"].cx_total, 1);
}

#[test]
fn clients_of_http1_reach_servers_of_http2() {
    let (address, _) = server();
    let proxy = proxy_to(address);
    let mut wire = proxy.connect();
    for _ in 0..2 {
        wire.send("POST /x HTTP/1.1\r\nHost: test\r\nX-Mine: 1\r\nContent-Length: 5\r\n\r\nhello");
        let head = wire.head().unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert_eq!(field(&head, "x-mine"), Some("1"));
        assert_eq!(field(&head, "transfer-encoding"), Some("chunked"));
        assert_eq!(usize::from_str_radix(&wire.line(), 16), Ok(5));
        assert_eq!(wire.lines(), "hello\r\n0\r\ngrpc-status: 5\r\n\r\n");
    }
    wire.send("POST /x HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx-sum: 3\r\n\r\n");
    assert!(wire.head().is_some());
    let rest = wire.lines();
    assert!(rest.contains("x-sum: 3\r\n"), "{rest}");
}

#[test]
fn clients_of_http2_reach_servers_of_http1() {
    let upstream = backend(|_, mut wire| {
        while let Some(head) = wire.head() {
            assert_eq!(field(&head, "te"), None);
            assert_eq!(field(&head, "host"), Some("test"));
            let body = if field(&head, "transfer-encoding").is_some() {
                wire.lines()
            } else {
                wire.body(&head)
            };
            let trailers = body.contains("x-sum: 7\r\n");
            wire.send(&format!(
                "HTTP/1.1 201 Made\r\nTransfer-Encoding: chunked\r\nConnection: x-hop\r\nX-Hop: 1\r\nX-Trailers: {trailers}\r\n\r\n2\r\nok\r\n0\r\nx-last: 9\r\n\r\n",
            ));
        }
    });
    let proxy = http_proxy(
        vec![to("/", "one")],
        vec![static_cluster("one", &[upstream])],
    );
    block_on(async {
        let (sender, _) = connect(proxy.address).await;
        for trailer in [true, false] {
            let answer = ask(&sender, call("/"), b"hello", trailer).await.unwrap();
            assert_eq!(answer.head.status, 201);
            assert_eq!(answer.head.headers["x-trailers"], trailer.to_string());
            assert!(!answer.head.headers.contains_key("x-hop"));
            assert!(!answer.head.headers.contains_key("connection"));
            assert_eq!(answer.body, "ok");
            assert_eq!(answer.trailers["x-last"], "9");
        }
    });
}

#[test]
fn streams_that_are_refused_are_sent_again() {
    let (address, seen) = server();
    let routes = vec![prefix(
        "/",
        RouteAction::Forward(Forward {
            retry: Some(retry(2, &[RetryOn::RefusedStream, RetryOn::Unavailable])),
            ..forward(Target::Cluster("one".into()))
        }),
    )];
    let proxy = http_proxy(routes, vec![http2_cluster("one", &[address])]);
    block_on(async {
        let (sender, _) = connect(proxy.address).await;
        let answer = ask(&sender, call("/refused-first"), b"hello", true).await;
        assert_eq!(answer.unwrap().body, "hello");
    });
    assert_eq!(seen.requests.load(Ordering::SeqCst), 2);
    let (address, seen) = server();
    proxy.apply(&http_config(
        proxy.address,
        vec![prefix(
            "/",
            RouteAction::Forward(Forward {
                retry: Some(retry(2, &[RetryOn::Unavailable])),
                ..forward(Target::Cluster("two".into()))
            }),
        )],
        vec![http2_cluster("two", &[address])],
    ));
    block_on(async {
        let (sender, _) = connect(proxy.address).await;
        let answer = ask(&sender, call("/status"), b"", false).await.unwrap();
        assert_eq!(answer.head.headers["grpc-status"], "0");
    });
    assert_eq!(seen.requests.load(Ordering::SeqCst), 2);
}

#[test]
fn a_connection_that_ends_makes_room_for_another_one() {
    let (address, seen) = server();
    let proxy = proxy_to(address);
    block_on(async {
        let (sender, _) = connect(proxy.address).await;
        for _ in 0..3 {
            let answer = ask(&sender, call("/last"), b"x", false).await.unwrap();
            assert_eq!(answer.body, "x");
        }
    });
    assert_eq!(seen.connections.load(Ordering::SeqCst), 3);
}

#[test]
fn cancellation_reaches_the_server() {
    let (address, seen) = server();
    let proxy = proxy_to(address);
    block_on(async {
        let (sender, _) = connect(proxy.address).await;
        let mut sender = sender.ready().await.unwrap();
        let (response, mut stream) = sender.send_request(call("/hang"), false).unwrap();
        while seen.requests.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stream.send_reset(Reason::CANCEL);
        drop(response);
        while seen.cancelled.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let labels = ["response_flags=\"DC\""];
    assert_eq!(proxy.metric("istio_requests_total", &labels), 1);
}

#[test]
fn answers_of_the_proxy_to_calls_carry_a_status_of_grpc() {
    let (address, _) = server();
    let routes = vec![to("/none", "none"), to("/", "one")];
    let clusters = vec![http2_cluster("one", &[address]), http2_cluster("none", &[])];
    let proxy = http_proxy(routes, clusters);
    block_on(async {
        let (sender, _) = connect(proxy.address).await;
        let answer = ask(&sender, call("/none"), b"x", false).await.unwrap();
        assert_eq!(answer.head.status, 200);
        let fields = &answer.head.headers;
        assert_eq!(fields["content-type"], "application/grpc");
        assert_eq!(fields["grpc-status"], "14");
        assert_eq!(fields["grpc-message"], "no healthy upstream");
        // The client's own limit.
        let call = request("/hang")
            .header("content-type", "application/grpc+proto")
            .header("grpc-timeout", "50m");
        let call = call.body(()).unwrap();
        let answer = ask(&sender, call, b"x", false).await.unwrap();
        assert_eq!(answer.head.headers["grpc-status"], "14");
        // Others get a code.
        let plain = request("/none").body(()).unwrap();
        let answer = ask(&sender, plain, b"", false).await.unwrap();
        assert_eq!(answer.head.status, 503);
        assert_eq!(answer.body, "no healthy upstream");
        let plain = request("/reset").body(()).unwrap();
        let answer = ask(&sender, plain, b"", false).await.unwrap();
        assert_eq!(answer.head.status, 503);
        assert!(answer.body.ends_with(b"remote reset"));
    });
    let unavailable = ["grpc_response_status=\"14\"", "response_flags=\"UH\""];
    assert_eq!(proxy.metric("istio_requests_total", &unavailable), 1);
}

#[test]
fn a_connection_drains_by_goaway_after_its_answers() {
    let (address, _) = server();
    let proxy = proxy_to(address);
    block_on(async {
        let (sender, driver) = connect(proxy.address).await;
        let mut ready = sender.clone().ready().await.unwrap();
        let (response, mut stream) = ready.send_request(call("/slow"), false).unwrap();
        // The exchange is on its way before the proxy drains.
        let other = ask(&sender, call("/"), b"x", false).await.unwrap();
        assert_eq!(other.head.status, 200);
        let drained = std::thread::spawn(move || proxy.drain(Duration::from_secs(20)));
        // Told by GOAWAY: no new request may be sent.
        while sender.clone().ready().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stream.send_data(Bytes::from_static(b"late"), true).unwrap();
        let (head, mut body) = response.await.unwrap().into_parts();
        assert_eq!(head.status, 200);
        assert_eq!(collect(&mut body).await.0, "late");
        drop((sender, ready, stream, body));
        assert!(driver.await.unwrap());
        assert!(drained.join().unwrap());
    });
}

#[test]
fn a_flood_of_resets_ends_the_connection() {
    let (address, _) = server();
    let proxy = proxy_to(address);
    block_on(async {
        let (sender, driver) = connect(proxy.address).await;
        for _ in 0..2000 {
            let Ok(mut ready) = sender.clone().ready().await else {
                break;
            };
            let Ok((response, mut stream)) = ready.send_request(call("/hang"), false) else {
                break;
            };
            stream.send_reset(Reason::CANCEL);
            drop((response, stream));
            tokio::task::yield_now().await;
        }
        drop(sender);
        assert!(!driver.await.unwrap());
    });
    proxy.settled();
}

#[test]
fn hosts_that_contradict_each_other_are_refused() {
    let (address, seen) = server();
    let proxy = proxy_to(address);
    block_on(async {
        let (sender, _) = connect(proxy.address).await;
        let bad = request("/").header("host", "other").body(()).unwrap();
        let answer = ask(&sender, bad, b"", false).await.unwrap();
        assert_eq!(answer.head.status, 400);
        let path = request("/a/../%2e%2e/b").body(()).unwrap();
        assert_eq!(
            ask(&sender, path, b"", false).await.unwrap().head.status,
            200
        );
    });
    assert_eq!(seen.requests.load(Ordering::SeqCst), 1);
}

#[test]
fn a_port_without_a_protocol_is_spoken_to_as_its_clients_speak() {
    let (address, seen) = server();
    let mut cluster = (*static_cluster("one", &[address])).clone();
    cluster.client.protocol = HttpProtocol::AsClient;
    let proxy = http_proxy(vec![to("/", "one")], vec![Arc::new(cluster)]);
    block_on(async {
        let (sender, _) = connect(proxy.address).await;
        let answer = ask(&sender, call("/"), b"x", false).await.unwrap();
        assert_eq!(answer.body, "x");
    });
    assert_eq!(seen.requests.load(Ordering::SeqCst), 1);
}

#[test]
fn endpoints_are_asked_for_their_health_by_grpc() {
    let (address, _) = server();
    let checked = |service: &str| {
        let mut cluster = (*static_cluster("one", &[address])).clone();
        cluster.client.protocol = HttpProtocol::Http2;
        cluster.client.panic_threshold = Some(0);
        cluster.client.health_checks = vec![HealthCheck {
            timeout: Duration::from_secs(5),
            interval: Duration::from_millis(30),
            unhealthy_threshold: 1,
            healthy_threshold: 1,
            probe: Probe::Grpc {
                service: service.into(),
            },
        }];
        http_proxy(vec![to("/", "one")], vec![Arc::new(cluster)])
    };
    let well = checked("well");
    wait_for("it is fit", || well.get("/").code == 200);
    let unwell = checked("unwell");
    wait_for("it was asked", || {
        let runtime = unwell.workers.runtime();
        let checks = runtime.cluster_named("one").unwrap().hosts.checks();
        checks.bad.load(Ordering::SeqCst) > 1
    });
    assert_eq!(unwell.get("/").code, 503);
}

#[test]
fn endpoints_are_judged_by_the_status_behind_the_body() {
    let (address, _) = server();
    let mut cluster = (*http2_cluster("one", &[address])).clone();
    cluster.client.outliers = Some(OutlierDetection {
        consecutive_5xx: 2,
        max_ejection_percent: 100,
        ..OutlierDetection::default()
    });
    let proxy = http_proxy(vec![to("/", "one")], vec![Arc::new(cluster)]);
    let calls = |statuses: &[&str]| {
        block_on(async {
            let (sender, _) = connect(proxy.address).await;
            for status in statuses {
                let mut call = call("/");
                let value = HeaderValue::from_str(status).unwrap();
                call.headers_mut().insert("x-status", value);
                let answer = ask(&sender, call, b"x", false).await.unwrap();
                assert_eq!(answer.trailers["grpc-status"], *status);
            }
        });
        proxy.settled();
        let runtime = proxy.workers.runtime();
        let cluster = runtime.cluster_named("one").unwrap();
        cluster.hosts.at(address).unwrap().is_ejected()
    };
    // A call that goes well in between begins the count anew.
    assert!(!calls(&["14", "0", "14", "5"]));
    assert!(calls(&["14", "14"]));
}
