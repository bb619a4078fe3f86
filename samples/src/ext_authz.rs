//! An authorizer as Istio's task about external authorization uses it: over HTTP and by gRPC it allows what has the header
//! `x-ext-authz: allow`, and what comes from the service account `-allow_sa`.
//!
//! Over HTTP it answers what the proxy has asked; by gRPC it is `envoy.service.auth.v3.Authorization`.

mod flags;
mod grpc;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::handler::{Call, Handler, Reply, text};

pub(crate) use flags::Flags;
pub(crate) use grpc::serve;

/// The header by which a request is allowed, and its value.
const CHECK: &str = "x-ext-authz";
const ALLOW: &str = "allow";
/// What the request and the client are told.
const RESULT: &str = "x-ext-authz-check-result";
const RECEIVED: &str = "x-ext-authz-check-received";
/// A header that a request may bring, which goes on with what the authorizer makes of it.
const OVERRIDE: &str = "x-ext-authz-additional-header-override";
const OVERRIDDEN: &str = "grpc-additional-header-override-value";
/// Body of what is denied.
const DENIED: &str = "denied by ext_authz: the header `x-ext-authz: allow` is missing\n";

/// Longest description of a request, which goes on in a header.
const LONGEST: usize = 4096;

/// The authorizer over HTTP.
pub(crate) struct ExtAuthz;

impl Handler for ExtAuthz {
    fn handle(&self, call: Call) -> BoxFuture<'_, Reply> {
        async move {
            let headers = call.headers().clone();
            let allowed = headers.get(CHECK).is_some_and(|value| value == ALLOW);
            let (method, target) = (call.request.method(), call.request.uri());
            let received = format!("{method} {target}, {}", described(&headers));
            let overridden = headers.get(OVERRIDE).cloned();
            let body = call.body().await;
            let length = body.map_or(0, |body| body.len());
            let received = format!("{received}, body of {length} bytes");
            let mut reply = if allowed {
                text(StatusCode::OK, "")
            } else {
                text(StatusCode::FORBIDDEN, DENIED)
            };
            let result = if allowed { "allowed" } else { "denied" };
            let told = reply.headers_mut();
            told.insert(RESULT, HeaderValue::from_static(result));
            told.insert(RECEIVED, as_header(&received));
            if let Some(overridden) = overridden {
                told.insert(OVERRIDE, overridden);
            }
            reply
        }
        .boxed()
    }
}

/// The headers of a request in one line.
fn described(headers: &HeaderMap) -> String {
    let mut lines: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    lines.sort();
    lines.join("; ")
}

fn as_header(text: &str) -> HeaderValue {
    let plain = text.bytes().map(|byte| match byte {
        b' '..=b'~' => byte,
        _ => b'?',
    });
    let plain: Vec<u8> = plain.take(LONGEST).collect();
    HeaderValue::from_bytes(&plain).unwrap_or_else(|_| HeaderValue::from_static(""))
}
