//! What the proxy changes in heads, beyond what never goes on: Envoy's own fields, and the changes that routes ask for.

use mesh_ir::matching::HeadEdits;
use mesh_ir::{HeaderAppend, HeaderOps};

use crate::http1::{Edit, FieldSink, Known, Span};
use crate::telemetry::metrics::{OwnMetadata, PEER_ID, PEER_METADATA};
use crate::telemetry::tracing::{FIELDS as CONTEXT_FIELDS, RequestTrace};

/// Changes of the route and of the weighted cluster, in their order.
pub type Ops<'a> = [Option<&'a HeaderOps>; 2];

/// Changes to a request's head.
#[derive(Clone, Copy, Debug)]
pub struct RequestEdit<'a> {
    /// What policies have changed before the request was routed.
    pub policies: Option<&'a HeadEdits>,
    /// What the route asks for.
    pub ops: Ops<'a>,
    /// `x-request-id`, where the client sent none.
    pub request_id: Option<&'a [u8]>,
    /// `x-forwarded-for`, where the proxy extends it; then other fields that only the edge may write are replaced too.
    pub forwarded_for: Option<&'a [u8]>,
    /// Whether `x-forwarded-client-cert` is passed on as it came.
    pub forwards_certificate: bool,
    /// `x-forwarded-client-cert`, where the proxy writes it.
    pub client_certificate: Option<&'a [u8]>,
    /// `x-forwarded-proto`, where it is to be written.
    pub forwarded_proto: Option<&'a [u8]>,
    /// `x-envoy-original-path`, where the path was rewritten.
    pub original_path: Option<&'a [u8]>,
    /// `x-envoy-attempt-count`, where it is written.
    pub attempt: Option<u32>,
    /// What the endpoint's proxy is told of this one.
    pub metadata: Option<&'a OwnMetadata>,
    /// The trace whose context takes the place of what the request has of one.
    pub trace: Option<&'a RequestTrace>,
}

/// Changes to a response's head.
#[derive(Clone, Copy, Debug)]
pub struct ResponseEdit<'a> {
    /// What the route asks for.
    pub ops: Ops<'a>,
    /// `server`.
    pub server: &'static [u8],
    /// `date`, where the upstream sent none.
    pub date: Option<&'a [u8]>,
    /// `x-envoy-upstream-service-time` in milliseconds.
    pub service_time: Option<u64>,
}

/// What Envoy removes from requests of others, behind `x-envoy-`.
const INSTRUCTIONS: [&[u8]; 17] = [
    b"retry-on",
    b"retry-grpc-on",
    b"max-retries",
    b"retriable-status-codes",
    b"retriable-header-names",
    b"hedge-on-per-try-timeout",
    b"upstream-rq-timeout-ms",
    b"upstream-rq-per-try-timeout-ms",
    b"upstream-alt-response",
    b"expected-rq-timeout-ms",
    b"force-trace",
    b"ip-tags",
    b"original-url",
    b"downstream-service-cluster",
    b"downstream-service-node",
    b"peer-metadata",
    b"peer-metadata-id",
];

/// Fields that belong to the connection or to the framing, which no configuration may touch.
pub(super) fn is_fixed(name: &[u8]) -> bool {
    name.first() == Some(&b':')
        || matches!(
            Known::of(name),
            Known::Host
                | Known::Connection
                | Known::KeepAlive
                | Known::ProxyConnection
                | Known::TransferEncoding
                | Known::ContentLength
                | Known::Upgrade
                | Known::Te
                | Known::Trailer
        )
}

/// Whether a field tells Envoy's filters what to do with the request. Nobody outside may, and what a proxy has obeyed goes no further.
fn is_instruction(name: &[u8]) -> bool {
    const PREFIX: &[u8] = b"x-envoy-";
    let Some((prefix, rest)) = name.split_at_checked(PREFIX.len()) else {
        return false;
    };
    prefix.eq_ignore_ascii_case(PREFIX)
        && INSTRUCTIONS
            .iter()
            .any(|other| other.eq_ignore_ascii_case(rest))
}

/// Whether a field carries the context of a trace.
fn is_context(name: &[u8]) -> bool {
    let mut known = CONTEXT_FIELDS.iter();
    known.any(|known| known.as_bytes().eq_ignore_ascii_case(name))
}

/// Whether changes remove or replace what a field has so far.
fn drops(ops: Option<&HeaderOps>, name: &[u8]) -> bool {
    let Some(HeaderOps { remove, set }) = ops else {
        return false;
    };
    let same = |other: &str| other.as_bytes().eq_ignore_ascii_case(name);
    let replaced = set
        .iter()
        .any(|set| set.append == HeaderAppend::Overwrite && same(&set.name));
    (replaced || remove.iter().any(|removed| same(removed))) && !is_fixed(name)
}

fn add(ops: Ops<'_>, fields: &mut impl FieldSink) {
    let [first, second] = ops;
    for (ops, later) in [(first, second), (second, None)] {
        for set in ops.iter().flat_map(|ops| &ops.set) {
            let name = set.name.as_bytes();
            if !is_fixed(name) && !drops(later, name) {
                fields.field(name, set.value.as_bytes());
            }
        }
    }
}

/// The changes, and after them others.
pub fn followed_by(ops: Ops<'_>, last: &HeaderOps) -> [HeaderOps; 2] {
    let [first, mut second] = ops.map(|ops| ops.cloned().unwrap_or_default());
    second.set.retain(|set| {
        let mut last = last.set.iter();
        !last.any(|last| {
            last.append == HeaderAppend::Overwrite && last.name.eq_ignore_ascii_case(&set.name)
        })
    });
    second.set.extend(last.set.iter().cloned());
    [first, second]
}

// === impl RequestEdit ===

impl RequestEdit<'_> {
    /// A head that goes out as it is, but for what never goes on.
    pub const UNCHANGED: Self = Self {
        policies: None,
        ops: [None; 2],
        request_id: None,
        forwarded_for: None,
        forwards_certificate: true,
        client_certificate: None,
        forwarded_proto: None,
        original_path: None,
        attempt: None,
        metadata: None,
        trace: None,
    };

    /// Whether a route's changes replace a field that the proxy writes.
    fn own(&self, fields: &mut impl FieldSink, name: &[u8], value: Option<&[u8]>) {
        let [first, second] = self.ops;
        if let Some(value) = value
            && !drops(first, name)
            && !drops(second, name)
        {
            fields.field(name, value);
        }
    }
}

impl Edit for RequestEdit<'_> {
    #[inline]
    fn drops(&self, span: &Span, name: &[u8]) -> bool {
        let [first, second] = self.ops;
        let own = match span.known {
            Known::Other => is_instruction(name) || self.trace.is_some() && is_context(name),
            Known::RequestId => self.request_id.is_some(),
            Known::ForwardedFor | Known::ExternalAddress | Known::Internal => {
                self.forwarded_for.is_some()
            }
            Known::ForwardedProto => self.forwarded_proto.is_some(),
            Known::ForwardedClientCert => !self.forwards_certificate,
            Known::OriginalPath => self.original_path.is_some() || self.forwarded_for.is_some(),
            Known::AttemptCount => self.attempt.is_some(),
            Known::DecoratorOperation => true,
            _ => false,
        };
        let by_policies = self.policies.is_some_and(|edits| edits.drops(name));
        own || by_policies && !is_fixed(name) || drops(first, name) || drops(second, name)
    }

    fn add(&self, fields: &mut impl FieldSink) {
        for (name, value) in self.policies.iter().flat_map(|edits| &edits.set) {
            if !is_fixed(name.as_bytes()) {
                self.own(fields, name.as_bytes(), Some(value));
            }
        }
        self.own(fields, b"x-forwarded-for", self.forwarded_for);
        self.own(fields, b"x-forwarded-proto", self.forwarded_proto);
        self.own(fields, b"x-forwarded-client-cert", self.client_certificate);
        self.own(fields, b"x-request-id", self.request_id);
        self.own(fields, b"x-envoy-original-path", self.original_path);
        if let Some(OwnMetadata { id, metadata }) = self.metadata {
            self.own(fields, PEER_ID.as_bytes(), Some(id));
            self.own(fields, PEER_METADATA.as_bytes(), Some(metadata));
        }
        for (name, value) in self.trace.iter().flat_map(|trace| &trace.fields) {
            self.own(fields, name.as_bytes(), Some(value));
        }
        if let Some(attempt) = self.attempt {
            fields.number(b"x-envoy-attempt-count", attempt.into());
        }
        add(self.ops, fields);
    }
}

// === impl ResponseEdit ===

impl Edit for ResponseEdit<'_> {
    #[inline]
    fn drops(&self, span: &Span, name: &[u8]) -> bool {
        let [first, second] = self.ops;
        matches!(
            span.known,
            Known::Server | Known::ServiceTime | Known::DecoratorOperation
        ) || drops(first, name)
            || drops(second, name)
    }

    fn add(&self, fields: &mut impl FieldSink) {
        let [first, second] = self.ops;
        if let Some(date) = self.date {
            fields.field(b"date", date);
        }
        if !drops(first, b"server") && !drops(second, b"server") {
            fields.field(b"server", self.server);
        }
        if let Some(time) = self.service_time {
            fields.number(b"x-envoy-upstream-service-time", time);
        }
        add(self.ops, fields);
    }
}
