//! One try on one connection: the request goes out as it comes in, the response comes back, and everything is watched at once.
//!
//! ```text
//! client --body--> upload --outgoing--> upstream --answer--> download --reply--> client
//! ```
//!
//! Each side is read only when what was read before has gone out on the other one, so that a slow reader slows the writer down.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use mesh_ir::evaluate::retry::Failure;
use tokio::time::Instant;

use super::client::Client;
use super::endpoint::Connection;
use super::scratch::Scratch;
use crate::http1::{BodyPipe, Framing, Refusal, RequestHead};

/// How much of a body is kept for another try, as in Envoy.
const REPLAY: usize = 64 << 10;

/// How a try has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptResult {
    /// With a response, whose head is at the front of `answer`.
    Response,
    /// Without one.
    Failed(Failure),
    /// The limit of the whole request has passed.
    Timeout,
    /// Nothing has happened for too long.
    Idle,
    /// The client went away, or sent a body that is none.
    Client(Option<Refusal>),
}

/// How a response has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As it should.
    Done,
    /// The client went away, or sent a body that is none.
    Client,
    /// The upstream broke it off, or sent something that is no body.
    Upstream {
        /// Whether what it sent is none.
        refused: bool,
    },
    /// It took too long.
    Timeout,
}

/// The limits of a request.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// Without any progress.
    idle: Duration,
    /// From the request's end to the response's.
    whole: Option<Duration>,
    /// From the request's end to the response's head, of each try.
    each: Option<Duration>,
    whole_at: Option<Instant>,
    each_at: Option<Instant>,
}

/// A request on its way upstream: its head, its body, and what of it may be sent again.
#[derive(Debug)]
pub struct RequestUpload {
    /// The body.
    pub body: BodyPipe,
    /// How many of the bytes behind the head belonged to the body.
    pub taken: usize,
    /// Whether `outgoing` holds all that is needed for another try.
    pub replayable: bool,
    /// Whether anything had to be waited for while the response was relayed.
    pub waited: bool,
    /// Length of the head in `outgoing`.
    head: usize,
    /// How much of `outgoing` has gone out.
    sent: usize,
    sent_any: bool,
    uploaded_at: Option<Instant>,
    /// Whether the client has begun its next request.
    pipelined: bool,
    /// Whether all of it has gone out.
    finished: bool,
    /// Whether the upstream takes no more.
    broken: bool,
}

// === impl Deadlines ===

impl Deadlines {
    /// Limits that have not begun yet.
    pub fn new(idle: Duration, whole: Option<Duration>, each: Option<Duration>) -> Self {
        Self {
            idle,
            whole,
            each,
            whole_at: None,
            each_at: None,
        }
    }

    /// A limit within that of the whole request, and whether that one is shorter.
    pub fn within(&self, limit: Duration) -> (Duration, bool) {
        match self
            .whole_at
            .map(|at| at.saturating_duration_since(Instant::now()))
        {
            Some(left) if left < limit => (left, true),
            _ => (limit, false),
        }
    }

    /// Whether the limit of the whole request passes within this time.
    pub fn expire_within(&self, time: Duration) -> bool {
        self.within(time).1
    }

    /// The request is complete: its limits begin.
    fn begin(&mut self) {
        if self.whole.is_none() && self.each.is_none() {
            return;
        }
        let now = Instant::now();
        if self.whole_at.is_none() {
            self.whole_at = self.whole.and_then(|whole| now.checked_add(whole));
        }
        self.each_at = self.each.and_then(|each| now.checked_add(each));
    }

    fn next(&self) -> Option<Instant> {
        match (self.whole_at, self.each_at) {
            (Some(whole), Some(each)) => Some(whole.min(each)),
            (whole, each) => whole.or(each),
        }
    }
}

// === impl RequestUpload ===

impl RequestUpload {
    /// Of a request that was just parsed.
    pub fn new(request: &RequestHead) -> Self {
        Self {
            body: BodyPipe::new(request.framing, request.framing == Framing::Chunked),
            taken: 0,
            replayable: true,
            waited: false,
            head: 0,
            sent: 0,
            sent_any: false,
            uploaded_at: None,
            pipelined: false,
            finished: false,
            broken: false,
        }
    }

    /// Whether nothing of an expected body has come in yet.
    pub fn upload_pending(&self, scratch: &Scratch) -> bool {
        !self.body.is_done() && scratch.input.filled().len() <= scratch.request.length
    }

    /// Whether the client has sent its whole request.
    pub fn is_uploaded(&self) -> bool {
        self.body.is_done()
    }

    /// Whether the connection to the upstream is at the end of the request, too: only then may another request follow on it.
    pub fn is_clean(&self) -> bool {
        self.finished && !self.broken
    }

    /// When the request was complete.
    pub fn uploaded_at(&self, begun: Instant) -> Instant {
        self.uploaded_at.unwrap_or(begun)
    }

    /// Puts a head in front of what goes out, and with the first one what has come in of the body.
    ///
    /// # Errors
    /// When what has come in is no body.
    pub fn begin(
        &mut self,
        scratch: &mut Scratch,
        write: impl FnOnce(&mut Scratch),
    ) -> Result<(), Refusal> {
        self.sent = 0;
        self.sent_any = false;
        self.finished = false;
        self.broken = false;
        if self.head > 0 {
            let body = scratch
                .outgoing
                .split_off(self.head.min(scratch.outgoing.len()));
            scratch.outgoing.clear();
            write(scratch);
            self.head = scratch.outgoing.len();
            scratch.outgoing.extend_from_slice(&body);
            return Ok(());
        }
        scratch.outgoing.clear();
        write(scratch);
        self.head = scratch.outgoing.len();
        let all = scratch.input.filled().len();
        if !self.body.is_done() {
            let rest = scratch
                .input
                .filled()
                .get(scratch.request.length..)
                .unwrap_or_default();
            self.taken = self.body.pump(rest, &mut scratch.outgoing)?;
        }
        self.pipelined = scratch.request.length + self.taken < all;
        Ok(())
    }

    /// Sends the request and waits for the head of its response.
    pub async fn attempt(
        &mut self,
        client: &mut Client,
        scratch: &mut Scratch,
        connection: &mut Connection,
        deadlines: &mut Deadlines,
        begun: Instant,
    ) -> AttemptResult {
        scratch.answer.clear();
        deadlines.each_at = None;
        let mut complete = false;
        let mut first = true;
        client.timer.set_after(begun, Some(deadlines.idle));
        poll_fn(|cx| {
            if let Err(refusal) = self.poll_upload(client, scratch, connection, cx) {
                return Poll::Ready(AttemptResult::Client(refusal));
            }
            if !complete && self.body.is_done() {
                complete = true;
                if !first {
                    self.uploaded_at = Some(Instant::now());
                }
                deadlines.begin();
                if let Some(next) = deadlines.next() {
                    client.timer.set(Some(next));
                }
            }
            first = false;
            if let Poll::Ready(result) = self.poll_head(scratch, connection, cx) {
                return Poll::Ready(result);
            }
            if complete && self.poll_gone(client, scratch, cx) {
                return Poll::Ready(AttemptResult::Client(None));
            }
            match client.timer.poll(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(()) => {
                    let passed = |at: Option<Instant>| at.is_some_and(|at| Instant::now() >= at);
                    Poll::Ready(if passed(deadlines.whole_at) {
                        AttemptResult::Timeout
                    } else if passed(deadlines.each_at) {
                        AttemptResult::Failed(Failure::Timeout)
                    } else {
                        AttemptResult::Idle
                    })
                }
            }
        })
        .await
    }

    /// Passes on what the client sends.
    fn poll_upload(
        &mut self,
        client: &mut Client,
        scratch: &mut Scratch,
        connection: &mut Connection,
        cx: &mut Context<'_>,
    ) -> Result<(), Option<Refusal>> {
        loop {
            while let Some(rest) = scratch.outgoing.get(self.sent..)
                && !rest.is_empty()
                && !self.broken
            {
                match connection.io.poll_write(cx, rest) {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(Ok(count)) if count > 0 => {
                        self.sent += count;
                        self.sent_any = true;
                    }
                    // It may have answered all the same.
                    Poll::Ready(_) => self.broken = true,
                }
            }
            if self.broken {
                return Ok(());
            }
            match connection.io.poll_flush(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => {
                    self.broken = true;
                    return Ok(());
                }
            }
            if self.body.is_done() {
                self.finished = true;
                return Ok(());
            }
            if !self.replayable {
                scratch.outgoing.clear();
                self.sent = 0;
            }
            match scratch.body.poll_read(&mut client.io, cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(count)) if count > 0 => {
                    let taken = self
                        .body
                        .pump(scratch.body.filled(), &mut scratch.outgoing)?;
                    scratch.body.consume(taken);
                    self.pipelined |= !scratch.body.is_empty();
                    self.replayable &= scratch.outgoing.len() <= self.head + REPLAY;
                }
                Poll::Ready(_) => return Err(None),
            }
        }
    }

    fn poll_head(
        &mut self,
        scratch: &mut Scratch,
        connection: &mut Connection,
        cx: &mut Context<'_>,
    ) -> Poll<AttemptResult> {
        loop {
            match scratch.answer.poll_read(&mut connection.io, cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(count)) if count > 0 => {}
                Poll::Ready(_) => {
                    let reset = Failure::Reset {
                        sent: self.sent_any,
                    };
                    return Poll::Ready(AttemptResult::Failed(reset));
                }
            }
            loop {
                let Scratch {
                    answer,
                    response,
                    request,
                    ..
                } = &mut *scratch;
                match response.parse(answer.filled(), request.is_head) {
                    Ok(false) => break,
                    Ok(true) if response.code == 101 && request.upgrade.is_some() => {
                        return Poll::Ready(AttemptResult::Response);
                    }
                    // Interim responses are not for the client: it was told to continue already.
                    Ok(true) if response.code < 200 && response.code != 101 => {
                        answer.consume(response.length);
                    }
                    Ok(true) if response.code >= 200 => {
                        return Poll::Ready(AttemptResult::Response);
                    }
                    Ok(true) | Err(_) => {
                        return Poll::Ready(AttemptResult::Failed(Failure::Protocol));
                    }
                }
            }
        }
    }

    /// Whether the client went away. What it says instead begins its next request.
    fn poll_gone(
        &mut self,
        client: &mut Client,
        scratch: &mut Scratch,
        cx: &mut Context<'_>,
    ) -> bool {
        if self.pipelined || scratch.input.is_full() {
            return false;
        }
        match scratch.input.poll_read(&mut client.io, cx) {
            Poll::Pending => false,
            Poll::Ready(Ok(count)) if count > 0 => {
                self.pipelined = true;
                false
            }
            Poll::Ready(_) => true,
        }
    }

    /// Sends what is in `reply` and then the response's body, while the rest of the request goes its way.
    pub async fn relay(
        &mut self,
        client: &mut Client,
        scratch: &mut Scratch,
        connection: &mut Connection,
        download: &mut BodyPipe,
        deadlines: &mut Deadlines,
    ) -> End {
        let taken = match download.pump(scratch.answer.filled(), &mut scratch.reply) {
            Ok(taken) => taken,
            Err(_) => return End::Upstream { refused: true },
        };
        scratch.answer.consume(taken);
        let mut replied = 0;
        let mut progress = false;
        client.timer.set(deadlines.whole_at);
        poll_fn(|cx| {
            if let Poll::Ready(end) = poll_download(
                client,
                scratch,
                connection,
                download,
                &mut replied,
                &mut progress,
                cx,
            ) {
                return Poll::Ready(end);
            }
            self.waited = true;
            if !self.finished && !self.broken {
                if self.poll_upload(client, scratch, connection, cx).is_err() {
                    return Poll::Ready(End::Client);
                }
            } else if self.poll_gone(client, scratch, cx) {
                return Poll::Ready(End::Client);
            }
            if deadlines.whole_at.is_none() && std::mem::take(&mut progress) {
                client.timer.set_after(Instant::now(), Some(deadlines.idle));
            }
            client.timer.poll(cx).map(|()| End::Timeout)
        })
        .await
    }
}

fn poll_download(
    client: &mut Client,
    scratch: &mut Scratch,
    connection: &mut Connection,
    download: &mut BodyPipe,
    replied: &mut usize,
    progress: &mut bool,
    cx: &mut Context<'_>,
) -> Poll<End> {
    loop {
        while let Some(rest) = scratch.reply.get(*replied..)
            && !rest.is_empty()
        {
            match client.io.poll_write(cx, rest) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(count)) if count > 0 => *replied += count,
                Poll::Ready(_) => return Poll::Ready(End::Client),
            }
            *progress = true;
        }
        match client.io.poll_flush(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Poll::Ready(End::Client),
        }
        if download.is_done() {
            return Poll::Ready(End::Done);
        }
        scratch.reply.clear();
        *replied = 0;
        match scratch.answer.poll_read(&mut connection.io, cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(count)) if count > 0 => {
                let Ok(taken) = download.pump(scratch.answer.filled(), &mut scratch.reply) else {
                    return Poll::Ready(End::Upstream { refused: true });
                };
                scratch.answer.consume(taken);
            }
            Poll::Ready(Ok(_)) if download.finish(&mut scratch.reply) => {}
            Poll::Ready(_) => return Poll::Ready(End::Upstream { refused: false }),
        }
    }
}
