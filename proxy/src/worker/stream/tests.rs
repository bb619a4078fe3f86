//! Limits of time, between real sockets and by a clock that the tests move.

use std::future::poll_fn;
use std::io::{Read as _, Write as _};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use mesh_ir::Direction;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, advance};

use super::*;
use crate::http1::{HeadLimits, RequestHead};
use crate::limits::Permit;
use crate::runtime::{Cluster, Transport};
use crate::telemetry::metrics::Metrics;
use crate::worker::buffer::Buffer;
use crate::worker::client::Client;
use crate::worker::upstream::MetricsContext;

const MINUTE: Duration = Duration::from_secs(60);

/// A connection: our side of it, and the other one.
async fn connection() -> (TcpStream, std::net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    other.set_nonblocking(true).unwrap();
    (listener.accept().await.unwrap().0, other)
}

/// What both streams are made of.
struct Room {
    client: Client,
    request: RequestHead,
    input: Buffer,
    body: Buffer,
    reply: Vec<u8>,
    upstream: UpstreamRoom,
}

impl Room {
    fn new(stream: TcpStream, head: &str) -> Self {
        let address = stream.local_addr().unwrap();
        let mut room = Self {
            client: Client::new(Io::Plain(stream), address, address, Direction::Outbound),
            request: RequestHead::default(),
            input: Buffer::default(),
            body: Buffer::default(),
            reply: Vec::new(),
            upstream: UpstreamRoom::default(),
        };
        room.input.push(head.as_bytes());
        let parsed = room.request.parse(head.as_bytes(), HeadLimits::FIRST);
        assert_eq!(parsed, Ok(true));
        room
    }

    fn streams(
        &mut self,
        endpoint: TcpStream,
    ) -> (Http1Downstream<'_>, <Http1 as UpstreamProtocol>::Stream<'_>) {
        let address = endpoint.peer_addr().unwrap();
        let kind = mesh_ir::ClusterKind::Static(std::sync::Arc::new(mesh_ir::Endpoints {
            cluster: "c".into(),
            localities: Vec::new(),
        }));
        let cluster = Cluster::of(mesh_ir::Cluster::new("c", kind));
        let metrics = MetricsContext {
            identity: None,
            worker: Metrics::new().worker(),
        };
        let local = LocalEndpoint::new(
            &cluster,
            address,
            (Transport::Plaintext, false),
            None,
            &metrics,
        );
        let slot = local.slot(Permit::default());
        let connection = local.established(endpoint, slot).unwrap();
        let request = RequestRef {
            head: &self.request,
            bytes: self.input.filled(),
        };
        self.upstream.begin(HeadLimits::FIRST);
        let up = Http1::stream(connection, &mut self.upstream, request);
        let Self {
            client,
            request,
            input,
            body,
            reply,
            ..
        } = self;
        (
            Http1Downstream::new(client, request, input, body, reply),
            up,
        )
    }
}

/// Lets a future go on until something has happened; it must not end before.
async fn until<T>(
    mut future: Pin<&mut impl Future<Output = T>>,
    mut happened: impl FnMut() -> bool,
) {
    while !happened() {
        let polled = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        assert!(polled.is_pending());
        tokio::task::yield_now().await;
    }
}

fn deadlines() -> Deadlines {
    Deadlines::new(60 * MINUTE, None, None)
}

#[tokio::test(start_paused = true)]
async fn an_upload_in_steady_progress_takes_its_time() {
    let (stream, mut sender) = connection().await;
    let (endpoint, mut receiver) = connection().await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
    let mut room = Room::new(stream, head);
    let (mut down, mut up) = room.streams(endpoint);
    let (mut upload, mut deadlines) = (RequestUpload::new(), deadlines());
    let begun = Instant::now();
    let mut attempt = pin!(upload.attempt(&mut down, &mut up, &mut deadlines, begun));
    for _ in 0..5 {
        advance(50 * MINUTE).await;
        sender.write_all(b"x").unwrap();
        let mut byte = [0];
        until(attempt.as_mut(), || receiver.read(&mut byte).is_ok()).await;
    }
    // The endpoint has an hour from the end of the upload on.
    advance(50 * MINUTE).await;
    receiver
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .unwrap();
    assert_eq!(attempt.await, AttemptResult::Response);
    assert_eq!(begun.elapsed(), 300 * MINUTE);
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_stands_still_ends() {
    let (stream, _sender) = connection().await;
    let (endpoint, _receiver) = connection().await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
    let mut room = Room::new(stream, head);
    let (mut down, mut up) = room.streams(endpoint);
    let begun = Instant::now();
    let result = RequestUpload::new()
        .attempt(&mut down, &mut up, &mut deadlines(), begun)
        .await;
    assert_eq!(result, AttemptResult::Idle);
    assert_eq!(begun.elapsed(), 60 * MINUTE);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_of_an_answer_is_not_waited_for_for_ever() {
    let (stream, _reader) = connection().await;
    let (endpoint, mut sender) = connection().await;
    // What it has not taken of earlier answers fills its connection.
    stream.writable().await.unwrap();
    let answer = [0; 1 << 16];
    while stream.try_write(&answer).is_ok() {}
    let mut room = Room::new(stream, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let (mut down, mut up) = room.streams(endpoint);
    let (mut upload, mut deadlines) = (RequestUpload::new(), deadlines());
    sender
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .unwrap();
    let begun = Instant::now();
    let result = upload
        .attempt(&mut down, &mut up, &mut deadlines, begun)
        .await;
    assert_eq!(result, AttemptResult::Response);
    let (head, bytes) = up.response();
    let edit = ResponseEdit {
        ops: [None; 2],
        server: b"envoy",
        date: None,
        service_time: None,
    };
    down.respond(head, bytes, false, &edit);
    let begun = Instant::now();
    let end = upload.relay(&mut down, &mut up, &deadlines).await;
    assert_eq!((end, begun.elapsed()), (End::Timeout, 60 * MINUTE));
}
