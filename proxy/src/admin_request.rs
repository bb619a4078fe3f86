//! `pilot-agent request METHOD PATH [BODY]`: the admin interface of the proxy that runs in the same container, asked from there.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Full;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::args::AdminRequest;
use crate::http_client;

/// How long connecting and the whole answer may take.
const LIMIT: Duration = Duration::from_secs(30);

/// The longest answer that is read; configuration dumps of large meshes are some tens of megabytes.
const MAX_BODY: usize = 512 << 20;

/// Asks, and returns status and body.
///
/// # Errors
/// When nothing answers at the address, within the time or within the length that are allowed.
pub(crate) async fn ask(
    address: SocketAddr,
    request: AdminRequest,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let AdminRequest { method, path, body } = request;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, address.to_string())
        .body(Full::new(Bytes::from(body)))?;
    let exchange = async {
        let stream = TcpStream::connect(address)
            .await
            .map_err(|error| error.to_string())?;
        http_client::exchange(stream, request, MAX_BODY).await
    };
    let answer = match timeout(LIMIT, exchange).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} s", LIMIT.as_secs())),
    };
    answer.map_err(|error| {
        anyhow::anyhow!("failed to ask the proxy's admin interface at {address}: {error}")
    })
}
