//! One try: the request goes out as it comes in, the response comes back, and everything is watched at once.
//!
//! ```text
//! downstream --data--> upstream, downstream <--data-- upstream
//! ```
//!
//! Each side is read only when what was read before has gone out on the other one, so that a slow reader slows the writer down.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use mesh_ir::evaluate::retry::Failure;
use tokio::time::Instant;

use super::{DownstreamStream, UpstreamStream};
use crate::http1::Refusal;

/// How much of a body is kept for another try, as in Envoy.
const REPLAY: usize = 64 << 10;

/// How a try has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptResult {
    /// With a response, whose head the upstream has.
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

/// A request on its way upstream.
#[derive(Debug)]
pub struct RequestUpload {
    /// Whether all that is needed for another try is kept.
    pub replayable: bool,
    /// Whether anything had to be waited for while the response was relayed.
    pub waited: bool,
    uploaded_at: Option<Instant>,
    /// Whether all of it has gone out.
    finished: bool,
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
    pub fn begin(&mut self) {
        if self.whole.is_none() && self.each.is_none() {
            return;
        }
        let now = Instant::now();
        if self.whole_at.is_none() {
            self.whole_at = self.whole.and_then(|whole| now.checked_add(whole));
        }
        self.each_at = self.each.and_then(|each| now.checked_add(each));
    }

    /// Which limit it is that has passed.
    fn passed(&self) -> AttemptResult {
        let passed = |at: Option<Instant>| at.is_some_and(|at| Instant::now() >= at);
        if passed(self.whole_at) {
            AttemptResult::Timeout
        } else if passed(self.each_at) {
            AttemptResult::Failed(Failure::Timeout)
        } else {
            AttemptResult::Idle
        }
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
    /// Of a request of which nothing has gone out, so that it can be tried again.
    pub fn new() -> Self {
        Self {
            replayable: true,
            waited: false,
            uploaded_at: None,
            finished: false,
        }
    }

    /// Whether all of the request has gone out: only then may another one follow on the connection.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// When the request was complete.
    pub fn uploaded_at(&self, begun: Instant) -> Instant {
        self.uploaded_at.unwrap_or(begun)
    }

    /// Sends the request and waits for the head of its response.
    pub async fn attempt(
        &mut self,
        down: &mut impl DownstreamStream,
        up: &mut impl UpstreamStream,
        deadlines: &mut Deadlines,
        begun: Instant,
    ) -> AttemptResult {
        self.finished = false;
        deadlines.each_at = None;
        let mut complete = false;
        let mut first = true;
        let mut received = down.received();
        down.timer().set_after(begun, Some(deadlines.idle));
        poll_fn(|cx| {
            if let Err(refusal) = self.poll_upload(down, up, cx) {
                return Poll::Ready(AttemptResult::Client(refusal));
            }
            if !complete && down.is_complete() {
                complete = true;
                if !first {
                    self.uploaded_at = Some(Instant::now());
                }
                deadlines.begin();
                if let Some(next) = deadlines.next() {
                    down.timer().set(Some(next));
                    // What has come in before says nothing about the endpoint.
                    received = down.received();
                }
            }
            if std::mem::replace(&mut received, down.received()) != received {
                down.timer().set_after(Instant::now(), Some(deadlines.idle));
            }
            first = false;
            match up.poll_response(cx) {
                Poll::Ready(Ok(())) => return Poll::Ready(AttemptResult::Response),
                Poll::Ready(Err(failure)) => return Poll::Ready(AttemptResult::Failed(failure)),
                Poll::Pending => {}
            }
            if complete && down.poll_gone(cx) {
                return Poll::Ready(AttemptResult::Client(None));
            }
            ready!(down.timer().poll(cx));
            Poll::Ready(deadlines.passed())
        })
        .await
    }

    /// Passes on what the client sends.
    #[inline]
    fn poll_upload(
        &mut self,
        down: &mut impl DownstreamStream,
        up: &mut impl UpstreamStream,
        cx: &mut Context<'_>,
    ) -> Result<(), Option<Refusal>> {
        while !self.finished {
            if up.poll_send(cx).is_pending() || up.is_broken() {
                return Ok(());
            }
            if down.is_complete() {
                self.finished = true;
                return Ok(());
            }
            if !self.replayable {
                up.forget();
            }
            match down.poll_data(cx, &mut up.sink()) {
                Poll::Pending => return Ok(()),
                Poll::Ready(outcome) => outcome?,
            }
            self.replayable &= up.kept() <= REPLAY;
        }
        Ok(())
    }

    /// Sends the response whose head was written already, while the rest of the request goes its way.
    pub async fn relay(
        &mut self,
        down: &mut impl DownstreamStream,
        up: &mut impl UpstreamStream,
        deadlines: &Deadlines,
    ) -> End {
        if up.first_data(&mut down.sink()).is_err() {
            return End::Upstream { refused: true };
        }
        down.timer().set(deadlines.whole_at);
        let mut received = down.received();
        poll_fn(|cx| {
            if let Poll::Ready(end) = poll_download(down, up, cx) {
                return Poll::Ready(end);
            }
            // A client that takes nothing at all is waited for from now on.
            let mut moved = !std::mem::replace(&mut self.waited, true);
            if !self.finished {
                if self.poll_upload(down, up, cx).is_err() {
                    return Poll::Ready(End::Client);
                }
            } else if down.poll_gone(cx) {
                return Poll::Ready(End::Client);
            }
            moved |= down.take_progress();
            moved |= std::mem::replace(&mut received, down.received()) != received;
            if deadlines.whole_at.is_none() && moved {
                let now = Instant::now();
                down.timer().set_after(now, Some(deadlines.idle));
            }
            down.timer().poll(cx).map(|()| End::Timeout)
        })
        .await
    }
}

#[inline]
fn poll_download(
    down: &mut impl DownstreamStream,
    up: &mut impl UpstreamStream,
    cx: &mut Context<'_>,
) -> Poll<End> {
    loop {
        if ready!(down.poll_send(cx)).is_err() {
            return Poll::Ready(End::Client);
        }
        if down.is_answered() {
            return Poll::Ready(End::Done);
        }
        if let Err(refused) = ready!(up.poll_data(cx, &mut down.sink())) {
            return Poll::Ready(End::Upstream { refused });
        }
    }
}
