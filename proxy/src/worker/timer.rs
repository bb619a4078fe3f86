//! A timer that is cheap to move: the runtime hears of it only when it has to fire earlier than it is armed for.
//!
//! Most deadlines are moved long before they are reached. One that moves later leaves the timer as it is; if it fires then, it is
//! armed again for what is left.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// One deadline of one task.
#[derive(Debug, Default)]
pub struct Timer {
    deadline: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
    /// Whether the task is waked when the sleep ends.
    armed: bool,
}

// === impl Timer ===

impl Timer {
    /// Moves the deadline.
    #[inline]
    pub fn set(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Moves the deadline to some time from now; far too much time is none.
    #[inline]
    pub fn set_after(&mut self, now: Instant, time: Option<Duration>) {
        self.deadline = time.and_then(|time| now.checked_add(time));
    }

    /// Ready when the deadline is reached. Must always be polled by the same task.
    #[inline]
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else {
            return Poll::Pending;
        };
        if self.armed
            && let Some(sleep) = &self.sleep
            && sleep.deadline() <= deadline
            && !sleep.is_elapsed()
        {
            return Poll::Pending;
        }
        self.poll_armed(deadline, cx)
    }

    fn poll_armed(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.is_elapsed() || sleep.deadline() > deadline {
            if sleep.is_elapsed() && Instant::now() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
        self.armed = true;
        loop {
            match sleep.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) if Instant::now() >= deadline => return Poll::Ready(()),
                Poll::Ready(()) => sleep.as_mut().reset(deadline),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_moves_later_fires_then() {
        let begin = Instant::now();
        let mut timer = Timer::default();
        timer.set_after(begin, Some(Duration::from_secs(1)));
        assert!(poll_fn(|cx| Poll::Ready(timer.poll(cx))).await.is_pending());
        timer.set_after(begin, Some(Duration::from_secs(5)));
        poll_fn(|cx| timer.poll(cx)).await;
        assert_eq!(begin.elapsed().as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_moves_earlier_fires_earlier() {
        let begin = Instant::now();
        let mut timer = Timer::default();
        timer.set_after(begin, Some(Duration::from_secs(60)));
        assert!(poll_fn(|cx| Poll::Ready(timer.poll(cx))).await.is_pending());
        timer.set_after(begin, Some(Duration::from_secs(2)));
        poll_fn(|cx| timer.poll(cx)).await;
        assert_eq!(begin.elapsed().as_secs(), 2);
        timer.set(None);
        assert!(poll_fn(|cx| Poll::Ready(timer.poll(cx))).await.is_pending());
        timer.set_after(Instant::now(), Some(Duration::from_secs(3)));
        poll_fn(|cx| timer.poll(cx)).await;
        assert_eq!(begin.elapsed().as_secs(), 5);
    }
}
