//! Spans of requests, with Envoy's tags.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mesh_ir::Direction;

use super::context::Context;
use super::tags::Tags;
use crate::record::Record;
use crate::telemetry::otlp;

/// One request, as it is told to collectors.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Ids, and whether it is recorded.
    pub context: Context,
    /// W3C's `tracestate`.
    pub state: String,
    /// What was asked.
    pub name: String,
    /// Which side of it this is.
    pub kind: SpanKind,
    /// When it began.
    pub start: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// What is known of it.
    pub tags: Vec<(Arc<str>, String)>,
    /// Whether it failed.
    pub error: bool,
}

/// Which side of a request a span is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// That which answers.
    Server,
    /// That which asks.
    Client,
}

/// Statuses of gRPC that are the server's fault: unknown, deadline exceeded, unimplemented, internal, unavailable, data loss.
const SERVER_FAULTS: [u8; 6] = [2, 4, 12, 13, 14, 15];

/// What stands for a field that a request does not have.
const NOTHING: &str = "-";

// === impl Span ===

impl Span {
    /// Of a request that has ended now.
    pub(super) fn new(
        context: Context,
        state: String,
        record: &Record<'_>,
        tags: &Tags,
        max_path: usize,
    ) -> Self {
        let now = SystemTime::now();
        let error = record.code == 0
            || record.code >= 500
            || record
                .grpc_status
                .is_some_and(|status| SERVER_FAULTS.contains(&status));
        let mut all = facts(record, max_path);
        if error {
            all.push(("error".into(), "true".to_owned()));
        }
        all.extend(tags.values(record, now));
        Self {
            context,
            state,
            name: name(record),
            kind: match record.direction {
                Direction::Inbound => SpanKind::Server,
                Direction::Outbound => SpanKind::Client,
            },
            start: now.checked_sub(record.duration).unwrap_or(now),
            duration: record.duration,
            tags: all,
            error,
        }
    }
}

/// `HOST:PORT/*` of the service that was asked, as Istio names operations; the host that was asked where there is none.
fn name(record: &Record<'_>) -> String {
    let authority = field(record, ":authority").unwrap_or_default();
    let port = match authority.rsplit_once(':') {
        Some((_, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => port.to_owned(),
        _ => record.downstream_local.port().to_string(),
    };
    match record.service {
        Some(service) => format!("{service}:{port}/*"),
        None => format!("{authority}/*"),
    }
}

fn field(record: &Record<'_>, name: &str) -> Option<String> {
    let value = record.request_field(name)?;
    Some(String::from_utf8_lossy(&value).into_owned())
}

/// What Envoy tells of every request.
fn facts(record: &Record<'_>, max_path: usize) -> Vec<(Arc<str>, String)> {
    let mut all: Vec<(Arc<str>, String)> = Vec::with_capacity(24);
    let mut put = |name: &str, value: String| all.push((name.into(), value));
    let or_nothing = |name: &str| field(record, name).unwrap_or_else(|| NOTHING.to_owned());
    put("component", "proxy".to_owned());
    if let Some(id) = field(record, "x-request-id") {
        put("guid:x-request-id", id);
    }
    put("http.url", url(record, max_path));
    put("http.method", or_nothing(":method"));
    put(
        "http.protocol",
        record.protocol.text().unwrap_or(NOTHING).to_owned(),
    );
    put(
        "downstream_cluster",
        or_nothing("x-envoy-downstream-service-cluster"),
    );
    put("user_agent", or_nothing("user-agent"));
    put("peer.address", record.downstream_remote.ip().to_string());
    if let Some(id) = field(record, "x-client-trace-id") {
        put("guid:x-client-trace-id", id);
    }
    put("request_size", record.bytes_received.to_string());
    put("response_size", record.bytes_sent.to_string());
    put("http.status_code", record.code.to_string());
    put("response_flags", record.flags.to_string());
    if let Some(cluster) = record.upstream_cluster {
        put("upstream_cluster", cluster.to_owned());
        put("upstream_cluster.name", cluster.to_owned());
    }
    if let Some(host) = record.upstream_host {
        put("upstream_address", host.to_string());
    }
    let content_type = field(record, "content-type").unwrap_or_default();
    if content_type.starts_with("application/grpc") {
        put("grpc.path", or_nothing(":path"));
        put("grpc.authority", or_nothing(":authority"));
        put("grpc.content_type", content_type);
        if let Some(status) = record.grpc_status {
            put("grpc.status_code", status.to_string());
        }
    }
    all
}

/// The URL that was asked for, with a path of a limited length.
fn url(record: &Record<'_>, max_path: usize) -> String {
    let path = field(record, "x-envoy-original-path").or_else(|| field(record, ":path"));
    let mut path = path.unwrap_or_default();
    let mut end = max_path.min(path.len());
    while !path.is_char_boundary(end) {
        end -= 1;
    }
    path.truncate(end);
    let part = |name: &str| field(record, name).unwrap_or_default();
    format!("{}://{}{path}", part(":scheme"), part(":authority"))
}

/// The spans as one message of OTLP.
pub(super) fn export(spans: Vec<Span>, service: &str) -> otlp::ExportTraces {
    let spans = spans.into_iter().map(|span| {
        let Span {
            context,
            state,
            name,
            kind,
            start,
            duration,
            tags,
            error,
        } = span;
        let since = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let tags = tags.into_iter();
        let parent = context.parent.map(|parent| parent.to_be_bytes().to_vec());
        otlp::Span {
            trace_id: context.trace.to_be_bytes().to_vec(),
            span_id: context.span.to_be_bytes().to_vec(),
            trace_state: state,
            parent_span_id: parent.unwrap_or_default(),
            name,
            kind: match kind {
                SpanKind::Server => 2,
                SpanKind::Client => 3,
            },
            start_time_unix_nano: nanos(since(start)),
            end_time_unix_nano: nanos(since(start).saturating_add(duration)),
            attributes: tags
                .map(|(name, value)| otlp::KeyValue::text(&*name, value))
                .collect(),
            status: error.then_some(otlp::Status { code: 2 }),
        }
    });
    otlp::ExportTraces {
        resource_spans: vec![otlp::ResourceSpans {
            resource: Some(otlp::Resource::service(service)),
            scope_spans: vec![otlp::ScopeSpans {
                spans: spans.collect(),
            }],
        }],
    }
}
