//! The fields behind a body. Like heads they are bytes with the places of their fields; what could be taken for a field of the head that
//! somebody relies on never goes on (RFC 9110, 6.5.1).

use super::fields::{Fields, Known, Span};
use super::refusal::Refusal;
use super::write::write_field;

/// Most fields behind a body.
const MAX_FIELDS: usize = 100;

/// Longest trailer section.
pub const MAX_TRAILERS: usize = 16 << 10;

/// The fields behind a body; none for most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trailers {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

// === impl Trailers ===

impl Trailers {
    /// The fields.
    #[inline]
    pub fn fields(&self) -> Fields<'_> {
        Fields::new(&self.bytes, &self.spans)
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
    }

    /// Adds a field, unless it must not stand behind a body.
    ///
    /// # Errors
    /// When there are too many, or they are too long.
    pub fn add(&mut self, name: &[u8], value: &[u8]) -> Result<(), Refusal> {
        const TOO_LARGE: Refusal = Refusal {
            code: 431,
            details: "trailers_too_large",
        };
        if is_forbidden(name) {
            return Ok(());
        }
        let start = self.bytes.len();
        if self.spans.len() >= MAX_FIELDS || start + name.len() + value.len() > MAX_TRAILERS {
            return Err(TOO_LARGE);
        }
        write_field(&mut self.bytes, name, value);
        let span = Span::new(start, name, start + name.len() + 2, value);
        self.spans.push(span.ok_or(TOO_LARGE)?);
        Ok(())
    }

    /// Adds fields that were told elsewhere.
    pub fn extend(&mut self, fields: Fields<'_>) {
        for (name, value) in fields.iter() {
            // What is too much was refused where it came in.
            let _ = self.add(name, value);
        }
    }

    /// Takes in the lines of a trailer section whose form has been checked.
    pub(super) fn parse(&mut self, lines: &[u8]) -> Result<(), Refusal> {
        for line in lines.split(|byte| *byte == b'\n') {
            let mut parts = line.splitn(2, |byte| *byte == b':');
            if let (Some(name), Some(value)) = (parts.next(), parts.next()) {
                self.add(name, value.trim_ascii())?;
            }
        }
        Ok(())
    }
}

/// Whether a field belongs into a head: it frames or routes the message, tells who the client is, or what the body is.
fn is_forbidden(name: &[u8]) -> bool {
    const OTHERS: [&str; 9] = [
        "authorization",
        "cache-control",
        "content-encoding",
        "content-range",
        "cookie",
        "location",
        "max-forwards",
        "range",
        "set-cookie",
    ];
    let begins = |prefix: &[u8]| {
        let start = name.get(..prefix.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    !matches!(Known::of(name), Known::Other | Known::GrpcStatus)
        || name.is_empty()
        || begins(b"x-forwarded-")
        || begins(b"x-envoy-")
        || begins(b":")
        || OTHERS
            .iter()
            .any(|other| name.eq_ignore_ascii_case(other.as_bytes()))
}
