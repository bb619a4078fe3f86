//! A request on a client's connection of HTTP/1.1.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use mesh_ir::evaluate::ConnectionFacts;
use tokio::time::Instant;

use super::{DownstreamStream, Gone, ReplyContext, Reset};
use crate::http1::{
    BodyDecoder, BodyEncoder, BodySink, Framing, Refusal, RequestHead, RequestRef, ResponseHead,
    ResponseLine, write_response,
};
use crate::record::Protocol;
use crate::worker::buffer::Buffer;
use crate::worker::client::{Client, DownstreamTls};
use crate::worker::edit::ResponseEdit;
use crate::worker::io::Io;
use crate::worker::reply::Reply;
use crate::worker::timer::Timer;

/// What lets a client send its body.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// How often it is looked whether a client that has ended its side is still there.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What becomes of a connection of HTTP/1.1 after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It may be used again.
    Keep,
    /// It ends, after the client has read what was sent.
    Close,
    /// It is of no use any more.
    Abort,
}

/// A request whose head lies at the front of `input`.
pub struct Http1Downstream<'a> {
    client: &'a mut Client,
    request: &'a RequestHead,
    input: &'a mut Buffer,
    body: &'a mut Buffer,
    reply: &'a mut Vec<u8>,
    decoder: BodyDecoder,
    /// How many of the bytes behind the head belonged to the body; none before they were looked at.
    taken: Option<usize>,
    /// Whether the client has begun its next request.
    pipelined: bool,
    /// Once the client has ended its side: when to look whether it still waits for the answer.
    half_closed: Option<Box<Timer>>,
    encoder: BodyEncoder,
    /// How much of `reply` has been sent.
    replied: usize,
    progress: bool,
    /// What becomes of the connection as soon as the answer has been sent.
    next: Next,
}

// === impl Http1Downstream ===

impl<'a> Http1Downstream<'a> {
    /// A request that was just parsed. `body` and `reply` are room to work in.
    pub fn new(
        client: &'a mut Client,
        request: &'a RequestHead,
        input: &'a mut Buffer,
        body: &'a mut Buffer,
        reply: &'a mut Vec<u8>,
    ) -> Self {
        Self {
            decoder: BodyDecoder::new(request.framing),
            client,
            request,
            input,
            body,
            reply,
            taken: None,
            pipelined: false,
            half_closed: None,
            encoder: BodyEncoder::default(),
            replied: 0,
            progress: false,
            next: Next::Abort,
        }
    }

    /// Whether the answer is the last one. The rest of a request that was not wanted would have to be read before the next one.
    fn is_last(&self, draining: bool) -> bool {
        let cannot_follow = !self.request.keep_alive || self.half_closed.is_some();
        draining || cannot_follow || !self.decoder.is_done()
    }

    /// Whether the client, which has ended its side, has closed the connection as well. Nothing wakes the task for that, so that it looks by
    /// itself.
    #[cold]
    fn poll_reset(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(timer) = &mut self.half_closed else {
            return false;
        };
        loop {
            if self.client.io.is_reset() {
                return true;
            }
            timer.set_after(Instant::now(), Some(LOOK_AGAIN));
            if timer.poll(cx).is_pending() {
                return false;
            }
        }
    }
}

impl DownstreamStream for Http1Downstream<'_> {
    type End = Next;

    fn protocol(&self) -> Protocol {
        Protocol::Http11
    }

    #[inline]
    fn head(&self) -> RequestRef<'_> {
        RequestRef {
            head: self.request,
            bytes: self.input.filled(),
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
        &mut self.client.timer
    }

    fn is_complete(&self) -> bool {
        self.decoder.is_done()
    }

    fn received(&self) -> u64 {
        self.decoder.passed()
    }

    fn awaits_continue(&self) -> bool {
        let nothing = self.input.filled().len() <= self.request.length;
        self.request.expects_continue && !self.decoder.is_done() && nothing
    }

    async fn proceed(&mut self) -> io::Result<()> {
        self.client.send(CONTINUE).await
    }

    #[inline]
    fn first_data(&mut self, sink: &mut impl BodySink) -> Result<(), Refusal> {
        if self.taken.is_some() {
            return Ok(());
        }
        let rest = self.input.filled().get(self.request.length..);
        let rest = rest.unwrap_or_default();
        // If it is no body, none of it is the next request either.
        self.taken = Some(rest.len());
        let taken = if self.decoder.is_done() {
            0
        } else {
            self.decoder.pump(rest, sink)?
        };
        self.taken = Some(taken);
        self.pipelined = taken < rest.len();
        Ok(())
    }

    fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut impl BodySink,
    ) -> Poll<Result<(), Option<Refusal>>> {
        match ready!(self.body.poll_read(&mut self.client.io, cx)) {
            Ok(count) if count > 0 => {
                let taken = self.decoder.pump(self.body.filled(), sink)?;
                self.body.consume(taken);
                self.pipelined |= !self.body.is_empty();
                Poll::Ready(Ok(()))
            }
            Ok(_) | Err(_) => Poll::Ready(Err(None)),
        }
    }

    /// What the client says instead begins its next request. One that only ends its side may still wait for the answer (RFC 9112, 9.6).
    #[inline]
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> bool {
        if self.half_closed.is_some() {
            return self.poll_reset(cx);
        }
        if self.pipelined || self.input.is_full() {
            return false;
        }
        match self.input.poll_read(&mut self.client.io, cx) {
            Poll::Pending => false,
            Poll::Ready(Ok(count)) if count > 0 => {
                self.pipelined = true;
                false
            }
            Poll::Ready(Ok(_)) => {
                self.client.io.probe();
                self.half_closed = Some(Box::default());
                self.poll_reset(cx)
            }
            Poll::Ready(Err(_)) => true,
        }
    }

    #[inline]
    fn respond(
        &mut self,
        head: &ResponseHead,
        bytes: &[u8],
        draining: bool,
        edit: &ResponseEdit<'_>,
    ) -> usize {
        let line = ResponseLine {
            chunked: matches!(head.framing, Framing::Chunked | Framing::UntilClose),
            close: self.is_last(draining),
            upgraded: head.code == 101,
        };
        self.next = if line.close { Next::Close } else { Next::Keep };
        self.reply.clear();
        self.replied = 0;
        self.encoder = BodyEncoder::new(line.chunked);
        write_response(self.reply, head, bytes, line, edit);
        self.reply.len()
    }

    #[inline]
    fn sink(&mut self) -> impl BodySink {
        self.encoder.to(self.reply)
    }

    #[inline]
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        while let Some(rest) = self.reply.get(self.replied..)
            && !rest.is_empty()
        {
            match ready!(self.client.io.poll_write(cx, rest)) {
                Ok(count) if count > 0 => self.replied += count,
                Ok(_) | Err(_) => return Poll::Ready(Err(Gone)),
            }
            self.progress = true;
        }
        if ready!(self.client.io.poll_flush(cx)).is_err() {
            return Poll::Ready(Err(Gone));
        }
        self.reply.clear();
        self.replied = 0;
        Poll::Ready(Ok(()))
    }

    fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.progress)
    }

    fn is_answered(&self) -> bool {
        self.encoder.is_done()
    }

    async fn reply(&mut self, reply: &Reply<'_>, context: ReplyContext<'_>) {
        let ReplyContext {
            dates,
            server,
            more,
            draining,
        } = context;
        let close = self.is_last(draining);
        self.reply.clear();
        let (out, to_head) = (&mut *self.reply, self.request.is_head);
        dates.with(Instant::now(), |date| {
            reply.write(out, date, server, more, to_head, close);
        });
        self.next = match self.client.send(self.reply).await {
            Ok(()) if close => Next::Close,
            Ok(()) => Next::Keep,
            Err(_) => Next::Abort,
        };
    }

    fn reset(&mut self, _reason: Reset) {
        self.next = Next::Abort;
    }

    async fn upgrade(&mut self, first: &[u8]) -> io::Result<(&mut Io, &[u8])> {
        self.next = Next::Abort;
        self.reply.extend_from_slice(first);
        self.client.send(self.reply).await?;
        let rest = self.input.filled().get(self.request.length..);
        Ok((&mut self.client.io, rest.unwrap_or_default()))
    }

    /// What has come in behind the request begins the next one.
    fn finish(self) -> Next {
        let taken = self.taken.unwrap_or_default();
        self.input.consume(self.request.length + taken);
        if !self.body.is_empty() {
            // What came behind the body begins the next request.
            self.input.push(self.body.filled());
            self.body.clear();
        }
        self.next
    }
}
