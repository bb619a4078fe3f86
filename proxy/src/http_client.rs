//! One request over a connection of its own, for those who ask rarely.

use std::convert::Infallible;
use std::fmt;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Body;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// Sends a request and waits for the whole of its answer.
///
/// # Errors
/// When there is no answer, or it is longer than `limit`.
pub(crate) async fn exchange<I, B>(
    io: I,
    request: Request<B>,
    limit: usize,
) -> Result<(StatusCode, Bytes), String>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + 'static,
{
    let text = |error: &dyn fmt::Display| error.to_string();
    let handshake = http1::handshake(TokioIo::new(io)).await;
    let (mut sender, connection) = handshake.map_err(|error| text(&error))?;
    let exchange = async {
        let response = sender.send_request(request).await;
        let response = response.map_err(|error| text(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), limit).collect().await;
        let body = body.map_err(|error| text(&error))?;
        Ok((status, body.to_bytes()))
    };
    // The connection moves the bytes while the exchange waits; it ends with this function.
    let mut connection = std::pin::pin!(connection);
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        outcome = &mut exchange => return outcome,
        ended = &mut connection => {
            if let Err(error) = ended {
                return Err(text(&error));
            }
        }
    }
    exchange.await
}
