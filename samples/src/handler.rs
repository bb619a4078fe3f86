//! What every program implements, and the few kinds of answers that they give.

use std::net::SocketAddr;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde_json::Value;

/// A complete answer. Samples answer with small bodies only.
pub(crate) type Reply = Response<Full<Bytes>>;

/// Names the version of the program that answered. Bodies cannot be relied on for it, because the
/// formats of the public samples have no such field.
pub(crate) const VERSION_HEADER: HeaderName = HeaderName::from_static("x-sample-version");

/// Largest body that a program keeps in memory.
pub(crate) const MAX_BODY: usize = 1 << 20;

/// One request with the connection that it came on.
pub(crate) struct Call {
    pub(crate) request: Request<Incoming>,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
}

/// A program: from requests to answers. It never fails; errors are answers too.
pub(crate) trait Handler: Send + Sync + 'static {
    fn handle(&self, call: Call) -> BoxFuture<'_, Reply>;
}

// === impl Call ===

impl Call {
    pub(crate) fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    /// The method, with HEAD taken as GET: the server sends its head only.
    pub(crate) fn method(&self) -> Method {
        match self.request.method() {
            &Method::HEAD => Method::GET,
            method => method.clone(),
        }
    }

    /// The parts of the path between slashes; none for `/`.
    pub(crate) fn segments(&self) -> Vec<String> {
        let path = self.request.uri().path().trim_matches('/');
        let parts = path.split('/').filter(|part| !part.is_empty());
        parts.map(str::to_owned).collect()
    }

    /// The whole body, or the answer to one that is larger than [`MAX_BODY`] or that breaks off.
    pub(crate) async fn body(self) -> Result<Bytes, Reply> {
        let body = Limited::new(self.request.into_body(), MAX_BODY);
        match body.collect().await {
            Ok(collected) => Ok(collected.to_bytes()),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(text(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body is larger than 1 MiB\n",
            )),
            Err(_) => Err(text(StatusCode::BAD_REQUEST, "the body is incomplete\n")),
        }
    }
}

// === answers ===

pub(crate) fn json(status: StatusCode, value: &Value) -> Reply {
    reply(status, "application/json", value.to_string())
}

pub(crate) fn html(status: StatusCode, page: String) -> Reply {
    reply(status, "text/html; charset=utf-8", page)
}

pub(crate) fn text(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    reply(status, "text/plain; charset=utf-8", body)
}

pub(crate) fn reply(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

pub(crate) fn not_found() -> Reply {
    text(StatusCode::NOT_FOUND, "there is nothing at this path\n")
}

pub(crate) fn method_not_allowed(allowed: &'static str) -> Reply {
    let mut reply = text(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("this path takes {allowed} only\n"),
    );
    let headers = reply.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static(allowed));
    reply
}

/// The same answer, marked with the version that gave it.
pub(crate) fn versioned(mut reply: Reply, version: &str) -> Reply {
    if let Ok(value) = HeaderValue::from_str(version) {
        reply.headers_mut().insert(VERSION_HEADER, value);
    }
    reply
}
