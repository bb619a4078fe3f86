//! Answers: JSON objects, streams of them, and text.

use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WARNING};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Frame;
use serde_json::Value;

use super::status::Status;

/// The body of every answer: whole, or as it comes.
pub type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// What handlers give back.
pub type Answer = Result<Response<Body>, Status>;

/// A body that is there already.
pub fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// No body, for a `101 Switching Protocols`.
pub fn nothing() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body in pieces; an error ends it, and the connection with it.
pub fn streamed(pieces: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static) -> Body {
    StreamBody::new(pieces.map_ok(Frame::data)).boxed_unsync()
}

/// An object.
pub fn json(code: StatusCode, value: &Value) -> Response<Body> {
    typed(code, "application/json", value.to_string())
}

/// Text that is meant for people.
pub fn text(text: impl Into<Bytes>) -> Response<Body> {
    typed(StatusCode::OK, "text/plain; charset=utf-8", text)
}

/// A body of a given type.
pub fn typed(code: StatusCode, media: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(whole(body));
    *response.status_mut() = code;
    set(&mut response, CONTENT_TYPE, media);
    response
}

/// A stream of a given type.
pub fn stream(
    media: &'static str,
    pieces: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
) -> Response<Body> {
    let mut response = Response::new(streamed(pieces));
    set(&mut response, CONTENT_TYPE, media);
    response
}

/// A failure.
pub fn failure(status: &Status) -> Response<Body> {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(code, &status.to_value());
    let after = status
        .details
        .as_ref()
        .and_then(|details| details.retry_after);
    if let Some(seconds) = after {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Adds warnings, which `kubectl` prints.
pub fn warn(response: &mut Response<Body>, warnings: &[String]) {
    for warning in warnings {
        let escaped = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{escaped}\"")) {
            response.headers_mut().append(WARNING, value);
        }
    }
}

fn set(response: &mut Response<Body>, name: HeaderName, value: &'static str) {
    response
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
}
