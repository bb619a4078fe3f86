//! Which requests leave spans, and who gets them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::Fraction;

/// How requests are traced.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tracing {
    /// Who gets the spans.
    pub provider: TraceProvider,
    /// Share of the requests with `x-client-trace-id` that are traced for it.
    pub client_sampling: Fraction,
    /// Share of all requests that are traced by their request id.
    pub random_sampling: Fraction,
    /// Share beyond which no request is traced, whatever the reason.
    pub overall_sampling: Fraction,
    /// Whether the request id decides what is traced, and is told the decision. Otherwise the tracer decides.
    pub by_request_id: bool,
    /// Whether the request is given the context of its span, so that others' spans belong to the same trace.
    pub propagates: bool,
    /// Longest path in the tag `http.url`, in bytes.
    pub max_path_length: u32,
    /// Further tags of spans, by their names.
    pub tags: BTreeMap<Arc<str>, SpanTag>,
}

/// Who gets spans, and how.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TraceProvider {
    /// A collector of Zipkin's JSON, version 2.
    Zipkin {
        /// Its cluster.
        cluster: Arc<str>,
        /// Path and host that spans are posted to.
        path: Arc<str>,
        /// Host that is asked.
        host: Arc<str>,
        /// Whether ids of traces have 128 bits.
        long_ids: bool,
        /// Whether W3C's context is passed on beside B3's.
        w3c: bool,
    },
    /// A collector that is spoken to by OTLP over gRPC.
    OtlpGrpc {
        /// Its cluster.
        cluster: Arc<str>,
        /// Limit for it to answer.
        timeout: Duration,
        /// Metadata of the calls.
        metadata: Vec<(Arc<str>, Arc<str>)>,
        /// Name of the service whose spans these are; empty for what the proxy calls itself.
        service: Arc<str>,
    },
    /// A collector that is spoken to by OTLP over HTTP.
    OtlpHttp {
        /// Its cluster.
        cluster: Arc<str>,
        /// URI that spans are posted to.
        uri: Arc<str>,
        /// Limit for it to answer.
        timeout: Duration,
        /// Headers of the requests.
        headers: Vec<(Arc<str>, Arc<str>)>,
        /// Name of the service whose spans these are; empty for what the proxy calls itself.
        service: Arc<str>,
    },
}

/// The value of a tag.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpanTag {
    /// Where it comes from.
    pub source: TagSource,
    /// The value where there is none; empty leaves the tag out.
    pub default: Arc<str>,
}

/// Where the value of a tag comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TagSource {
    /// A fixed value.
    Literal(Arc<str>),
    /// An environment variable of the proxy.
    Environment(Arc<str>),
    /// A header of the request, in lower case.
    Header(Arc<str>),
    /// A text with the operators of access logs.
    Format(Arc<str>),
}

// === impl Tracing ===

impl Tracing {
    /// Envoy's longest path where none is configured.
    pub const DEFAULT_PATH_LENGTH: u32 = 256;
}

// === impl TraceProvider ===

impl TraceProvider {
    /// Limit for collectors where none is configured.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

    /// The cluster that gets the spans.
    pub fn cluster(&self) -> &Arc<str> {
        match self {
            Self::Zipkin { cluster, .. }
            | Self::OtlpGrpc { cluster, .. }
            | Self::OtlpHttp { cluster, .. } => cluster,
        }
    }
}
