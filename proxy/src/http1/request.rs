//! Heads of requests.

use std::borrow::Cow;
use std::mem::MaybeUninit;
use std::ops::{ControlFlow, Range};

use mesh_ir::PathNormalization;

use super::fields::{Fields, Known, Span};
use super::head::{Control, Framing, HeadLimits, MAX_FIELDS, record_spans, tokens};
use super::method::is_method;
use super::normalize::normalize;
use super::refusal::Refusal;

/// A request's head: what it says, as ranges of the bytes that it was parsed from. Made to be used again for the next request.
#[derive(Debug, Default)]
pub struct RequestHead {
    /// Length of the head, blank lines before and after it included.
    pub length: usize,
    /// Form of the target.
    pub form: Form,
    /// How long the body is.
    pub framing: Framing,
    /// Whether the client may send more requests on the connection.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue`.
    pub expects_continue: bool,
    /// What the connection is to become.
    pub upgrade: Option<Upgrade>,
    /// Whether `Connection` names fields that are not for the next server.
    pub nominates: bool,
    /// Whether this is `HEAD`, whose responses have no body.
    pub is_head: bool,
    pub(crate) method: Range<usize>,
    pub(crate) authority: Range<usize>,
    pub(crate) path: Range<usize>,
    pub(crate) query: Option<Range<usize>>,
    /// Whether the target said `https`, or the connection does.
    pub https: bool,
    pub(crate) spans: Vec<Span>,
}

/// Form of a request's target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// `/path`
    #[default]
    Origin,
    /// `http://host/path`, as proxies are asked.
    Absolute,
    /// `host:port`, for `CONNECT`.
    Authority,
    /// `*`, for `OPTIONS`.
    Asterisk,
}

/// What a connection is asked to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// A WebSocket.
    WebSocket,
}

/// A head together with the bytes that it was parsed from.
#[derive(Clone, Copy, Debug)]
pub struct RequestRef<'a> {
    /// The head.
    pub head: &'a RequestHead,
    /// The bytes, which begin where the head begins.
    pub bytes: &'a [u8],
}

// === impl RequestHead ===

impl RequestHead {
    /// Parses the head at the start of `bytes`. False means that it is not complete yet.
    ///
    /// # Errors
    /// When it can never become a head that is understood alike by everybody.
    pub fn parse(&mut self, bytes: &[u8], limits: HeadLimits) -> Result<bool, Refusal> {
        let Some(blank) = blank_lines(bytes)? else {
            return Ok(false);
        };
        let Some(rest) = bytes.get(blank..) else {
            return Ok(false);
        };
        let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut parsed = httparse::Request::new(&mut []);
        let length = match parsed.parse_with_uninit_headers(rest, &mut fields)? {
            httparse::Status::Complete(length) if length <= limits.bytes => length,
            httparse::Status::Partial if bytes.len() <= limits.bytes => return Ok(false),
            _ => return Err(Refusal::TOO_LARGE),
        };
        if parsed.version != Some(1) {
            // As Envoy, which serves HTTP/1.0 only where it is told to.
            return Err(Refusal {
                code: 426,
                details: "low_version",
            });
        }
        self.length = blank + length;
        let head = bytes.get(..self.length).unwrap_or_default();
        if parsed.headers.len() > limits.fields {
            return Err(Refusal::TOO_MANY);
        }
        record_spans(head, parsed.headers, &mut self.spans)?;
        let method = parsed.method.unwrap_or_default();
        if !is_method(method.as_bytes()) {
            return Err(Refusal::bad("http1.invalid_method"));
        }
        self.method = range(head, method);
        self.target(head, parsed.path.unwrap_or_default())?;
        self.fields(head)
    }

    /// Brings the path into the form in which paths are compared. `bytes` are those that the head was parsed from; what is changed in
    /// them lies within the target.
    ///
    /// # Errors
    /// When the path has no such form.
    pub fn normalize_path(
        &mut self,
        bytes: &mut [u8],
        how: PathNormalization,
    ) -> Result<(), Refusal> {
        if !matches!(self.form, Form::Origin | Form::Absolute) {
            return Ok(());
        }
        let Some(path) = bytes.get_mut(self.path.clone()) else {
            return Ok(());
        };
        let length = normalize(path, how)?;
        let shorter = path.len() - length;
        if shorter == 0 {
            return Ok(());
        }
        self.path.end -= shorter;
        if let Some(query) = &mut self.query {
            // The query follows its path, with the question mark.
            bytes.copy_within(query.start - 1..query.end, self.path.end);
            *query = query.start - shorter..query.end - shorter;
        }
        Ok(())
    }

    fn target(&mut self, head: &[u8], target: &str) -> Result<(), Refusal> {
        const INVALID: Refusal = Refusal::bad("http1.invalid_url");
        let whole = range(head, target);
        let method = head.get(self.method.clone()).unwrap_or_default();
        let connect = method == b"CONNECT";
        self.is_head = method == b"HEAD";
        self.https = false;
        self.query = None;
        self.authority = 0..0;
        if target.contains('#') {
            return Err(Refusal::bad("path_with_fragment"));
        }
        if connect {
            self.form = Form::Authority;
            self.authority = whole.clone();
            self.path = whole.end..whole.end;
            let port = target.rsplit_once(':').map(|(_, port)| port);
            return match port.and_then(|port| port.parse::<u16>().ok()) {
                Some(port) if port != 0 && is_authority(target.as_bytes()) => Ok(()),
                _ => Err(INVALID),
            };
        }
        let path = if target.starts_with('/') {
            self.form = Form::Origin;
            whole
        } else if target == "*" && method == b"OPTIONS" {
            self.form = Form::Asterisk;
            whole
        } else {
            self.form = Form::Absolute;
            let (scheme, rest) = target.split_once("://").ok_or(INVALID)?;
            self.https = scheme.eq_ignore_ascii_case("https");
            if !self.https && !scheme.eq_ignore_ascii_case("http") {
                return Err(INVALID);
            }
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let start = whole.end - rest.len();
            self.authority = start..start + end;
            if !is_authority(rest.get(..end).unwrap_or_default().as_bytes()) {
                return Err(INVALID);
            }
            start + end..whole.end
        };
        let question = head
            .get(path.clone())
            .and_then(|path| path.iter().position(|byte| *byte == b'?'));
        self.path = path.clone();
        if let Some(question) = question {
            self.path = path.start..path.start + question;
            self.query = Some(path.start + question + 1..path.end);
        }
        Ok(())
    }

    fn fields(&mut self, head: &[u8]) -> Result<bool, Refusal> {
        let mut control = Control::default();
        let mut host = None;
        let mut upgrade = None;
        self.expects_continue = false;
        for span in &self.spans {
            if span.known == Known::Other {
                continue;
            }
            let value = span.value(head);
            match span.known {
                Known::Host => {
                    if host.is_some() {
                        return Err(Refusal::bad("http1.repeated_host_header"));
                    }
                    let start = span.value as usize;
                    host = Some(start..start + value.len());
                }
                Known::Upgrade => {
                    // Other offers are ignored (RFC 9110, 7.8): `h2c` and `TLS/1.2` are sent by clients that do without.
                    upgrade = value
                        .eq_ignore_ascii_case(b"websocket")
                        .then_some(Upgrade::WebSocket);
                }
                Known::Expect => {
                    if !value.eq_ignore_ascii_case(b"100-continue") {
                        return Err(Refusal {
                            code: 417,
                            details: "http1.invalid_expectation",
                        });
                    }
                    self.expects_continue = true;
                }
                known => control.add(known, value)?,
            }
        }
        control.check()?;
        let host = host.ok_or(Refusal::bad("missing_host_header"))?;
        let value = head.get(host.clone()).unwrap_or_default();
        if !is_authority(value) {
            return Err(Refusal::bad("http1.invalid_host_header"));
        }
        // The target's authority counts more than the field (RFC 9112, 3.2.2).
        if self.authority.is_empty() {
            self.authority = host;
        }
        // What follows a CONNECT is not another request.
        self.keep_alive = !control.close && self.form != Form::Authority;
        self.nominates = control.nominates;
        self.framing = match control.length {
            _ if control.chunked => Framing::Chunked,
            Some(length) if length > 0 => Framing::Length(length),
            _ => Framing::None,
        };
        if self.form == Form::Authority && self.framing != Framing::None {
            return Err(Refusal::bad("http1.connect_with_body"));
        }
        // A WebSocket begins with a request without body; what offers one with a body is a request like any other.
        let may_upgrade = control.upgrade && self.framing == Framing::None;
        self.upgrade = upgrade.filter(|_| may_upgrade);
        Ok(true)
    }
}

/// How many bytes of empty lines come before the head; none if that cannot be told yet.
fn blank_lines(bytes: &[u8]) -> Result<Option<usize>, Refusal> {
    let mut skipped = 0;
    loop {
        match bytes.get(skipped..skipped + 2) {
            // Some clients send an empty line after a body (RFC 9112, 2.2), but not many of them.
            Some(b"\r\n") if skipped < 4 => skipped += 2,
            Some([b'\r' | b'\n', _]) => return Err(Refusal::bad("http1.invalid_line_end")),
            Some(_) => return Ok(Some(skipped)),
            None => {
                return match bytes.get(skipped) {
                    Some(b'\r') | None => Ok(None),
                    Some(b'\n') => Err(Refusal::bad("http1.invalid_line_end")),
                    Some(_) => Ok(Some(skipped)),
                };
            }
        }
    }
}

/// Where a part of the head lies.
fn range(head: &[u8], part: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize).wrapping_sub(head.as_ptr() as usize);
    start..start.saturating_add(part.len())
}

/// Whether this is a host with or without a port: what could be taken for something else is not.
pub(crate) fn is_authority(text: &[u8]) -> bool {
    !text.is_empty()
        && text
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(byte))
}

// === impl RequestRef ===

impl<'a> RequestRef<'a> {
    fn get(self, range: &Range<usize>) -> &'a [u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }

    /// Method.
    pub fn method(self) -> &'a [u8] {
        self.get(&self.head.method)
    }

    /// The target's authority, or the value of `Host`.
    pub fn authority(self) -> &'a [u8] {
        self.get(&self.head.authority)
    }

    /// Path without query; `/` where an absolute target has none.
    pub fn path(self) -> &'a [u8] {
        if self.head.path.is_empty() && self.head.form == Form::Absolute {
            return b"/";
        }
        self.get(&self.head.path)
    }

    /// What follows the `?`.
    pub fn query(self) -> Option<&'a [u8]> {
        self.head.query.as_ref().map(|query| self.get(query))
    }

    /// Path with query, as it came.
    pub fn path_and_query(self) -> &'a [u8] {
        let end = self
            .head
            .query
            .as_ref()
            .map_or(self.head.path.end, |query| query.end);
        let whole = self.get(&(self.head.path.start..end));
        if whole.is_empty() && self.head.form == Form::Absolute {
            return b"/";
        }
        whole
    }

    /// `https` if an absolute target or the connection said so, else `http`.
    pub fn scheme(self) -> &'static [u8] {
        if self.head.https { b"https" } else { b"http" }
    }

    /// Fields.
    pub fn fields(self) -> Fields<'a> {
        Fields::new(self.bytes, &self.head.spans)
    }

    /// Whether `Connection` names this field.
    pub(super) fn nominates(self, name: &[u8]) -> bool {
        nominated(self.fields(), name)
    }
}

/// Whether `Connection` names a field.
pub(crate) fn nominated(fields: Fields<'_>, name: &[u8]) -> bool {
    fields
        .spans()
        .iter()
        .filter(|span| span.known == Known::Connection)
        .any(|span| {
            tokens(span.value(fields.bytes())).any(|token| token.eq_ignore_ascii_case(name))
        })
}

impl RequestRef<'_> {
    /// Whether a field is for this connection alone, because `Connection` names it. It never goes on, so neither routes nor policies may
    /// count on it.
    fn hides(&self, name: &str) -> bool {
        self.head.nominates && nominated(self.fields(), name.as_bytes())
    }
}

impl mesh_ir::matching::RequestView for RequestRef<'_> {
    fn method(&self) -> &[u8] {
        RequestRef::method(*self)
    }

    fn authority(&self) -> &[u8] {
        RequestRef::authority(*self)
    }

    fn scheme(&self) -> &[u8] {
        RequestRef::scheme(*self)
    }

    fn path(&self) -> &[u8] {
        RequestRef::path(*self)
    }

    fn query(&self) -> Option<&[u8]> {
        RequestRef::query(*self)
    }

    fn header(&self, lower_name: &str) -> Option<Cow<'_, [u8]>> {
        if self.hides(lower_name) {
            return None;
        }
        self.fields().joined(lower_name)
    }

    fn each_line(&self, lower_name: &str, visit: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) {
        if self.hides(lower_name) {
            return;
        }
        let name = lower_name.as_bytes();
        let lines = self
            .fields()
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name));
        for (_, value) in lines {
            if visit(value).is_break() {
                return;
            }
        }
    }
}
