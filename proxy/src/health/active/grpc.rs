//! The call `grpc.health.v1.Health/Check`.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode, header};
use prost::Message;

use super::probe::USER_AGENT;
use crate::health::CheckOutcome;
use crate::worker::Io;

/// `grpc.health.v1.HealthCheckRequest`.
#[derive(Clone, PartialEq, Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, PartialEq, Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// `ServingStatus.SERVING`.
const SERVING: i32 = 1;

/// Longest answer that is read.
const MAX_ANSWER: usize = 4 << 10;

/// Bytes before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

pub(super) async fn check(io: Io, authority: &str, service: &str) -> CheckOutcome {
    match call(io, authority, service).await {
        Some(SERVING) => CheckOutcome::Good,
        Some(_) => CheckOutcome::Unwell,
        None => CheckOutcome::Failed,
    }
}

/// The status that the endpoint tells; none if it does not.
async fn call(io: Io, authority: &str, service: &str) -> Option<i32> {
    let (sender, connection) = h2::client::handshake(io).await.ok()?;
    let exchange = async {
        let mut sender = sender.ready().await.ok()?;
        let request = Request::post(format!("http://{authority}/grpc.health.v1.Health/Check"))
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .header(header::USER_AGENT, USER_AGENT)
            .body(())
            .ok()?;
        let (response, mut body) = sender.send_request(request, false).ok()?;
        body.send_data(message(service), true).ok()?;
        let (head, mut body) = response.await.ok()?.into_parts();
        if head.status != StatusCode::OK || !is_ok(&head.headers) {
            return None;
        }
        let mut answer = BytesMut::new();
        while let Some(data) = body.data().await {
            let data = data.ok()?;
            body.flow_control().release_capacity(data.len()).ok()?;
            if answer.len() + data.len() > MAX_ANSWER {
                return None;
            }
            answer.extend_from_slice(&data);
        }
        let trailers = body.trailers().await.ok()?;
        if !trailers.is_none_or(|trailers| is_ok(&trailers)) {
            return None;
        }
        let answer = answer.get(PREFIX..)?;
        HealthCheckResponse::decode(answer).ok().map(|it| it.status)
    };
    // The connection moves the frames while the call waits; it ends with this function.
    tokio::select! {
        status = exchange => status,
        _ = connection => None,
    }
}

/// Whether a head, or trailers, say nothing of an error.
fn is_ok(fields: &HeaderMap) -> bool {
    let status = fields.get("grpc-status");
    status.is_none_or(|status| status.as_bytes() == b"0")
}

fn message(service: &str) -> Bytes {
    let request = HealthCheckRequest {
        service: service.to_owned(),
    };
    let mut message = BytesMut::new();
    message.put_u8(0);
    message.put_u32(u32::try_from(request.encoded_len()).unwrap_or(u32::MAX));
    // A buffer that grows takes everything.
    let _ = request.encode(&mut message);
    message.freeze()
}
