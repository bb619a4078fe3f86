//! A request on a stream of a connection of HTTP/2 to an endpoint.

use std::future::Future as _;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use mesh_ir::Limits;
use mesh_ir::evaluate::retry::Failure;
use tokio::time::Instant;

use super::http2_body::poll_receive;
use super::{UpstreamProtocol, UpstreamStream};
use crate::http1::{BodySink, Fields, Framing, Refusal, RequestLine, RequestRef, ResponseHead};
use crate::http2;
use crate::worker::dial;
use crate::worker::edit::RequestEdit;
use crate::worker::endpoint::{LocalEndpoint, Slot};
use crate::worker::http2_pool::{self, StreamPermit};
use crate::worker::io::Io;
use crate::worker::local::Worker;
use crate::worker::scratch::UpstreamRoom;
use crate::worker::upstream::LocalCluster;

/// HTTP/2.
#[derive(Clone, Copy, Debug)]
pub struct Http2;

/// A request. Its body lies in the room, for as long as there may be another try.
pub struct Http2Upstream<'r> {
    permit: StreamPermit,
    room: &'r mut UpstreamRoom,
    response: Option<ResponseFuture>,
    sending: Option<SendStream<Bytes>>,
    body: Option<RecvStream>,
    to_head: bool,
    broken: bool,
    received: u64,
    failure: Option<Failure>,
}

impl UpstreamProtocol for Http2 {
    type Connection = StreamPermit;
    type Stream<'r> = Http2Upstream<'r>;

    fn reuse(endpoint: &LocalEndpoint, limits: &Limits) -> Option<StreamPermit> {
        endpoint.http2.reuse(limits)
    }

    async fn connect(
        worker: &Worker,
        cluster: &LocalCluster,
        endpoint: &Rc<LocalEndpoint>,
        slot: Slot,
        limit: Duration,
    ) -> Result<StreamPermit, dial::Failure> {
        http2_pool::connect(worker, cluster, endpoint, slot, limit).await
    }

    fn stream<'r>(
        connection: StreamPermit,
        room: &'r mut UpstreamRoom,
        request: RequestRef<'_>,
    ) -> Http2Upstream<'r> {
        room.trailers.clear();
        room.body.rewind();
        Http2Upstream {
            permit: connection,
            room,
            response: None,
            sending: None,
            body: None,
            to_head: request.head.is_head,
            broken: false,
            received: 0,
            failure: None,
        }
    }
}

// === impl Http2Upstream ===

impl UpstreamStream for Http2Upstream<'_> {
    fn local(&self) -> SocketAddr {
        self.permit.local()
    }

    fn request(&mut self, head: RequestRef<'_>, line: RequestLine<'_>, edit: &RequestEdit<'_>) {
        let ends = head.head.framing == Framing::None;
        let Ok(request) = http2::write_request(head, line, edit) else {
            self.failure = Some(Failure::Protocol);
            return;
        };
        match self.permit.sender().send_request(request, ends) {
            Ok((response, sending)) => {
                self.response = Some(response);
                self.sending = Some(sending);
            }
            Err(error) => self.failure = Some(failure(&error)),
        }
        if ends {
            self.room.body.is_none();
        }
    }

    fn sink(&mut self) -> impl BodySink {
        &mut self.room.body
    }

    fn forget(&mut self) {
        self.room.body.forget();
    }

    fn kept(&self) -> usize {
        self.room.body.kept()
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(sending) = &mut self.sending
            && !self.broken
            && self.room.body.is_pending()
        {
            // It may have answered all the same.
            self.broken = ready!(self.room.body.poll_send(sending, cx)).is_err();
        }
        Poll::Ready(())
    }

    fn is_broken(&self) -> bool {
        self.broken || self.failure.is_some()
    }

    fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let Some(response) = self.response.as_mut().filter(|_| self.failure.is_none()) else {
            return Poll::Ready(Err(self.failure.unwrap_or(Failure::Protocol)));
        };
        let (parts, body) = match ready!(Pin::new(response).poll(cx)) {
            Ok(response) => response.into_parts(),
            Err(error) => return Poll::Ready(Err(failure(&error))),
        };
        let UpstreamRoom {
            response,
            response_bytes,
            limits,
            ..
        } = &mut *self.room;
        let ends = body.is_end_stream();
        self.body = Some(body);
        let read = http2::read_response(
            response,
            response_bytes,
            &parts,
            (ends, self.to_head),
            *limits,
        );
        Poll::Ready(read.map_err(|_| Failure::Protocol))
    }

    fn response(&self) -> (&ResponseHead, &[u8]) {
        (&self.room.response, &self.room.response_bytes)
    }

    fn keep_head(&mut self) {}

    fn first_data(&mut self, sink: &mut impl BodySink) -> Result<(), Refusal> {
        if self.body.as_ref().is_none_or(RecvStream::is_end_stream) {
            sink.end(Fields::default());
        }
        Ok(())
    }

    fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut impl BodySink,
    ) -> Poll<Result<(), bool>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(Err(false));
        };
        match ready!(poll_receive(body, &mut self.room.trailers, cx, sink)) {
            Ok((count, _)) => {
                self.received += count as u64;
                Poll::Ready(Ok(()))
            }
            Err(error) => Poll::Ready(Err(failure(&error) == Failure::Protocol)),
        }
    }

    fn received(&self) -> u64 {
        self.received
    }

    fn trailers(&self) -> Fields<'_> {
        self.room.trailers.fields()
    }

    fn upgraded(&mut self) -> Option<(&mut Io, &[u8])> {
        None
    }

    fn release(self, _endpoint: &LocalEndpoint, limits: &Limits, now: Instant) -> bool {
        self.permit.release(limits, now);
        true
    }
}

/// What an error of the library means to the request.
fn failure(error: &h2::Error) -> Failure {
    match error.reason() {
        // Streams above the last one that a GOAWAY names have done nothing either (RFC 9113, 8.7).
        Some(Reason::REFUSED_STREAM) if error.is_remote() => Failure::Refused,
        Some(Reason::NO_ERROR) if error.is_remote() && error.is_go_away() => Failure::Refused,
        _ if error.is_reset() && error.is_remote() => Failure::StreamReset,
        _ if error.is_io() || (error.is_go_away() && error.is_remote()) => {
            Failure::Reset { sent: true }
        }
        _ => Failure::Protocol,
    }
}
