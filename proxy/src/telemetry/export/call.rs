//! Calls to a collector, over a connection that is kept.

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::SendRequest;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;

use super::{Call, Collector, Destination};
use crate::tls::Offer;

/// Longest answer that is read.
const MAX_ANSWER: usize = 64 << 10;

const USER_AGENT: &str = concat!("meshctl-proxy/", env!("CARGO_PKG_VERSION"));

/// A connection that is kept from call to call.
#[derive(Default)]
pub(super) struct Caller {
    connection: Option<Connection>,
}

struct Connection {
    sender: Sender,
    /// The task that moves its bytes.
    task: AbortHandle,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(SendRequest<Bytes>),
}

// === impl Caller ===

impl Caller {
    /// Sends a message and waits for the answer.
    pub(super) async fn call(
        &mut self,
        find: &super::Find,
        destination: &Destination,
        message: Bytes,
    ) -> Result<(), String> {
        if self.connection.is_none() {
            let cluster = &*destination.cluster;
            let collector =
                find(cluster).ok_or_else(|| format!("the cluster {cluster} has no endpoint"))?;
            self.connection = Some(Connection::open(&collector, &destination.call).await?);
        }
        let Some(Connection { sender, .. }) = &mut self.connection else {
            return Err("no connection".to_owned());
        };
        match (sender, &destination.call) {
            (Sender::Http2(sender), Call::Grpc(path)) => {
                grpc(sender, path, destination, message).await
            }
            (
                Sender::Http1(sender),
                Call::Post {
                    path,
                    host,
                    content_type,
                },
            ) => {
                let request = Request::post(&**path)
                    .header(header::HOST, &**host)
                    .header(header::CONTENT_TYPE, *content_type);
                post(sender, request, destination, message).await
            }
            _ => Err("the connection speaks another protocol".to_owned()),
        }
    }

    /// Closes the connection, so that the next call looks for an endpoint again.
    pub(super) fn forget(&mut self) {
        self.connection = None;
    }
}

// === impl Connection ===

impl Connection {
    async fn open(collector: &Collector, call: &Call) -> Result<Self, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        match call {
            Call::Grpc(_) => {
                let io = collector.connect(Offer::Http2).await?;
                let (sender, connection) = h2::client::handshake(io)
                    .await
                    .map_err(|error| text(&error))?;
                // What it ends with, the next call is told.
                let task = tokio::spawn(async { drop(connection.await) });
                Ok(Self {
                    sender: Sender::Http2(sender),
                    task: task.abort_handle(),
                })
            }
            Call::Post { .. } => {
                let io = TokioIo::new(collector.connect(Offer::Http1).await?);
                let (sender, connection) =
                    http1::handshake(io).await.map_err(|error| text(&error))?;
                let task = tokio::spawn(async { drop(connection.await) });
                Ok(Self {
                    sender: Sender::Http1(sender),
                    task: task.abort_handle(),
                })
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The fields of a destination; names and values that are none are left out.
fn fields(destination: &Destination) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    destination.headers.iter().filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_str(value).ok()?))
    })
}

async fn grpc(
    sender: &mut SendRequest<Bytes>,
    path: &str,
    destination: &Destination,
    message: Bytes,
) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let authority = authority(&destination.cluster);
    let mut request = Request::post(format!("http://{authority}{path}"))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header(header::USER_AGENT, USER_AGENT)
        .body(())
        .map_err(|error| text(&error))?;
    request.headers_mut().extend(fields(destination));
    let mut ready = sender.clone().ready().await.map_err(|error| text(&error))?;
    let sent = ready.send_request(request, false);
    let (response, mut body) = sent.map_err(|error| text(&error))?;
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).map_err(|error| text(&error))?);
    framed.extend_from_slice(&message);
    body.send_data(framed.freeze(), true)
        .map_err(|error| text(&error))?;
    let (head, mut body) = response.await.map_err(|error| text(&error))?.into_parts();
    if head.status != StatusCode::OK {
        return Err(format!("answered with {}", head.status));
    }
    let mut length = 0;
    while let Some(data) = body.data().await {
        let data = data.map_err(|error| text(&error))?;
        length += data.len();
        if length > MAX_ANSWER {
            return Err("the answer is too long".to_owned());
        }
        let released = body.flow_control().release_capacity(data.len());
        released.map_err(|error| text(&error))?;
    }
    let trailers = body.trailers().await.map_err(|error| text(&error))?;
    status(&head.headers)?;
    trailers.map_or(Ok(()), |trailers| status(&trailers))
}

/// What a head, or trailers, say of an error.
fn status(fields: &HeaderMap) -> Result<(), String> {
    match fields.get("grpc-status") {
        Some(status) if status.as_bytes() != b"0" => {
            let message = fields.get("grpc-message");
            let message = message.and_then(|message| message.to_str().ok());
            let status = status.to_str().unwrap_or_default();
            Err(format!(
                "answered with gRPC status {status}: {}",
                message.unwrap_or_default()
            ))
        }
        _ => Ok(()),
    }
}

/// The host in the name of a cluster, else the name as far as it can be an authority.
fn authority(cluster: &str) -> String {
    let name = cluster.rsplit('|').next().unwrap_or_default();
    let valid = |char: &char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '_');
    let name: String = name.chars().filter(valid).collect();
    if name.is_empty() {
        "collector".to_owned()
    } else {
        name
    }
}

async fn post(
    sender: &mut http1::SendRequest<Full<Bytes>>,
    request: http::request::Builder,
    destination: &Destination,
    message: Bytes,
) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let request = request
        .header(header::USER_AGENT, USER_AGENT)
        .body(Full::new(message));
    let mut request = request.map_err(|error| text(&error))?;
    request.headers_mut().extend(fields(destination));
    sender.ready().await.map_err(|error| text(&error))?;
    let response = sender.send_request(request).await;
    let response = response.map_err(|error| text(&error))?;
    let status = response.status();
    // Read to its end, so that the connection can be used again.
    let body = Limited::new(response.into_body(), MAX_ANSWER);
    body.collect().await.map_err(|error| error.to_string())?;
    if status.is_success() {
        Ok(())
    } else {
        Err(format!("answered with {status}"))
    }
}
