//! Answers of the proxy itself.

use mesh_ir::{HeaderOps, HeaderValue};

use super::edit::is_fixed;
use super::grpc;
use crate::http1::{FieldSink, write_field, write_status};
use crate::record::ResponseFlags;

/// An answer of the proxy itself, with what the log says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// Status code.
    pub code: u16,
    /// What went wrong.
    pub flags: ResponseFlags,
    /// Why, in Envoy's words.
    pub details: &'static str,
    /// The same where it names the rule that denies the request; then it counts in place of `details`.
    pub denial: Option<&'a str>,
    /// Body; plain text.
    pub body: &'a str,
    /// Where to, for redirects.
    pub location: Option<&'a [u8]>,
    /// The status for a gRPC client, which gets it in the head and no body.
    pub grpc_status: Option<u32>,
    /// What the client has to show (`www-authenticate`), where its token is wrong.
    pub challenge: Option<&'a [u8]>,
    /// Whether the client is told that a limit was reached (`x-envoy-overloaded`).
    pub overloaded: bool,
    /// More fields; a `content-type` among them replaces that of plain text.
    pub headers: &'a [HeaderValue],
}

// === impl Reply ===

impl<'a> Reply<'a> {
    /// An answer without a body.
    pub const fn new(code: u16, flags: ResponseFlags, details: &'static str) -> Self {
        Self {
            code,
            flags,
            details,
            denial: None,
            body: "",
            location: None,
            grpc_status: None,
            challenge: None,
            overloaded: false,
            headers: &[],
        }
    }

    /// The same with a body.
    pub const fn with_body(self, body: &'a str) -> Self {
        Self { body, ..self }
    }

    /// No route takes the request.
    pub const NO_ROUTE: Self = Self::new(404, ResponseFlags::NO_ROUTE, "route_not_found");
    /// The route's cluster does not exist.
    pub const NO_CLUSTER: Self = Self::new(503, ResponseFlags::NO_CLUSTER, "cluster_not_found");
    /// No endpoint could be chosen.
    pub const NO_ENDPOINT: Self = Self::new(
        503,
        ResponseFlags::NO_HEALTHY_UPSTREAM,
        "no_healthy_upstream",
    )
    .with_body("no healthy upstream");
    /// The upstream took too long.
    pub const TIMEOUT: Self = Self::new(504, ResponseFlags::UPSTREAM_TIMEOUT, "response_timeout")
        .with_body("upstream request timeout");
    /// The last try took too long.
    pub const TRY_TIMEOUT: Self = Self::new(
        504,
        ResponseFlags::UPSTREAM_TIMEOUT,
        "upstream_per_try_timeout",
    )
    .with_body("upstream request timeout");
    /// The request came in too slowly.
    pub const IDLE: Self = Self::new(408, ResponseFlags::IDLE_TIMEOUT, "stream_idle_timeout")
        .with_body("stream timeout");
    /// The connection may not become what the client asks for.
    pub const NO_UPGRADE: Self = Self::new(403, ResponseFlags::NONE, "upgrade_failed");
    /// The target is no path that a route could take.
    pub const NO_PATH: Self = Self::new(404, ResponseFlags::NONE, "absolute_path_rejected");

    /// The same for a gRPC client, which looks for a gRPC status and gets it in the head, whatever the code would have been.
    pub fn to_grpc(self) -> Self {
        if self.grpc_status.is_some() {
            return self;
        }
        Self {
            code: 200,
            grpc_status: Some(grpc::status_of(self.code)),
            ..self
        }
    }

    /// The body that the client gets; none with gRPC, where the text is a field.
    pub fn content(&self) -> &'a str {
        if self.grpc_status.is_some() || !self.may_have_body() {
            return "";
        }
        self.body
    }

    fn may_have_body(&self) -> bool {
        !matches!(self.code, 204 | 304)
    }

    /// The fields that any protocol sends, and more.
    pub fn fields(
        &self,
        date: &[u8],
        server: &[u8],
        more: Option<&HeaderOps>,
        fields: &mut impl FieldSink,
    ) {
        if let Some(location) = self.location {
            fields.field(b"location", location);
        }
        if let Some(status) = self.grpc_status {
            fields.field(b"content-type", b"application/grpc");
            fields.number(b"grpc-status", status.into());
            if !self.body.is_empty() {
                fields.field(b"grpc-message", &grpc::encode(self.body));
            }
        }
        let content = self.content();
        if self.may_have_body() && self.grpc_status.is_none() {
            fields.number(b"content-length", content.len() as u64);
        }
        let mut own = self.headers.iter();
        let has_type = own.any(|field| field.name.eq_ignore_ascii_case("content-type"));
        if !content.is_empty() && !has_type {
            fields.field(b"content-type", b"text/plain");
        }
        for field in self.headers {
            let is_type = field.name.eq_ignore_ascii_case("content-type");
            if !(is_fixed(field.name.as_bytes()) || is_type && self.grpc_status.is_some()) {
                fields.field(field.name.as_bytes(), field.value.as_bytes());
            }
        }
        if let Some(challenge) = self.challenge {
            fields.field(b"www-authenticate", challenge);
        }
        if self.overloaded {
            fields.field(b"x-envoy-overloaded", b"true");
        }
        for field in more.iter().flat_map(|more| &more.set) {
            fields.field(field.name.as_bytes(), field.value.as_bytes());
        }
        fields.field(b"date", date);
        fields.field(b"server", server);
    }

    /// Appends the answer to `out` as HTTP/1.1, with more fields; to `HEAD` without its body.
    pub fn write(
        &self,
        out: &mut Vec<u8>,
        date: &[u8],
        server: &[u8],
        more: Option<&HeaderOps>,
        to_head: bool,
        close: bool,
    ) {
        write_status(out, self.code, reason(self.code).as_bytes());
        self.fields(date, server, more, out);
        if close {
            write_field(out, b"connection", b"close");
        }
        out.extend_from_slice(b"\r\n");
        if !to_head {
            out.extend_from_slice(self.content().as_bytes());
        }
    }
}

/// The text of a status code.
pub fn reason(code: u16) -> &'static str {
    http::StatusCode::from_u16(code)
        .ok()
        .and_then(|code| code.canonical_reason())
        .unwrap_or("Unknown")
}
