//! The health checking protocol of gRPC: one call of `grpc.health.v1.Health/Check`.

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};

const METHOD: &str = "/grpc.health.v1.Health/Check";

/// No answer of the protocol is larger.
const LARGEST: usize = 4096;

/// The length of what stands before each message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// The status of a service that serves.
const SERVING: u8 = 1;

/// Asks whether a service serves; an empty name is the server's own.
pub async fn check(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    service: &str,
) -> Result<(), String> {
    let io = TokioIo::new(stream);
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    let request = http::Request::post(format!("http://localhost{METHOD}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", "kube-probe/1.35")
        .body(Full::new(question(service)))
        .map_err(|error| error.to_string())?;
    let call = async {
        let answer = sender.send_request(request).await;
        let (head, body) = answer.map_err(|error| error.to_string())?.into_parts();
        let body = Limited::new(body, LARGEST).collect().await;
        let body = body.map_err(|error| error.to_string())?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        let status = trailers
            .get("grpc-status")
            .or_else(|| head.headers.get("grpc-status"));
        match status.and_then(|status| status.to_str().ok()) {
            Some("0") => verdict(&body.to_bytes()),
            Some(code) => Err(format!("the health check failed with gRPC status {code}")),
            None => Err("the answer is none of gRPC".to_owned()),
        }
    };
    // The connection is driven here and dropped with the answer: nothing is left running.
    tokio::select! {
        outcome = call => outcome,
        ended = connection => Err(match ended {
            Ok(()) => "the connection ended without an answer".to_owned(),
            Err(error) => error.to_string(),
        }),
    }
}

/// The message that names the service, which is its field 1.
fn question(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(0x0a);
        let mut length = service.len();
        while length >= 0x80 {
            message.put_u8((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        message.put_u8((length & 0x7f) as u8);
        message.put_slice(service.as_bytes());
    }
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(0));
    framed.put(message);
    framed.freeze()
}

/// The status is field 1 of the answer; unknown without it.
fn verdict(body: &[u8]) -> Result<(), String> {
    match body.get(PREFIX..) {
        Some([0x08, SERVING, ..]) => Ok(()),
        Some([0x08, status, ..]) => Err(format!("the service does not serve: status {status}")),
        _ => Err("the service does not say whether it serves".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_the_protocols() {
        assert_eq!(&question("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&question("a.B")[..], b"\0\0\0\0\x05\x0a\x03a.B");
        assert_eq!(verdict(&[0, 0, 0, 0, 2, 8, 1]), Ok(()));
        assert!(verdict(&[0, 0, 0, 0, 2, 8, 2]).is_err());
        assert!(verdict(&[0, 0, 0, 0, 0]).is_err());
    }
}
