//! What heads of requests and responses have in common: spans of fields, line ends, framing, `Connection`.

use super::fields::{Known, Span};
use super::refusal::Refusal;

/// Most proxies of a mesh that a request passes before it reaches its workload: its own sidecar, a gateway, the workload's sidecar.
const MAX_HOPS: usize = 2;

/// Most fields of any head.
pub(super) const MAX_FIELDS: usize = HeadLimits::MOST.fields;

/// How long a head may be, and how many fields it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes.
    pub bytes: usize,
    /// Fields.
    pub fields: usize,
}

// === impl HeadLimits ===

impl HeadLimits {
    /// For those who are not of the mesh: Envoy's defaults.
    pub const FIRST: Self = Self::behind(0);

    /// For those that all others have let through.
    pub const MOST: Self = Self::behind(MAX_HOPS);

    /// Behind so many proxies of the mesh, each of which adds fields: what the first one has let through must not fail at the next one.
    pub const fn behind(hops: usize) -> Self {
        Self {
            bytes: (60 << 10) + hops * (3 << 10),
            fields: 100 + hops * 16,
        }
    }
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self::FIRST
    }
}

/// Looks for the end of a head that comes in pieces, so that it is not parsed again with each of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadScan {
    seen: usize,
}

// === impl HeadScan ===

impl HeadScan {
    /// Parses what has come in so far, unless it is clear that the end has not come. What can never become a head is found out with the first
    /// piece or at the end.
    ///
    /// # Errors
    /// What `parse` says, or that there is more than a head may have.
    pub fn parse(
        &mut self,
        bytes: &[u8],
        limits: HeadLimits,
        parse: impl FnOnce(&[u8]) -> Result<bool, Refusal>,
    ) -> Result<bool, Refusal> {
        let before = std::mem::replace(&mut self.seen, bytes.len());
        let new = bytes.get(before.saturating_sub(2)..).unwrap_or_default();
        if before == 0 || ends_head(new) {
            return parse(bytes);
        }
        if bytes.len() > limits.bytes {
            Err(Refusal::TOO_LARGE)
        } else {
            Ok(false)
        }
    }
}

/// Whether a head may end here. Lone line feeds count, so that they are refused and not waited for.
fn ends_head(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|window| window == b"\n\n")
        || bytes.windows(3).any(|window| window == b"\n\r\n")
}

/// How long a body is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    #[default]
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks, the last one of length 0.
    Chunked,
    /// Until the connection ends (responses only).
    UntilClose,
}

/// What the fields say about the connection and the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// `Content-Length`.
    pub length: Option<u64>,
    /// `Transfer-Encoding: chunked`.
    pub chunked: bool,
    /// `Connection: close`.
    pub close: bool,
    /// `Connection: keep-alive`.
    pub keep_alive: bool,
    /// `Connection: upgrade`.
    pub upgrade: bool,
    /// `Connection` names other fields, which concern this connection only.
    pub nominates: bool,
}

/// Records where the fields lie and checks the ends of all lines: `httparse` takes a lone line feed for one.
///
/// `head` is the whole head with its blank line, `fields` point into it.
pub(super) fn record_spans(
    head: &[u8],
    fields: &[httparse::Header<'_>],
    spans: &mut Vec<Span>,
) -> Result<(), Refusal> {
    const LINE_END: Refusal = Refusal::bad("http1.invalid_line_end");
    spans.clear();
    let base = head.as_ptr() as usize;
    for field in fields {
        let name = (field.name.as_ptr() as usize).wrapping_sub(base);
        let value = (field.value.as_ptr() as usize).wrapping_sub(base);
        // What comes before each name is the end of a line.
        if name < 2 || head.get(name - 2..name) != Some(b"\r\n") {
            return Err(LINE_END);
        }
        let span = Span::new(name, field.name.as_bytes(), value, field.value);
        spans.push(span.ok_or(Refusal::TOO_LARGE)?);
    }
    if head.ends_with(b"\r\n\r\n") {
        Ok(())
    } else {
        Err(LINE_END)
    }
}

// === impl Control ===

impl Control {
    /// Takes in one field; others than those of framing and connection are ignored.
    #[inline]
    pub(super) fn add(&mut self, known: Known, value: &[u8]) -> Result<(), Refusal> {
        match known {
            Known::ContentLength => {
                if self.length.is_some() {
                    return Err(Refusal::bad("http1.repeated_content_length"));
                }
                self.length = Some(decimal(value)?);
            }
            Known::TransferEncoding => {
                // Only `chunked`, and only once: everything else is read differently by different servers.
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Refusal::bad("http1.invalid_transfer_encoding"));
                }
                self.chunked = true;
            }
            Known::Connection => self.connection(value)?,
            _ => {}
        }
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) -> Result<(), Refusal> {
        for token in tokens(value) {
            if token.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if token.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if token.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade = true;
            } else {
                match Known::of(token) {
                    // Without these fields the message would mean something else to the next server.
                    Known::Host
                    | Known::ContentLength
                    | Known::TransferEncoding
                    | Known::ForwardedFor
                    | Known::ForwardedProto
                    | Known::RequestId => {
                        return Err(Refusal::bad("http1.invalid_connection_header"));
                    }
                    _ => self.nominates = true,
                }
            }
        }
        Ok(())
    }

    /// Refuses lengths that contradict each other.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if self.chunked && self.length.is_some() {
            return Err(Refusal::bad("http1.content_length_and_chunked_not_allowed"));
        }
        Ok(())
    }
}

/// The tokens of a list.
pub(super) fn tokens(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty())
}

/// A `Content-Length`: digits and nothing else.
fn decimal(value: &[u8]) -> Result<u64, Refusal> {
    const INVALID: Refusal = Refusal::bad("http1.invalid_content_length");
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(INVALID);
    }
    value.iter().try_fold(0_u64, |sum, digit| {
        sum.checked_mul(10)
            .and_then(|sum| sum.checked_add(u64::from(digit - b'0')))
            .ok_or(INVALID)
    })
}
