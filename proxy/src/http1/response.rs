//! Heads of responses.

use std::mem::MaybeUninit;

use super::fields::{Fields, Span};
use super::head::{Control, Framing, HeadLimits, MAX_FIELDS, record_spans};
use super::refusal::Refusal;

/// A response's head: what it says, as ranges of the bytes that it was parsed from. Made to be used again for the next response.
#[derive(Debug, Default)]
pub struct ResponseHead {
    /// Length of the head with its blank line.
    pub length: usize,
    /// Status code.
    pub code: u16,
    /// How long the body is.
    pub framing: Framing,
    /// Whether the upstream takes more requests on the connection.
    pub keep_alive: bool,
    /// Whether `Connection` names fields that are not for the client.
    pub nominates: bool,
    pub(crate) reason: std::ops::Range<usize>,
    pub(crate) spans: Vec<Span>,
}

// === impl ResponseHead ===

impl ResponseHead {
    /// Parses the head at the start of `bytes`, an answer to `HEAD` or to another method. False means that it is not complete yet.
    ///
    /// # Errors
    /// When it can never become a head that is understood alike by everybody.
    pub fn parse(
        &mut self,
        bytes: &[u8],
        limits: HeadLimits,
        to_head: bool,
    ) -> Result<bool, Refusal> {
        const INVALID: Refusal = Refusal::bad("http1.invalid_status");
        let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut parsed = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        let status = config.parse_response_with_uninit_headers(&mut parsed, bytes, &mut fields)?;
        let length = match status {
            httparse::Status::Complete(length) if length <= limits.bytes => length,
            httparse::Status::Partial if bytes.len() <= limits.bytes => return Ok(false),
            _ => return Err(Refusal::TOO_LARGE),
        };
        let head = bytes.get(..length).unwrap_or_default();
        if parsed.headers.len() > limits.fields {
            return Err(Refusal::TOO_MANY);
        }
        record_spans(head, parsed.headers, &mut self.spans)?;
        self.length = length;
        self.code = parsed.code.filter(|code| *code >= 100).ok_or(INVALID)?;
        let reason = parsed.reason.unwrap_or_default();
        let start = (reason.as_ptr() as usize).wrapping_sub(bytes.as_ptr() as usize);
        self.reason = start..start.saturating_add(reason.len());
        self.control(head, parsed.version == Some(0), to_head)?;
        Ok(true)
    }

    fn control(&mut self, head: &[u8], old: bool, to_head: bool) -> Result<(), Refusal> {
        let mut control = Control::default();
        for span in &self.spans {
            control.add(span.known, span.value(head))?;
        }
        control.check()?;
        if old && control.chunked {
            return Err(Refusal::bad("http1.invalid_transfer_encoding"));
        }
        self.nominates = control.nominates;
        self.framing = if to_head || matches!(self.code, 100..200 | 204 | 304) {
            Framing::None
        } else if control.chunked {
            Framing::Chunked
        } else {
            match control.length {
                Some(0) => Framing::None,
                Some(length) => Framing::Length(length),
                None => Framing::UntilClose,
            }
        };
        self.keep_alive =
            !control.close && (!old || control.keep_alive) && self.framing != Framing::UntilClose;
        Ok(())
    }

    /// Fields.
    pub fn fields<'a>(&'a self, bytes: &'a [u8]) -> Fields<'a> {
        Fields::new(bytes, &self.spans)
    }

    /// Text behind the status code.
    pub fn reason<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(self.reason.clone()).unwrap_or_default()
    }
}
