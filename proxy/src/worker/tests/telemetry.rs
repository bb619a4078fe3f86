//! What collectors are told of requests.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use envoy_types::pb::envoy::service::accesslog::v3::{
    StreamAccessLogsMessage, stream_access_logs_message::LogEntries,
};
use mesh_ir::*;
use prost::Message;
use serde_json::Value;

use super::harness::*;
use crate::telemetry::otlp::{self, ExportLogs, ExportTraces};

/// Nothing here takes longer, unless it hangs.
const LIMIT: Duration = Duration::from_secs(20);

/// A collector of gRPC: paths and messages as they come.
fn grpc_collector() -> (SocketAddr, Receiver<(String, Vec<u8>)>) {
    let (sender, calls) = channel();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            listener.set_nonblocking(true).unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve_grpc(stream, sender.clone()));
            }
        });
    });
    (address, calls)
}

async fn serve_grpc(
    stream: tokio::net::TcpStream,
    calls: std::sync::mpsc::Sender<(String, Vec<u8>)>,
) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let calls = calls.clone();
        tokio::spawn(async move {
            let path = request.uri().path().to_owned();
            let mut body = request.into_body();
            let mut bytes = Vec::new();
            while let Some(Ok(data)) = body.data().await {
                let _ = body.flow_control().release_capacity(data.len());
                bytes.extend_from_slice(&data);
            }
            let response = ::http::Response::builder().header("content-type", "application/grpc");
            let mut stream = respond
                .send_response(response.body(()).unwrap(), false)
                .unwrap();
            let mut trailers = ::http::HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            stream
                .send_data(bytes::Bytes::from_static(&[0; 5]), false)
                .unwrap();
            stream.send_trailers(trailers).unwrap();
            let _ = calls.send((path, bytes.split_off(5)));
        });
    }
}

/// A collector of HTTP: heads and bodies as they come.
fn http_collector() -> (SocketAddr, Receiver<(String, String)>) {
    let (sender, calls) = channel();
    let address = backend(move |_, mut wire| {
        while let Some(head) = wire.head() {
            let body = wire.body(&head);
            wire.send("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
            let _ = sender.send((head, body));
        }
    });
    (address, calls)
}

/// A proxy that tells of its requests, in front of a server that answers with the fields that it was sent.
fn proxy(policy: TelemetryPolicy, collector: SocketAddr) -> Proxy {
    let server = backend(|_, mut wire| {
        while let Some(head) = wire.head() {
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{head}",
                head.len()
            );
            wire.send(&answer);
        }
    });
    let mut manager = manager(vec![to("/", "server")]);
    manager.telemetry = Arc::new(policy);
    let address = free();
    let config = ProxyConfig {
        listeners: vec![listener(
            "test",
            address,
            true,
            vec![chain(Network::Http(manager))],
        )]
        .into(),
        clusters: vec![
            static_cluster("collector", &[collector]),
            static_cluster("server", &[server]),
        ]
        .into(),
        ..ProxyConfig::default()
    };
    start(address, Capture::Redirect, &config)
}

fn tracing(provider: TraceProvider, percent: u32) -> TelemetryPolicy {
    let share = |percent: u32| Fraction {
        numerator: percent,
        per: Denominator::Hundred,
    };
    let tag = |source| SpanTag {
        source,
        default: "none".into(),
    };
    TelemetryPolicy {
        tracing: Some(Tracing {
            provider,
            client_sampling: share(100),
            random_sampling: share(percent),
            overall_sampling: share(100),
            by_request_id: true,
            propagates: true,
            max_path_length: 8,
            tags: BTreeMap::from([
                ("literal".into(), tag(TagSource::Literal("fixed".into()))),
                ("user".into(), tag(TagSource::Header("x-user".into()))),
                (
                    "format".into(),
                    tag(TagSource::Format("%RESPONSE_CODE%!".into())),
                ),
                (
                    "variable".into(),
                    tag(TagSource::Environment("NO_SUCH_VARIABLE".into())),
                ),
            ]),
        }),
        ..TelemetryPolicy::default()
    }
}

fn zipkin() -> TraceProvider {
    TraceProvider::Zipkin {
        cluster: "collector".into(),
        path: "/api/v2/spans".into(),
        host: "zipkin".into(),
        long_ids: true,
        w3c: false,
    }
}

fn otlp() -> TraceProvider {
    TraceProvider::OtlpGrpc {
        cluster: "collector".into(),
        timeout: Duration::from_secs(5),
        metadata: Vec::new(),
        service: "reviews.default".into(),
    }
}

#[test]
fn zipkin_is_told_what_the_next_one_is_given() {
    let (collector, calls) = http_collector();
    let proxy = proxy(tracing(zipkin(), 100), collector);
    let sent = proxy.get("/long/path/that/is/cut").body;
    let (head, body) = calls.recv_timeout(LIMIT).unwrap();
    assert!(
        head.starts_with("POST /api/v2/spans HTTP/1.1\r\n"),
        "{head}"
    );
    assert_eq!(field(&head, "content-type"), Some("application/json"));
    let spans: Value = serde_json::from_str(&body).unwrap();
    let span = &spans[0];
    assert_eq!(span["traceId"], field(&sent, "x-b3-traceid").unwrap());
    assert_eq!(span["id"], field(&sent, "x-b3-spanid").unwrap());
    assert_eq!(field(&sent, "x-b3-sampled"), Some("1"));
    let id = field(&sent, "x-request-id").unwrap();
    assert_eq!(id.get(14..15), Some("9"), "{id}");
    let tags = &span["tags"];
    assert_eq!(tags["guid:x-request-id"], id);
    assert_eq!(tags["http.url"], "http://test/long/pa");
    for (name, value) in [
        ("http.method", "GET"),
        ("http.protocol", "HTTP/1.1"),
        ("http.status_code", "200"),
        ("response_flags", "-"),
        ("upstream_cluster", "server"),
        ("component", "proxy"),
        ("peer.address", "127.0.0.1"),
        ("literal", "fixed"),
        ("user", "none"),
        ("format", "200!"),
        ("variable", "none"),
    ] {
        assert_eq!(tags[name], value, "{name}");
    }
    assert_eq!(span["kind"], "CLIENT");
}

#[test]
fn open_telemetry_continues_the_trace_of_a_request() {
    let (collector, calls) = grpc_collector();
    let proxy = proxy(tracing(otlp(), 0), collector);
    let mut wire = proxy.connect();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    // Not drawn, but what was decided before counts.
    wire.send(&format!(
        "GET /a HTTP/1.1\r\nHost: reviews\r\ntraceparent: 00-{trace}-00f067aa0ba902b7-01\r\ntracestate: a=b\r\nb3: {trace}-00f067aa0ba902b7-1\r\n\r\n"
    ));
    let sent = wire.answer().body;
    let (path, message) = calls.recv_timeout(LIMIT).unwrap();
    assert_eq!(path, otlp::TRACES);
    let export = ExportTraces::decode(&*message).unwrap();
    let resource = export.resource_spans.first().unwrap();
    assert_eq!(
        resource.resource,
        Some(otlp::Resource::service("reviews.default"))
    );
    let span = &resource.scope_spans[0].spans[0];
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    assert_eq!(hex(&span.trace_id), trace);
    assert_eq!(hex(&span.parent_span_id), "00f067aa0ba902b7");
    assert_eq!(span.trace_state, "a=b");
    let own = hex(&span.span_id);
    assert_eq!(
        field(&sent, "traceparent"),
        Some(&*format!("00-{trace}-{own}-01"))
    );
    assert_eq!(field(&sent, "tracestate"), Some("a=b"));
    assert_eq!(
        field(&sent, "b3"),
        Some(&*format!("{trace}-{own}-1-00f067aa0ba902b7"))
    );
    assert_eq!(sent.matches("traceparent").count(), 1);
    // Nothing is told of a request that nobody traces, and the next one is told so.
    wire.send("GET /b HTTP/1.1\r\nHost: reviews\r\n\r\n");
    let sent = wire.answer().body;
    assert!(
        field(&sent, "traceparent").unwrap().ends_with("-00"),
        "{sent}"
    );
    assert!(calls.recv_timeout(Duration::from_millis(1500)).is_err());
}

#[test]
fn logs_reach_their_services() {
    let (collector, calls) = grpc_collector();
    let log = |sink| AccessLog {
        sink,
        filter: Some("request.url_path == '/logged'".into()),
    };
    let policy = TelemetryPolicy {
        access_logs: vec![
            log(LogSink::Grpc(GrpcLog {
                cluster: "collector".into(),
                name: "http".into(),
                tcp: false,
                request_headers: vec!["x-user".into()],
                response_headers: vec![],
            })),
            log(LogSink::OpenTelemetry(OtlpLog {
                cluster: "collector".into(),
                name: "otel".into(),
                body: "%REQ(:PATH)% %RESPONSE_CODE%".into(),
                attributes: vec![("flags".into(), "%RESPONSE_FLAGS%".into())],
            })),
        ],
        ..tracing(otlp(), 100)
    };
    let proxy = proxy(policy, collector);
    let mut wire = proxy.connect();
    for path in ["/not-logged", "/logged"] {
        wire.send(&format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nX-User: jason\r\n\r\n"
        ));
        assert_eq!(wire.answer().code, 200);
    }
    let all: BTreeMap<String, Vec<u8>> =
        (0..3).map(|_| calls.recv_timeout(LIMIT).unwrap()).collect();
    let message = &all["/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs"];
    let message = StreamAccessLogsMessage::decode(&**message).unwrap();
    assert_eq!(message.identifier.unwrap().log_name, "http");
    let Some(LogEntries::HttpLogs(logs)) = message.log_entries else {
        panic!("entries of requests")
    };
    assert_eq!(logs.log_entry.len(), 1);
    let request = logs.log_entry[0].request.clone().unwrap();
    assert_eq!(
        (&*request.path, &*request.request_headers["x-user"]),
        ("/logged", "jason")
    );
    let common = logs.log_entry[0].common_properties.clone().unwrap();
    assert_eq!(common.upstream_cluster, "server");
    let logs = ExportLogs::decode(&*all[otlp::LOGS]).unwrap();
    let record = &logs.resource_logs[0].scope_logs[0].log_records[0];
    assert_eq!(record.body, Some(otlp::AnyValue::text("/logged 200")));
    assert_eq!(record.attributes, [otlp::KeyValue::text("flags", "-")]);
    // The record joins the span.
    let traces = ExportTraces::decode(&*all[otlp::TRACES]).unwrap();
    let spans = &traces.resource_spans[0].scope_spans[0].spans;
    assert!(spans.iter().any(|span| span.span_id == record.span_id));
}

#[test]
fn labels_of_metrics_are_changed() {
    let (collector, _calls) = grpc_collector();
    let change = MetricChange {
        dropped: false,
        removed: ["source_workload".into(), "request_protocol".into()].into(),
        set: BTreeMap::from([
            ("host".into(), "request.host".into()),
            (
                "response_code".into(),
                "response.code >= 200 ? '2xx' : 'x'".into(),
            ),
            ("missing".into(), "request.headers['x-none']".into()),
        ]),
    };
    let dropped = MetricChange {
        dropped: true,
        ..MetricChange::default()
    };
    let policy = TelemetryPolicy {
        metrics: MetricsPolicy {
            changes: BTreeMap::from([
                (Metric::RequestCount, change),
                (Metric::RequestSize, dropped),
            ]),
        },
        ..TelemetryPolicy::default()
    };
    let proxy = proxy(policy, collector);
    let mut wire = proxy.connect();
    for host in ["a", "a", "b"] {
        wire.send(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(wire.answer().code, 200);
    }
    let mut text = String::new();
    proxy.settled().write_istio(&mut text).unwrap();
    let counts: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("istio_requests_total{"))
        .collect();
    assert_eq!(counts.len(), 2, "{text}");
    let a = counts[0];
    assert!(
        a.contains(r#"host="a",missing="unknown",response_code="2xx"} 2"#),
        "{a}"
    );
    assert!(
        !a.contains("source_workload=") && !a.contains("request_protocol="),
        "{a}"
    );
    assert!(a.contains("source_workload_namespace="), "{a}");
    assert!(!text.contains("istio_request_bytes"), "{text}");
    assert!(
        text.contains(r#"istio_response_bytes_count{reporter="source",source_workload="#),
        "{text}"
    );
}

#[test]
fn a_collector_that_is_not_there_delays_nobody() {
    let proxy = proxy(tracing(zipkin(), 100), free());
    for _ in 0..20 {
        assert_eq!(proxy.get("/").code, 200);
    }
}
