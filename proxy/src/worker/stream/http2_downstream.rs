//! A request on a stream of a client's connection of HTTP/2.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use mesh_ir::evaluate::ConnectionFacts;
use tokio::time::Instant;

use super::http2_body::{Http2Body, poll_receive};
use super::{DownstreamStream, Gone, ReplyContext, Reset};
use crate::http1::{
    BodySink, Fields, Framing, Refusal, RequestHead, RequestRef, ResponseHead, Trailers,
};
use crate::http2::{self, HeaderSink};
use crate::record::Protocol;
use crate::worker::client::{Client, DownstreamTls};
use crate::worker::edit::ResponseEdit;
use crate::worker::io::Io;
use crate::worker::reply::Reply;
use crate::worker::timer::Timer;

/// A request whose head was read into `bytes`.
pub struct Http2Downstream<'a> {
    client: &'a Client,
    request: &'a RequestHead,
    bytes: &'a [u8],
    body: RecvStream,
    response: SendResponse<Bytes>,
    /// Where the answer's body goes, once the answer has begun.
    sending: Option<SendStream<Bytes>>,
    outgoing: Http2Body,
    timer: Timer,
    complete: bool,
    received: u64,
    progress: bool,
    gone: bool,
}

// === impl Http2Downstream ===

impl<'a> Http2Downstream<'a> {
    /// A request that has just begun.
    pub fn new(
        client: &'a Client,
        request: &'a RequestHead,
        bytes: &'a [u8],
        body: RecvStream,
        response: SendResponse<Bytes>,
    ) -> Self {
        Self {
            client,
            request,
            bytes,
            complete: body.is_end_stream(),
            body,
            response,
            sending: None,
            outgoing: Http2Body::default(),
            timer: Timer::default(),
            received: 0,
            progress: false,
            gone: false,
        }
    }

    fn begin(&mut self, head: http::Response<()>, ends: bool) {
        match self.response.send_response(head, ends) {
            Ok(sending) => self.sending = Some(sending),
            Err(_) => self.gone = true,
        }
        if ends {
            self.outgoing.is_none();
        }
    }
}

impl DownstreamStream for Http2Downstream<'_> {
    /// Whether the client broke it off.
    type End = bool;

    fn protocol(&self) -> Protocol {
        Protocol::Http2
    }

    fn head(&self) -> RequestRef<'_> {
        RequestRef {
            head: self.request,
            bytes: self.bytes,
        }
    }

    fn remote(&self) -> SocketAddr {
        self.client.remote
    }

    fn facts(&self, destination: SocketAddr) -> ConnectionFacts<'_> {
        self.client.facts(destination)
    }

    fn tls(&self) -> Option<&DownstreamTls> {
        self.client.tls.as_deref()
    }

    fn timer(&mut self) -> &mut Timer {
        &mut self.timer
    }

    fn is_complete(&self) -> bool {
        self.complete
    }

    fn received(&self) -> u64 {
        self.received
    }

    fn awaits_continue(&self) -> bool {
        self.request.expects_continue && !self.complete
    }

    async fn proceed(&mut self) -> io::Result<()> {
        let mut head = http::Response::new(());
        *head.status_mut() = http::StatusCode::CONTINUE;
        let sent = self.response.send_informational(head);
        sent.map_err(io::Error::other)
    }

    fn first_data(&mut self, sink: &mut impl BodySink) -> Result<(), Refusal> {
        if self.complete && self.received == 0 {
            sink.end(Fields::default());
        }
        Ok(())
    }

    fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut impl BodySink,
    ) -> Poll<Result<(), Option<Refusal>>> {
        let mut trailers = Trailers::default();
        match ready!(poll_receive(&mut self.body, &mut trailers, cx, sink)) {
            Ok((count, ends)) => {
                self.received += count as u64;
                self.complete = ends;
                Poll::Ready(Ok(()))
            }
            Err(_) => Poll::Ready(Err(None)),
        }
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.sending {
            Some(sending) => sending.poll_reset(cx).is_ready(),
            None => self.response.poll_reset(cx).is_ready(),
        }
    }

    fn respond(
        &mut self,
        head: &ResponseHead,
        bytes: &[u8],
        _draining: bool,
        edit: &ResponseEdit<'_>,
    ) -> usize {
        let written = http2::write_response(head, bytes, edit);
        self.begin(written, head.framing == Framing::None);
        head.length
    }

    fn sink(&mut self) -> impl BodySink {
        &mut self.outgoing
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        let Some(sending) = self.sending.as_mut().filter(|_| !self.gone) else {
            return Poll::Ready(Err(Gone));
        };
        if !self.outgoing.is_pending() {
            return Poll::Ready(Ok(()));
        }
        match ready!(self.outgoing.poll_send(sending, cx)) {
            Ok(()) => {
                self.outgoing.forget();
                self.progress = true;
                Poll::Ready(Ok(()))
            }
            Err(_) => Poll::Ready(Err(Gone)),
        }
    }

    fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.progress)
    }

    fn is_answered(&self) -> bool {
        self.outgoing.is_ended()
    }

    async fn reply(&mut self, reply: &Reply<'_>, context: ReplyContext<'_>) {
        let ReplyContext {
            dates,
            server,
            more,
            draining: _,
        } = context;
        let mut fields = HeaderSink::default();
        dates.with(Instant::now(), |date| {
            reply.fields(date, server, more, &mut fields);
        });
        let mut head = http::Response::new(());
        if let Ok(status) = http::StatusCode::from_u16(reply.code) {
            *head.status_mut() = status;
        }
        *head.headers_mut() = fields.0;
        let content = if self.request.is_head {
            ""
        } else {
            reply.content()
        };
        self.begin(head, content.is_empty());
        // A short text, which the library keeps until the client takes it.
        if let Some(sending) = self.sending.as_mut().filter(|_| !content.is_empty()) {
            let content = Bytes::copy_from_slice(content.as_bytes());
            self.gone |= sending.send_data(content, true).is_err();
        }
    }

    fn reset(&mut self, reason: Reset) {
        let reason = match reason {
            Reset::Gone => {
                self.gone = true;
                Reason::CANCEL
            }
            Reset::Timeout => Reason::CANCEL,
            Reset::Upstream => Reason::INTERNAL_ERROR,
            Reset::Protocol => Reason::PROTOCOL_ERROR,
        };
        match &mut self.sending {
            Some(sending) => sending.send_reset(reason),
            None => self.response.send_reset(reason),
        }
    }

    async fn upgrade(&mut self, _first: &[u8]) -> io::Result<(&mut Io, &[u8])> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn finish(self) -> bool {
        self.gone
    }
}
