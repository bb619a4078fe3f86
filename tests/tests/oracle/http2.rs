//! The client by HTTP/2, as one that knows that it may speak it.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::http;

/// Nothing takes longer, unless it hangs.
const LIMIT: Duration = Duration::from_secs(10);

/// Sends a head, written as those of HTTP/1.1 are, as a request without body. The answer is written so as well, with the fields behind
/// the body among the others.
pub fn exchange(address: SocketAddr, head: &str) -> io::Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let stream = http::connect(address)?;
    let exchange = async {
        let limited = tokio::time::timeout(LIMIT, ask(stream, request(head)));
        limited.await.map_err(io::Error::other)?
    };
    runtime.block_on(exchange)
}

fn request(head: &str) -> ::http::Request<()> {
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let fields: Vec<_> = lines.filter_map(|line| line.split_once(": ")).collect();
    let is_host = |name: &str| name.eq_ignore_ascii_case("host");
    let host = fields.iter().find(|(name, _)| is_host(name));
    let host = host.map_or("", |(_, value)| *value);
    let uri = ::http::Uri::builder()
        .scheme("http")
        .authority(host)
        .path_and_query(path);
    let mut request = ::http::Request::builder()
        .method(method)
        .uri(uri.build().unwrap());
    for (name, value) in fields.iter().filter(|(name, _)| !is_host(name)) {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

async fn ask(stream: TcpStream, request: ::http::Request<()>) -> io::Result<String> {
    stream.set_nonblocking(true)?;
    let stream = tokio::net::TcpStream::from_std(stream)?;
    let handshake = h2::client::handshake(stream).await;
    let (sender, connection) = handshake.map_err(io::Error::other)?;
    let connection = tokio::spawn(connection);
    let mut sender = sender.ready().await.map_err(io::Error::other)?;
    let sent = sender.send_request(request, true);
    let (response, _) = sent.map_err(io::Error::other)?;
    let (head, mut body) = response.await.map_err(io::Error::other)?.into_parts();
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.map_err(io::Error::other)?;
        let _ = body.flow_control().release_capacity(data.len());
        bytes.extend_from_slice(&data);
    }
    let trailers = body.trailers().await.map_err(io::Error::other)?;
    connection.abort();
    let mut text = format!("HTTP/2 {}\r\n", head.status.as_u16());
    for (name, value) in head.headers.iter().chain(trailers.iter().flatten()) {
        let value = String::from_utf8_lossy(value.as_bytes());
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.push_str(&String::from_utf8_lossy(&bytes));
    Ok(text)
}
