//! Traces: which requests leave spans, the contexts that they pass on, and where their spans go.
//!
//! ```text
//! request --decide, read context--> RequestTrace --fields--> upstream
//!                                        |
//!                                        +--Record--> Span --bounded queue--> collector
//! ```

mod context;
mod sampling;
mod span;
mod tags;
mod zipkin;

use std::sync::Arc;

use mesh_ir::{TraceProvider, Tracing};
use prost::Message as _;

pub use context::{Context, FIELDS, Incoming, Parent};
pub use sampling::{Reason, Wishes, tell};
pub use span::{Span, SpanKind};

use super::Reporter;
use super::export::{Call, Destination, Kind, Queue};
use super::otlp;
use crate::http1::Fields;
use crate::record::Record;
use context::Forms;
use tags::Tags;

/// Traces the requests of a listener.
#[derive(Debug)]
pub struct Tracer {
    config: Tracing,
    tags: Tags,
    spans: Queue<Span>,
    forms: Forms,
    long_ids: bool,
}

/// What is known of a request's trace as long as it is under way.
#[derive(Clone, Debug)]
pub struct RequestTrace {
    /// Its context.
    pub context: Context,
    /// The fields that the request is given in place of those that carry contexts.
    pub fields: Vec<(&'static str, Vec<u8>)>,
    /// Whether fields that carry contexts are replaced.
    pub replaces: bool,
    state: Vec<u8>,
}

// === impl Tracer ===

impl Tracer {
    /// # Errors
    /// With the tag whose format cannot be understood.
    pub(super) fn new(config: &Tracing, reporter: &Reporter) -> Result<Self, String> {
        let tags = Tags::compile(config, reporter)?;
        let own = &reporter.service;
        let (kind, destination, service, forms, long_ids) = match &config.provider {
            TraceProvider::Zipkin {
                cluster,
                path,
                host,
                long_ids,
                w3c,
            } => {
                let call = Call::Post {
                    path: path.clone(),
                    host: host.clone(),
                    content_type: "application/json",
                };
                let destination = Destination {
                    cluster: cluster.clone(),
                    call,
                    timeout: TraceProvider::DEFAULT_TIMEOUT,
                    headers: Vec::new(),
                };
                let forms = Forms {
                    b3: true,
                    w3c: *w3c,
                    b3_single: false,
                };
                (
                    Kind::ZipkinSpans,
                    destination,
                    own.clone(),
                    forms,
                    *long_ids,
                )
            }
            TraceProvider::OtlpGrpc {
                cluster,
                timeout,
                metadata,
                service,
            } => {
                let destination = Destination {
                    cluster: cluster.clone(),
                    call: Call::Grpc(otlp::TRACES),
                    timeout: *timeout,
                    headers: metadata.clone(),
                };
                let service = named(service, own);
                (Kind::OpenTelemetrySpans, destination, service, W3C, true)
            }
            TraceProvider::OtlpHttp {
                cluster,
                uri,
                timeout,
                headers,
                service,
            } => {
                let (host, path) = host_and_path(uri);
                let call = Call::Post {
                    path: path.into(),
                    host: host.into(),
                    content_type: "application/x-protobuf",
                };
                let destination = Destination {
                    cluster: cluster.clone(),
                    call,
                    timeout: *timeout,
                    headers: headers.clone(),
                };
                let service = named(service, own);
                (Kind::OpenTelemetrySpans, destination, service, W3C, true)
            }
        };
        let spans = match kind {
            Kind::ZipkinSpans => {
                let encode = move |spans: Vec<Span>| zipkin::encode(&spans, &service);
                reporter.exports.queue(kind, destination, encode)
            }
            _ => {
                let encode = move |spans: Vec<Span>| span::export(spans, &service).encode_to_vec();
                reporter.exports.queue(kind, destination, encode)
            }
        };
        Ok(Self {
            config: config.clone(),
            tags,
            spans,
            forms,
            long_ids,
        })
    }

    /// Decides whether a request is traced, and what its id should say of that; none leaves it as it is.
    pub fn decide(&self, wishes: Wishes<'_>, draw: u64) -> (bool, Option<Reason>) {
        let (traced, reason) = sampling::decide(&self.config, wishes, draw);
        (traced, self.config.by_request_id.then_some(reason))
    }

    /// The trace of a request: that which it belongs to already, or else a new one, recorded if it is `traced`.
    pub fn begin(&self, fields: Fields<'_>, traced: bool, random: [u64; 3]) -> RequestTrace {
        let incoming = Incoming::read(fields, self.forms.w3c && !self.forms.b3);
        let [span, high, low] = random;
        let high = if self.long_ids { high } else { 0 };
        let fresh = (u128::from(high) << 64 | u128::from(low)).max(1);
        let context = Context {
            trace: incoming.parent.map_or(fresh, |parent| parent.trace),
            span: span.max(1),
            parent: incoming.parent.map(|parent| parent.span),
            sampled: incoming.sampled.unwrap_or(traced),
        };
        // What the request has of other forms must not tell of another span.
        let forms = Forms {
            w3c: self.forms.w3c || incoming.forms.w3c,
            b3: self.forms.b3 || incoming.forms.b3,
            b3_single: incoming.forms.b3_single,
        };
        let replaces = self.config.propagates;
        RequestTrace {
            fields: if replaces {
                context.fields(forms, &incoming.state)
            } else {
                Vec::new()
            },
            replaces,
            state: incoming.state,
            context,
        }
    }

    /// Sends the span of a request that has ended.
    pub fn finish(&self, trace: &RequestTrace, record: &Record<'_>) {
        if trace.context.sampled {
            let state = String::from_utf8_lossy(&trace.state).into_owned();
            let limit = usize::try_from(self.config.max_path_length).unwrap_or(usize::MAX);
            self.spans
                .send(Span::new(trace.context, state, record, &self.tags, limit));
        }
    }
}

/// The form that OpenTelemetry's tracers write.
const W3C: Forms = Forms {
    w3c: true,
    b3: false,
    b3_single: false,
};

fn named(service: &Arc<str>, own: &Arc<str>) -> Arc<str> {
    if service.is_empty() {
        own.clone()
    } else {
        service.clone()
    }
}

/// Host with port, and path, of a URI.
fn host_and_path(uri: &str) -> (&str, &str) {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    }
}

/// Whether the tags of spans can be understood.
///
/// # Errors
/// With the tag that cannot.
pub(super) fn check(config: &Tracing) -> Result<(), String> {
    tags::check(config)
}

#[cfg(test)]
mod tests;
