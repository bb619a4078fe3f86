//! Bounds the bytes of responses that are on their way, over all streams.
//!
//! A response is written out whole before the network takes it, so a thousand proxies that are due at once would need a thousand
//! times its size. Large responses are therefore limited: one counts until its proxy has answered, or for a short while where
//! the proxy is slow, which then costs its own buffer and nobody else's time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// Bytes that may be on their way.
const BUDGET: usize = 16 << 20;
/// Responses below this size do not count.
const SMALL: usize = 32 << 10;
/// How long a response counts that is not answered.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes of a permit.
const UNIT: usize = 1 << 10;

/// Proxies that may be on their way from nothing to everything. Until a proxy has everything, its stream notes for each resource that
/// it does not have it yet.
pub(super) const INITIAL_SYNCS: usize = 24;
/// How long an initial sync counts that does not end.
const INITIAL_SYNC_TIMEOUT: Duration = Duration::from_secs(5);

/// Lets responses through.
pub struct Throttle {
    budget: Arc<Semaphore>,
    initial_syncs: Arc<Semaphore>,
}

/// A response or an initial sync that is counted: until this is dropped or its time is over, whatever its stream does meanwhile.
#[derive(Debug)]
pub struct Permit {
    timer: AbortHandle,
    /// When it no longer counts.
    pub until: Instant,
}

// === impl Throttle ===

impl Default for Throttle {
    fn default() -> Self {
        Self {
            budget: Arc::new(Semaphore::new(BUDGET / UNIT)),
            initial_syncs: Arc::new(Semaphore::new(INITIAL_SYNCS)),
        }
    }
}

impl Throttle {
    /// Waits until an initial sync may begin.
    pub async fn admission(&self) -> Option<Permit> {
        let permit = Arc::clone(&self.initial_syncs).acquire_owned().await.ok()?;
        Some(Permit::new(permit, INITIAL_SYNC_TIMEOUT))
    }

    /// Waits until a response of this size may be sent. Small ones are not counted.
    pub async fn permit(&self, bytes: usize) -> Option<Permit> {
        if bytes < SMALL {
            return None;
        }
        let units = u32::try_from(bytes.min(BUDGET) / UNIT).ok()?;
        let permit = Arc::clone(&self.budget)
            .acquire_many_owned(units)
            .await
            .ok()?;
        Some(Permit::new(permit, ANSWER_TIMEOUT))
    }
}

// === impl Permit ===

impl Permit {
    fn new(permit: OwnedSemaphorePermit, timeout: Duration) -> Self {
        let until = Instant::now() + timeout;
        // A stream whose proxy does not read is not polled, and could not give it back.
        let timer = tokio::spawn(async move {
            tokio::time::sleep_until(until).await;
            drop(permit);
        });
        let timer = timer.abort_handle();
        Self { timer, until }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.timer.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn permits_expire_though_nobody_looks_at_them() {
        let throttle = Throttle::default();
        let mut held = vec![];
        for _ in 0..INITIAL_SYNCS {
            held.push(throttle.admission().await);
        }
        let before = Instant::now();
        assert!(throttle.admission().await.is_some());
        assert!(before.elapsed() >= INITIAL_SYNC_TIMEOUT);
        assert!(
            held.iter()
                .flatten()
                .all(|permit| permit.until <= Instant::now())
        );
    }

    #[tokio::test]
    async fn large_responses_wait_for_each_other_and_small_ones_for_none() {
        let throttle = Throttle::default();
        let permit = throttle.permit(BUDGET * 2).await;
        assert!(permit.is_some());
        assert!(throttle.permit(SMALL - 1).await.is_none());
        let next = throttle.permit(SMALL);
        tokio::pin!(next);
        assert!(futures::poll!(&mut next).is_pending());
        drop(permit);
        assert!(next.await.is_some());
    }
}
