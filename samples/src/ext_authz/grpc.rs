//! The authorizer by gRPC, with the few fields of the messages that it looks at.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full, Limited, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{ALLOW, CHECK, DENIED, OVERRIDDEN, OVERRIDE, RECEIVED, RESULT};
use crate::handler::MAX_BODY;

const PATH: &str = "/envoy.service.auth.v3.Authorization/Check";

/// Connections served at once; further ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 1024;

/// How long the other side may be silent when it is asked whether it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Bytes before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

const PERMISSION_DENIED: i32 = 7;

// === messages ===

#[derive(Clone, PartialEq, Message)]
struct CheckRequest {
    #[prost(message, optional, tag = "1")]
    attributes: Option<Attributes>,
}

#[derive(Clone, PartialEq, Message)]
struct Attributes {
    #[prost(message, optional, tag = "1")]
    source: Option<Peer>,
    #[prost(message, optional, tag = "4")]
    request: Option<AttributesRequest>,
}

#[derive(Clone, PartialEq, Message)]
struct Peer {
    #[prost(string, tag = "4")]
    principal: String,
}

#[derive(Clone, PartialEq, Message)]
struct AttributesRequest {
    #[prost(message, optional, tag = "2")]
    http: Option<HttpRequest>,
}

#[derive(Clone, PartialEq, Message)]
struct HttpRequest {
    #[prost(string, tag = "2")]
    method: String,
    #[prost(map = "string, string", tag = "3")]
    headers: HashMap<String, String>,
    #[prost(string, tag = "4")]
    path: String,
    #[prost(string, tag = "5")]
    host: String,
    #[prost(string, tag = "11")]
    body: String,
}

#[derive(Clone, PartialEq, Message)]
struct CheckResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<Status>,
    #[prost(message, optional, tag = "2")]
    denied_response: Option<DeniedResponse>,
    #[prost(message, optional, tag = "3")]
    ok_response: Option<OkResponse>,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct DeniedResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<HttpStatus>,
    #[prost(message, repeated, tag = "2")]
    headers: Vec<HeaderOption>,
    #[prost(string, tag = "3")]
    body: String,
}

#[derive(Clone, PartialEq, Message)]
struct HttpStatus {
    #[prost(int32, tag = "1")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct OkResponse {
    #[prost(message, repeated, tag = "2")]
    headers: Vec<HeaderOption>,
}

#[derive(Clone, PartialEq, Message)]
struct HeaderOption {
    #[prost(message, optional, tag = "1")]
    header: Option<Header>,
}

#[derive(Clone, PartialEq, Message)]
struct Header {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

// === server ===

/// Serves until this is dropped.
pub(crate) async fn serve(listener: TcpListener, allow_account: String) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => {
                let Ok((stream, _)) = accepted else {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                };
                let account = allow_account.clone();
                let service = service_fn(move |request| {
                    let account = account.clone();
                    async move { Ok::<_, Infallible>(answer(request, &account).await) }
                });
                let connection = http2::Builder::new(TokioExecutor::new())
                    .timer(TokioTimer::new())
                    .keep_alive_interval(KEEP_ALIVE)
                    .serve_connection(TokioIo::new(stream), service);
                connections.spawn(async move {
                    if let Err(error) = connection.await {
                        tracing::debug!(%error, "connection ended");
                    }
                });
            }
        }
    }
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

async fn answer(request: Request<Incoming>, allow_account: &str) -> Response<Body> {
    const UNIMPLEMENTED: u16 = 12;
    const INVALID_ARGUMENT: u16 = 3;
    if request.uri().path() != PATH {
        return status(UNIMPLEMENTED);
    }
    let body = Limited::new(request.into_body(), MAX_BODY).collect().await;
    let Some(check) = body.ok().and_then(|body| decoded(&body.to_bytes())) else {
        return status(INVALID_ARGUMENT);
    };
    let response = decide(&check, allow_account);
    let mut message = BytesMut::new();
    message.put_u8(0);
    message.put_u32(u32::try_from(response.encoded_len()).unwrap_or(u32::MAX));
    message.extend_from_slice(&response.encode_to_vec());
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(message.freeze()).with_trailers(async { Some(Ok(trailers)) });
    grpc(UnsyncBoxBody::new(body))
}

fn decoded(body: &[u8]) -> Option<CheckRequest> {
    let (prefix, message) = body.split_at_checked(PREFIX)?;
    (prefix.first() == Some(&0)).then(|| CheckRequest::decode(message).ok())?
}

/// An answer without a message.
fn status(code: u16) -> Response<Body> {
    let mut answer = grpc(UnsyncBoxBody::new(Full::new(Bytes::new())));
    answer.headers_mut().insert("grpc-status", code.into());
    answer
}

fn grpc(body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    let kind = HeaderValue::from_static("application/grpc");
    answer.headers_mut().insert("content-type", kind);
    answer
}

fn decide(check: &CheckRequest, allow_account: &str) -> CheckResponse {
    let attributes = check.attributes.clone().unwrap_or_default();
    let principal = attributes.source.unwrap_or_default().principal;
    let http = attributes
        .request
        .and_then(|request| request.http)
        .unwrap_or_default();
    let account = principal.rsplit_once("/sa/").map(|(_, account)| account);
    let by_account = account.is_some_and(|account| account == allow_account);
    let by_header = http.headers.get(CHECK).is_some_and(|value| value == ALLOW);
    let mut fields: Vec<_> = http.headers.iter().collect();
    fields.sort();
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let received = format!(
        "{} {}{} from {principal:?}, {}, body of {} bytes",
        http.method,
        http.host,
        http.path,
        fields.join("; "),
        http.body.len()
    );
    let received = super::as_header(&received);
    let option = |key: &str, value: &str| HeaderOption {
        header: Some(Header {
            key: key.to_owned(),
            value: value.to_owned(),
        }),
    };
    let allowed = by_account || by_header;
    let result = if allowed { "allowed" } else { "denied" };
    let headers = vec![
        option(RESULT, result),
        option(RECEIVED, received.to_str().unwrap_or_default()),
        option(OVERRIDE, OVERRIDDEN),
    ];
    tracing::info!(allowed, principal, path = http.path, "check");
    if allowed {
        return CheckResponse {
            status: Some(Status { code: 0 }),
            ok_response: Some(OkResponse { headers }),
            denied_response: None,
        };
    }
    CheckResponse {
        status: Some(Status {
            code: PERMISSION_DENIED,
        }),
        denied_response: Some(DeniedResponse {
            status: Some(HttpStatus { code: 403 }),
            headers,
            body: DENIED.to_owned(),
        }),
        ok_response: None,
    }
}
