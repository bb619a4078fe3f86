//! Heads as they are sent on: what stays is copied in as few pieces as possible, what concerns one connection only is left out.

use super::fields::{Fields, Known, Span};
use super::head::Framing;
use super::request::{RequestRef, Upgrade, nominated};
use super::response::ResponseHead;

/// Decides about fields beyond those that never go on.
pub trait Edit {
    /// Whether a field is left out.
    fn drops(&self, span: &Span, name: &[u8]) -> bool;
    /// Adds fields.
    fn add(&self, fields: &mut impl FieldSink);
}

/// Where fields are written, in the way of a protocol.
pub trait FieldSink {
    /// Adds a field.
    fn field(&mut self, name: &[u8], value: &[u8]);

    /// Adds a field whose value is a number.
    fn number(&mut self, name: &[u8], number: u64);
}

/// HTTP/1.1's lines.
impl FieldSink for Vec<u8> {
    #[inline]
    fn field(&mut self, name: &[u8], value: &[u8]) {
        write_field(self, name, value);
    }

    #[inline]
    fn number(&mut self, name: &[u8], number: u64) {
        self.extend_from_slice(name);
        self.extend_from_slice(b": ");
        write_decimal(self, number);
        self.extend_from_slice(b"\r\n");
    }
}

/// No edits.
#[derive(Clone, Copy, Debug)]
pub struct Unchanged;

/// A request line and `Host` for the next server.
#[derive(Clone, Copy, Debug)]
pub struct RequestLine<'a> {
    /// Path with query.
    pub path: &'a [u8],
    /// Query that is still to be joined to the path.
    pub query: Option<&'a [u8]>,
    /// Authority.
    pub host: &'a [u8],
}

/// Whether a request's field concerns the connection to the client alone, or is written anew.
#[inline]
pub(crate) fn is_request_hop_field(known: Known) -> bool {
    matches!(
        known,
        Known::Host
            | Known::Connection
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::ProxyAuthorization
            | Known::Te
            | Known::Trailer
            | Known::TransferEncoding
            | Known::Upgrade
            | Known::Http2Settings
            | Known::Expect
    )
}

/// Whether a response's field concerns the connection to the upstream alone, or is written anew.
#[inline]
pub(crate) fn is_response_hop_field(known: Known) -> bool {
    matches!(
        known,
        Known::Connection
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::TransferEncoding
            | Known::Trailer
            | Known::Upgrade
    )
}

/// Writes a request's head. The caller has decided what becomes of the body: its framing stays, chunks remain chunks.
pub fn write_request(
    out: &mut Vec<u8>,
    request: RequestRef<'_>,
    line: RequestLine<'_>,
    edit: &impl Edit,
) {
    out.extend_from_slice(request.method());
    out.push(b' ');
    out.extend_from_slice(line.path);
    if let Some(query) = line.query {
        out.push(b'?');
        out.extend_from_slice(query);
    }
    out.extend_from_slice(b" HTTP/1.1\r\nhost: ");
    out.extend_from_slice(line.host);
    out.extend_from_slice(b"\r\n");
    let nominates = request.head.nominates;
    copy(out, request.fields(), request.head.length, |span, name| {
        is_request_hop_field(span.known)
            || edit.drops(span, name)
            || (nominates && request.nominates(name))
    });
    if request.head.framing == Framing::Chunked {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    if request.head.upgrade == Some(Upgrade::WebSocket) {
        out.extend_from_slice(b"connection: Upgrade\r\nupgrade: websocket\r\n");
    }
    edit.add(out);
    out.extend_from_slice(b"\r\n");
}

/// How a response goes to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseLine {
    /// Whether the body is sent in chunks.
    pub chunked: bool,
    /// Whether the connection ends behind the response.
    pub close: bool,
    /// Whether the connection turns into a WebSocket.
    pub upgraded: bool,
}

/// Writes a response's head.
pub fn write_response(
    out: &mut Vec<u8>,
    head: &ResponseHead,
    bytes: &[u8],
    line: ResponseLine,
    edit: &impl Edit,
) {
    write_status(out, head.code, head.reason(bytes));
    let fields = head.fields(bytes);
    let no_length = head.code < 200 || head.code == 204;
    copy(out, fields, head.length, |span, name| {
        is_response_hop_field(span.known)
            // RFC 9110, 8.6: not in these.
            || (no_length && span.known == Known::ContentLength)
            || edit.drops(span, name) || (head.nominates && nominated(fields, name))
    });
    if line.chunked {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    if line.upgraded {
        out.extend_from_slice(b"connection: Upgrade\r\nupgrade: websocket\r\n");
    } else if line.close {
        out.extend_from_slice(b"connection: close\r\n");
    }
    edit.add(out);
    out.extend_from_slice(b"\r\n");
}

/// Writes a status line.
pub fn write_status(out: &mut Vec<u8>, code: u16, reason: &[u8]) {
    out.extend_from_slice(b"HTTP/1.1 ");
    write_decimal(out, code.into());
    out.push(b' ');
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
}

/// Writes one field.
pub fn write_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Writes a number.
pub fn write_decimal(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut left = number;
    let mut at = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (left % 10) as u8;
        left /= 10;
        at -= 1;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}

/// Copies the lines of all fields that are not dropped, neighbours in one piece.
#[inline]
fn copy(
    out: &mut Vec<u8>,
    fields: Fields<'_>,
    length: usize,
    drops: impl Fn(&Span, &[u8]) -> bool,
) {
    let bytes = fields.bytes();
    let Some(first) = fields.spans().first() else {
        return;
    };
    let mut from = first.name as usize;
    let mut spans = fields.spans().iter().peekable();
    while let Some(span) = spans.next() {
        let start = span.name as usize;
        let end = spans
            .peek()
            .map_or(length.saturating_sub(2), |next| next.name as usize);
        if drops(span, span.name(bytes)) {
            out.extend_from_slice(bytes.get(from..start).unwrap_or_default());
            from = end;
        }
    }
    out.extend_from_slice(
        bytes
            .get(from..length.saturating_sub(2))
            .unwrap_or_default(),
    );
}

// === impl Unchanged ===

impl Edit for Unchanged {
    fn drops(&self, _span: &Span, _name: &[u8]) -> bool {
        false
    }

    fn add(&self, _fields: &mut impl FieldSink) {}
}
