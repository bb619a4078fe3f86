//! A connection of HTTP/2, on which requests come beside each other. Each is an exchange; all are driven by the connection's own task.
//!
//! What a client may make the proxy hold or do is limited: streams at once, heads, windows, streams that are reset before their answer,
//! frames that come to nothing (the library counts those), idle time.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt as _};
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout};

use super::binding::{Binding, IdleBinding};
use super::client::{Client, HEAD_LIMIT};
use super::exchange::Exchange;
use super::http::{IDLE, report_refused};
use super::io::Io;
use super::local::Worker;
use super::reply::{self, Reply};
use super::scratch::Scratch;
use super::stream::{DownstreamStream as _, Http2Downstream, ReplyContext};
use crate::http1::Refusal;
use crate::http2;
use crate::record::{Protocol, ResponseFlags};
use crate::runtime::Network;

/// What clients begin a connection with (RFC 9113, 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Most requests at once on one connection, as Envoy's advice for the edge.
const MAX_STREAMS: u32 = 100;

/// What a client may send on one stream before it is read: the memory that a slow upstream costs.
const STREAM_WINDOW: u32 = 256 << 10;

/// The same of a whole connection.
const CONNECTION_WINDOW: u32 = 1 << 20;

/// What the library keeps of one stream until the client takes it.
const SEND_BUFFER: usize = 64 << 10;

/// Streams that a client may have reset before the proxy has looked at them.
const MAX_PENDING_RESETS: usize = 20;

/// Broken answers on one connection, from which on it is ended if they are most of all.
const MAX_RESETS: u32 = 200;

/// How long a connection that was told to end may stay without requests.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How far a connection has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// Requests come.
    Open,
    /// The client was told to send no more (GOAWAY, in two steps); those on their way are answered.
    Ending,
}

/// Serves a connection until it ends. `scratch` holds what has come in already.
pub async fn serve(
    worker: &Rc<Worker>,
    client: &mut Client,
    binding: Binding,
    scratch: Option<Box<Scratch>>,
) {
    let first = scratch.map_or(Bytes::new(), |scratch| {
        let first = Bytes::copy_from_slice(scratch.input.filled());
        worker.give_back(scratch);
        first
    });
    let io = Prefixed {
        first,
        io: std::mem::take(&mut client.io),
    };
    let idle = binding.idle_timeout().unwrap_or(IDLE);
    let resting = binding.rest();
    let limits = worker.shared.options.request_limits(client.direction);
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(limits.bytes as u32)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS);
    let connection = match timeout(HEAD_LIMIT, builder.handshake(io)).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            worker.metrics.cells().downstream_protocol_error.inc();
            return tracing::debug!(client = %client.remote, %error, "no HTTP/2");
        }
        Err(_) => return,
    };
    drive(worker, client, resting, connection, idle).await;
}

async fn drive(
    worker: &Rc<Worker>,
    client: &mut Client,
    resting: IdleBinding,
    connection: Connection<Prefixed, Bytes>,
    idle: Duration,
) {
    let mut timer = std::mem::take(&mut client.timer);
    let client = &*client;
    let mut connection = connection;
    let mut streams = FuturesUnordered::new();
    let mut life = Life::Open;
    let (mut ended, mut broken) = (0_u32, 0_u32);
    timer.set_after(Instant::now(), Some(idle));
    poll_fn(|cx| {
        loop {
            while let Poll::Ready(Some(by_client)) = streams.poll_next_unpin(cx) {
                ended = ended.saturating_add(1);
                broken = broken.saturating_add(u32::from(by_client));
                let rest = if life == Life::Open { idle } else { LAST_WORDS };
                timer.set_after(Instant::now(), Some(rest));
            }
            if broken >= MAX_RESETS && broken > ended / 2 {
                connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                broken = 0;
                life = Life::Ending;
            }
            match connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, mut response)))) => {
                    match resting.clone().resume(worker) {
                        Some(binding) => {
                            if binding.retired && life == Life::Open {
                                connection.graceful_shutdown();
                                life = Life::Ending;
                            }
                            let stream = stream(worker, client, binding, request, response);
                            streams.push(stream);
                        }
                        None => response.send_reset(Reason::REFUSED_STREAM),
                    }
                    continue;
                }
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(client = %client.remote, %error, "a connection of HTTP/2 has broken");
                    return Poll::Ready(());
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => {}
            }
            let ends = || worker.downstream.draining(client.direction) || resting.is_gone(worker);
            if life == Life::Open && ends() {
                connection.graceful_shutdown();
                life = Life::Ending;
                timer.set_after(Instant::now(), Some(LAST_WORDS));
                continue;
            }
            if !streams.is_empty() || timer.poll(cx).is_pending() {
                return Poll::Pending;
            }
            if life == Life::Ending {
                return Poll::Ready(());
            }
            connection.graceful_shutdown();
            life = Life::Ending;
            timer.set_after(Instant::now(), Some(LAST_WORDS));
        }
    })
    .await;
    // What is still on its way sees that the client has gone, and is counted.
    drop(connection);
    while streams.next().await.is_some() {}
}

/// Serves one request. Whether the client broke it off.
async fn stream(
    worker: &Rc<Worker>,
    client: &Client,
    binding: Binding,
    request: http::Request<RecvStream>,
    response: SendResponse<Bytes>,
) -> bool {
    let begun = Instant::now();
    let Network::Http(http) = &binding.chain.network else {
        return false;
    };
    let (parts, body) = request.into_parts();
    let mut scratch = worker.scratch();
    let Scratch {
        reply: bytes,
        request: head,
        upstream,
        written,
        ..
    } = &mut *scratch;
    bytes.clear();
    let limits = worker.shared.options.request_limits(client.direction);
    let read = http2::read_request(head, bytes, &parts, body.is_end_stream(), limits)
        .and_then(|()| head.normalize_path(bytes, http.config.normalization));
    // What the client says of itself counts only where it asks for other servers.
    head.https = client.tls.is_some();
    drop(parts);
    let mut stream = Http2Downstream::new(client, head, bytes, body, response);
    let by_client = match read {
        Ok(()) => {
            let context = binding.context(http);
            Exchange::new(worker, &binding.runtime, stream, written, context, begun)
                .run(upstream)
                .await
        }
        Err(Refusal { code, details }) => {
            worker.metrics.cells().downstream_protocol_error.inc();
            let reply = Reply::new(code, ResponseFlags::PROTOCOL_ERROR, details)
                .with_body(reply::reason(code));
            let context = ReplyContext {
                dates: &worker.date_cache,
                server: b"istio-envoy",
                more: None,
                draining: false,
            };
            stream.reply(&reply, context).await;
            let destination = binding.destination();
            report_refused(
                worker,
                client,
                http,
                destination,
                begun,
                reply,
                Protocol::Http2,
            );
            true
        }
    };
    worker.give_back(scratch);
    by_client
}

/// A connection of which some bytes were read before.
#[derive(Debug)]
struct Prefixed {
    first: Bytes,
    io: Io,
}

impl AsyncRead for Prefixed {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        space: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let Self { first, io } = self.get_mut();
        if first.is_empty() {
            return io.poll_read(cx, space);
        }
        let count = first.len().min(space.remaining());
        space.put_slice(&first.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Prefixed {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.get_mut().io.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.get_mut().io.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.get_mut().io.poll_shutdown(cx)
    }
}

/// Whether bytes begin a connection of HTTP/2; none if there are too few to tell.
pub fn is_preface(bytes: &[u8]) -> Option<bool> {
    if bytes.starts_with(PREFACE) {
        return Some(true);
    }
    if PREFACE.starts_with(bytes) {
        None
    } else {
        Some(false)
    }
}
