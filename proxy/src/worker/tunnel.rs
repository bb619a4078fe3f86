//! Two connections whose bytes are copied to each other until both have ended.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::io::Io;
use super::local::Worker;
use super::scratch::Scratch;
use super::timer::Timer;

/// How often a busy connection is counted.
const TICK: Duration = Duration::from_secs(5);

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// To the upstream.
    pub up: u64,
    /// To the client.
    pub down: u64,
    /// Whether nothing had happened for too long.
    pub idle: bool,
    /// Whether a side broke off.
    pub broken: bool,
}

/// One direction.
#[derive(Default)]
struct CopyDirection {
    /// What was read and has not been written; a direction that waits for bytes holds no memory.
    held: Option<Box<Scratch>>,
    ended: bool,
    shut: bool,
    copied: u64,
}

/// Copies until both sides have ended, one broke off, or nothing happens for `idle`. `first` goes upstream before all else. Now and
/// then `count` is told all that was copied so far, up and down.
pub async fn copy(
    worker: &Rc<Worker>,
    client: &mut Io,
    upstream: &mut Io,
    first: &[u8],
    idle: Duration,
    count: &mut dyn FnMut(u64, u64),
) -> Copied {
    let (mut up, mut down) = (CopyDirection::default(), CopyDirection::default());
    if !first.is_empty() {
        let mut scratch = worker.scratch();
        scratch.body.push(first);
        up.held = Some(scratch);
    }
    let mut timer = Timer::default();
    timer.set_after(Instant::now(), Some(idle));
    let mut ticking = false;
    let mut counted = 0;
    let (timed_out, broken) = poll_fn(|cx| {
        let before = up.copied + down.copied;
        let there = up.poll(worker, client, upstream, cx);
        let back = down.poll(worker, upstream, client, cx);
        match (&there, &back) {
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready((false, false)),
            (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => {
                return Poll::Ready((false, true));
            }
            _ => {}
        }
        if !ticking && up.copied + down.copied > before {
            ticking = true;
            timer.set_after(Instant::now(), Some(TICK.min(idle)));
        }
        loop {
            ready!(timer.poll(cx));
            let now = up.copied + down.copied;
            if counted == now && !ticking {
                return Poll::Ready((true, false));
            }
            counted = now;
            ticking = false;
            count(up.copied, down.copied);
            timer.set_after(Instant::now(), Some(idle));
        }
    })
    .await;
    let copied = Copied {
        up: up.copied,
        down: down.copied,
        idle: timed_out,
        broken,
    };
    up.release(worker);
    down.release(worker);
    copied
}

// === impl CopyDirection ===

impl CopyDirection {
    /// Ready when the end has come and was passed on.
    fn poll(
        &mut self,
        worker: &Rc<Worker>,
        from: &mut Io,
        to: &mut Io,
        cx: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        loop {
            while let Some(scratch) = &mut self.held {
                if scratch.body.is_empty() {
                    self.release(worker);
                    break;
                }
                let count = ready!(to.poll_write(cx, scratch.body.filled()))?;
                if count == 0 {
                    return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
                }
                scratch.body.consume(count);
                self.copied += count as u64;
            }
            ready!(to.poll_flush(cx))?;
            if self.ended {
                if !self.shut {
                    // A socket that is closed already has nothing to shut.
                    let _ = ready!(to.poll_shutdown(cx));
                    self.shut = true;
                }
                return Poll::Ready(Ok(()));
            }
            ready!(from.poll_read_ready(cx))?;
            let mut scratch = worker.scratch();
            match scratch.body.poll_read(from, cx) {
                Poll::Ready(Ok(0)) => self.ended = true,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => {
                    worker.give_back(scratch);
                    return Poll::Ready(Err(error));
                }
                Poll::Pending => {
                    worker.give_back(scratch);
                    return Poll::Pending;
                }
            }
            self.held = Some(scratch);
        }
    }

    fn release(&mut self, worker: &Rc<Worker>) {
        if let Some(scratch) = self.held.take() {
            worker.give_back(scratch);
        }
    }
}
