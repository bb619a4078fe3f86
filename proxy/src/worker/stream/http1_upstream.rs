//! A request on a connection of HTTP/1.1 to an endpoint.

use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use mesh_ir::Limits;
use mesh_ir::evaluate::retry::Failure;
use tokio::time::Instant;

use super::{UpstreamProtocol, UpstreamStream};
use crate::http1::{
    BodyDecoder, BodyEncoder, BodySink, Fields, Framing, HeadScan, Refusal, RequestLine,
    RequestRef, ResponseHead, write_request,
};
use crate::tls::Offer;
use crate::worker::dial;
use crate::worker::edit::RequestEdit;
use crate::worker::endpoint::{Connection, LocalEndpoint, Slot};
use crate::worker::io::Io;
use crate::worker::local::Worker;
use crate::worker::scratch::UpstreamRoom;
use crate::worker::upstream::LocalCluster;

/// Most interim responses to a request: nobody needs many, and an endpoint must not keep the proxy busy with them.
const MAX_INTERIM: u8 = 32;

/// HTTP/1.1.
#[derive(Clone, Copy, Debug)]
pub struct Http1;

/// A request. What goes out lies in the room, the head at its front, for as long as there may be another try.
pub struct Http1Upstream<'r> {
    connection: Connection,
    room: &'r mut UpstreamRoom,
    encoder: BodyEncoder,
    decoder: BodyDecoder,
    /// Whether the answer has no body whatever its head says.
    to_head: bool,
    /// Whether the connection may become another one.
    upgrades: bool,
    /// How much of what goes out has gone.
    sent: usize,
    sent_any: bool,
    broken: bool,
    scan: HeadScan,
    /// Interim responses that may still come.
    interim: u8,
}

impl UpstreamProtocol for Http1 {
    type Connection = Connection;
    type Stream<'r> = Http1Upstream<'r>;

    #[inline]
    fn reuse(endpoint: &LocalEndpoint, limits: &Limits) -> Option<Connection> {
        endpoint.reuse(limits)
    }

    async fn connect(
        worker: &Worker,
        cluster: &LocalCluster,
        endpoint: &Rc<LocalEndpoint>,
        slot: Slot,
        limit: Duration,
    ) -> Result<Connection, dial::Failure> {
        dial::connect(worker, cluster, endpoint, (slot, Offer::Http1), limit).await
    }

    #[inline]
    fn stream<'r>(
        connection: Connection,
        room: &'r mut UpstreamRoom,
        request: RequestRef<'_>,
    ) -> Http1Upstream<'r> {
        let mut connection = connection;
        connection.requests += 1;
        connection.busy = true;
        room.answer.clear();
        Http1Upstream {
            connection,
            room,
            // The body keeps its framing, chunks remain chunks.
            encoder: BodyEncoder::new(request.head.framing == Framing::Chunked),
            decoder: BodyDecoder::new(Framing::None),
            to_head: request.head.is_head,
            upgrades: request.head.upgrade.is_some(),
            sent: 0,
            sent_any: false,
            broken: false,
            scan: HeadScan::default(),
            interim: MAX_INTERIM,
        }
    }
}

// === impl Http1Upstream ===

impl UpstreamStream for Http1Upstream<'_> {
    fn local(&self) -> SocketAddr {
        self.connection.local
    }

    #[inline]
    fn request(&mut self, head: RequestRef<'_>, line: RequestLine<'_>, edit: &RequestEdit<'_>) {
        let UpstreamRoom {
            outgoing,
            head: length,
            ..
        } = &mut *self.room;
        if *length == 0 {
            outgoing.clear();
            write_request(outgoing, head, line, edit);
            *length = outgoing.len();
            return;
        }
        // With another try the body is there already.
        let body = outgoing.split_off((*length).min(outgoing.len()));
        outgoing.clear();
        write_request(outgoing, head, line, edit);
        *length = outgoing.len();
        outgoing.extend_from_slice(&body);
    }

    #[inline]
    fn sink(&mut self) -> impl BodySink {
        self.encoder.to(&mut self.room.outgoing)
    }

    fn forget(&mut self) {
        self.room.outgoing.clear();
        self.sent = 0;
    }

    fn kept(&self) -> usize {
        self.room.outgoing.len().saturating_sub(self.room.head)
    }

    fn kept_body(&self) -> Option<&[u8]> {
        self.room.outgoing.get(self.room.head..)
    }

    #[inline]
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(rest) = self.room.outgoing.get(self.sent..)
            && !rest.is_empty()
            && !self.broken
        {
            match ready!(self.connection.io.poll_write(cx, rest)) {
                Ok(count) if count > 0 => {
                    self.sent += count;
                    self.sent_any = true;
                }
                // It may have answered all the same.
                Ok(_) | Err(_) => self.broken = true,
            }
        }
        if !self.broken && ready!(self.connection.io.poll_flush(cx)).is_err() {
            self.broken = true;
        }
        Poll::Ready(())
    }

    fn is_broken(&self) -> bool {
        self.broken
    }

    fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let UpstreamRoom {
            answer,
            response,
            limits,
            ..
        } = &mut *self.room;
        loop {
            match ready!(answer.poll_read(&mut self.connection.io, cx)) {
                Ok(count) if count > 0 => {}
                Ok(_) | Err(_) => {
                    let sent = self.sent_any;
                    return Poll::Ready(Err(Failure::Reset { sent }));
                }
            }
            loop {
                let parse = |bytes: &[u8]| response.parse(bytes, *limits, self.to_head);
                match self.scan.parse(answer.filled(), *limits, parse) {
                    Ok(false) => break,
                    Ok(true) if response.code == 101 && self.upgrades => {
                        return Poll::Ready(Ok(()));
                    }
                    // Interim responses are not for the client: it was told to continue already.
                    Ok(true) if matches!(response.code, 100 | 102..200) && self.interim > 0 => {
                        answer.consume(response.length);
                        self.scan = HeadScan::default();
                        self.interim -= 1;
                    }
                    Ok(true) if response.code >= 200 => {
                        self.decoder = BodyDecoder::new(response.framing);
                        return Poll::Ready(Ok(()));
                    }
                    Ok(true) | Err(_) => return Poll::Ready(Err(Failure::Protocol)),
                }
            }
        }
    }

    #[inline]
    fn response(&self) -> (&ResponseHead, &[u8]) {
        (&self.room.response, self.room.answer.filled())
    }

    fn keep_head(&mut self) {
        let UpstreamRoom {
            answer,
            response,
            response_bytes,
            ..
        } = &mut *self.room;
        let head = answer.filled().get(..response.length).unwrap_or_default();
        response_bytes.clear();
        response_bytes.extend_from_slice(head);
    }

    #[inline]
    fn first_data(&mut self, sink: &mut impl BodySink) -> Result<(), Refusal> {
        let UpstreamRoom {
            answer, response, ..
        } = &mut *self.room;
        answer.consume(response.length);
        let taken = self.decoder.pump(answer.filled(), sink)?;
        answer.consume(taken);
        Ok(())
    }

    #[inline]
    fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut impl BodySink,
    ) -> Poll<Result<(), bool>> {
        let answer = &mut self.room.answer;
        match ready!(answer.poll_read(&mut self.connection.io, cx)) {
            Ok(count) if count > 0 => match self.decoder.pump(answer.filled(), sink) {
                Ok(taken) => {
                    answer.consume(taken);
                    Poll::Ready(Ok(()))
                }
                Err(_) => Poll::Ready(Err(true)),
            },
            Ok(_) if self.decoder.finish(sink) => Poll::Ready(Ok(())),
            Ok(_) | Err(_) => Poll::Ready(Err(false)),
        }
    }

    fn received(&self) -> u64 {
        self.decoder.passed()
    }

    fn trailers(&self) -> Fields<'_> {
        self.decoder.trailers()
    }

    fn upgraded(&mut self) -> Option<(&mut Io, &[u8])> {
        let UpstreamRoom {
            answer, response, ..
        } = &mut *self.room;
        answer.consume(response.length);
        self.connection.busy = false;
        Some((&mut self.connection.io, answer.filled()))
    }

    fn release(self, endpoint: &LocalEndpoint, limits: &Limits, now: Instant) -> bool {
        let mut connection = self.connection;
        connection.busy = false;
        let UpstreamRoom {
            answer, response, ..
        } = &*self.room;
        let clean = response.keep_alive && !self.broken && answer.is_empty();
        let limit = limits.max_requests_per_connection;
        let used_up = limit.is_some_and(|limit| limit > 0 && connection.requests >= limit);
        if clean && !used_up {
            endpoint.keep(connection, now, limits);
        }
        clean && !used_up
    }
}
