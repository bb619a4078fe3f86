//! Zipkin's JSON, version 2.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;

use super::span::{Span, SpanKind};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ZipkinSpan<'s> {
    trace_id: String,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<String>,
    name: &'s str,
    kind: &'static str,
    /// Microseconds since 1970.
    timestamp: u64,
    /// Microseconds, at least one.
    duration: u64,
    local_endpoint: Endpoint<'s>,
    tags: BTreeMap<&'s str, &'s str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint<'s> {
    service_name: &'s str,
}

/// The spans as a list.
pub(super) fn encode(spans: &[Span], service: &str) -> Vec<u8> {
    let spans = spans.iter().map(|span| {
        let context = span.context;
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let tags = span.tags.iter();
        ZipkinSpan {
            trace_id: if context.trace >> 64 == 0 {
                format!("{:016x}", context.trace)
            } else {
                format!("{:032x}", context.trace)
            },
            id: format!("{:016x}", context.span),
            parent_id: context.parent.map(|parent| format!("{parent:016x}")),
            name: &span.name,
            kind: match span.kind {
                SpanKind::Server => "SERVER",
                SpanKind::Client => "CLIENT",
            },
            timestamp: micros(span.start.duration_since(UNIX_EPOCH).unwrap_or_default()),
            duration: micros(span.duration).max(1),
            local_endpoint: Endpoint {
                service_name: service,
            },
            tags: tags
                .map(|(name, value)| (&**name, value.as_str()))
                .collect(),
        }
    });
    let spans: Vec<_> = spans.collect();
    // Texts and numbers can always be written.
    serde_json::to_vec(&spans).unwrap_or_default()
}
