//! Heads that come in.

use http::header::{CONTENT_LENGTH, COOKIE, EXPECT, HOST};
use http::{HeaderMap, Method, StatusCode, request, response};

use crate::http1::{
    Form, Framing, HeadLimits, Refusal, RequestHead, ResponseHead, Span, Trailers, is_authority,
    is_method, write_decimal, write_field,
};

/// Takes a request's head in: its lines are appended to `bytes`, which must be empty. `ends` tells whether there is no body.
///
/// # Errors
/// When servers could understand it differently.
pub fn read_request(
    head: &mut RequestHead,
    bytes: &mut Vec<u8>,
    parts: &request::Parts,
    ends: bool,
    limits: HeadLimits,
) -> Result<(), Refusal> {
    let method = parts.method.as_str();
    if !is_method(method.as_bytes()) {
        return Err(Refusal::bad("http2.invalid_method"));
    }
    bytes.extend_from_slice(method.as_bytes());
    head.method = 0..method.len();
    bytes.push(b' ');
    let start = bytes.len();
    let path = parts.uri.path();
    head.form = match path {
        // Without scheme and path (RFC 9113, 8.5).
        _ if parts.method == Method::CONNECT => Form::Authority,
        "*" if parts.method == Method::OPTIONS => Form::Asterisk,
        _ if path.starts_with('/') => Form::Origin,
        _ => return Err(Refusal::bad("http2.invalid_path")),
    };
    bytes.extend_from_slice(path.as_bytes());
    head.path = start..bytes.len();
    head.query = parts.uri.query().map(|query| {
        bytes.push(b'?');
        let start = bytes.len();
        bytes.extend_from_slice(query.as_bytes());
        start..bytes.len()
    });
    bytes.extend_from_slice(b" HTTP/2\r\n");
    head.spans.clear();
    let authority = authority(parts)?;
    push(bytes, &mut head.spans, b"host", authority)?;
    head.authority = head.spans.first().map_or(0..0, |span| {
        let start = span.value as usize;
        start..start + authority.len()
    });
    copy_fields(bytes, &mut head.spans, &parts.headers, limits)?;
    bytes.extend_from_slice(b"\r\n");
    head.length = bytes.len();
    head.expects_continue = match parts.headers.get(EXPECT) {
        None => false,
        Some(value) if value.as_bytes().eq_ignore_ascii_case(b"100-continue") => true,
        Some(_) => {
            return Err(Refusal {
                code: 417,
                details: "http2.invalid_expectation",
            });
        }
    };
    head.framing = framing(&parts.headers, ends)?;
    head.is_head = parts.method == Method::HEAD;
    head.upgrade = None;
    head.keep_alive = true;
    head.nominates = false;
    head.https = false;
    Ok(())
}

/// Takes a response's head in, an answer to `HEAD` or to another method: its lines become `bytes`.
///
/// # Errors
/// When clients could understand it differently.
pub fn read_response(
    head: &mut ResponseHead,
    bytes: &mut Vec<u8>,
    parts: &response::Parts,
    (ends, to_head): (bool, bool),
    limits: HeadLimits,
) -> Result<(), Refusal> {
    bytes.clear();
    head.spans.clear();
    head.code = parts.status.as_u16();
    bytes.extend_from_slice(b"HTTP/2 ");
    write_decimal(bytes, head.code.into());
    bytes.push(b' ');
    let start = bytes.len();
    let reason = parts.status.canonical_reason().unwrap_or_default();
    bytes.extend_from_slice(reason.as_bytes());
    head.reason = start..bytes.len();
    bytes.extend_from_slice(b"\r\n");
    copy_fields(bytes, &mut head.spans, &parts.headers, limits)?;
    bytes.extend_from_slice(b"\r\n");
    head.length = bytes.len();
    head.keep_alive = true;
    head.nominates = false;
    let bodyless = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&parts.status);
    head.framing = framing(&parts.headers, ends || to_head || bodyless)?;
    Ok(())
}

/// Takes in the fields behind a body.
///
/// # Errors
/// When there are too many.
pub fn read_trailers(trailers: &mut Trailers, fields: &HeaderMap) -> Result<(), Refusal> {
    fields.iter().try_for_each(|(name, value)| {
        trailers.add(name.as_str().as_bytes(), value.as_bytes().trim_ascii())
    })
}

/// Whom a request is for. `:authority` and `Host` must not contradict each other (RFC 9113, 8.3.1).
fn authority(parts: &request::Parts) -> Result<&[u8], Refusal> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let host = hosts.next().map(|host| host.as_bytes());
    if hosts.next().is_some() {
        return Err(Refusal::bad("http2.repeated_host_header"));
    }
    let authority = parts.uri.authority().map(|own| own.as_str().as_bytes());
    let authority = match (authority, host) {
        (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => {
            return Err(Refusal::bad("http2.contradicting_host_header"));
        }
        (Some(authority), _) => authority,
        (None, Some(host)) => host,
        (None, None) => return Err(Refusal::bad("missing_host_header")),
    };
    if is_authority(authority) {
        Ok(authority)
    } else {
        Err(Refusal::bad("http2.invalid_host_header"))
    }
}

fn framing(fields: &HeaderMap, ends: bool) -> Result<Framing, Refusal> {
    const INVALID: Refusal = Refusal::bad("http2.invalid_content_length");
    let mut lengths = fields.get_all(CONTENT_LENGTH).iter();
    let length = match lengths.next() {
        None => None,
        Some(value) => {
            let digits = value.as_bytes();
            if !digits.iter().all(u8::is_ascii_digit) || lengths.next().is_some() {
                return Err(INVALID);
            }
            let text = std::str::from_utf8(digits).map_err(|_| INVALID)?;
            Some(text.parse().map_err(|_| INVALID)?)
        }
    };
    Ok(match length {
        _ if ends => Framing::None,
        Some(length) => Framing::Length(length),
        None => Framing::Chunked,
    })
}

fn copy_fields(
    bytes: &mut Vec<u8>,
    spans: &mut Vec<Span>,
    fields: &HeaderMap,
    limits: HeadLimits,
) -> Result<(), Refusal> {
    if fields.len() > limits.fields {
        return Err(Refusal::TOO_MANY);
    }
    let mut cookies = Vec::new();
    for (name, value) in fields {
        let value = value.as_bytes().trim_ascii();
        if name == COOKIE {
            // Cookies come in pieces, which only HTTP/2 knows (RFC 9113, 8.2.3).
            if !cookies.is_empty() {
                cookies.extend_from_slice(b"; ");
            }
            cookies.extend_from_slice(value);
        } else if name != HOST {
            push(bytes, spans, name.as_str().as_bytes(), value)?;
        }
    }
    if !cookies.is_empty() {
        push(bytes, spans, b"cookie", &cookies)?;
    }
    Ok(())
}

fn push(
    bytes: &mut Vec<u8>,
    spans: &mut Vec<Span>,
    name: &[u8],
    value: &[u8],
) -> Result<(), Refusal> {
    let start = bytes.len();
    write_field(bytes, name, value);
    let span = Span::new(start, name, start + name.len() + 2, value);
    spans.push(span.ok_or(Refusal::TOO_LARGE)?);
    Ok(())
}
