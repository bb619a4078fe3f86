//! Bounds the bytes of responses that are on their way, over all streams.
//!
//! A response is written out whole before the network takes it, so a thousand proxies that are due at once would need a thousand
//! times its size. Large responses therefore take turns: one counts until its proxy has answered, or for a short while where
//! the proxy is slow, which then costs its own buffer and nobody else's time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Bytes that may be on their way.
const BUDGET: usize = 16 << 20;
/// Responses below this size do not count.
const SMALL: usize = 32 << 10;
/// How long a response counts that is not answered.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of a permit.
const UNIT: usize = 1 << 10;

/// Proxies that may be on their way from nothing to everything. Until a proxy has everything, its stream notes for each resource that
/// it does not have it yet.
const NEWCOMERS: usize = 24;
/// How long a newcomer counts that does not come to an end.
const WELCOME: Duration = Duration::from_secs(5);

/// Lets responses through.
pub struct Throttle {
    budget: Arc<Semaphore>,
    newcomers: Arc<Semaphore>,
}

/// A response, or a newcomer, on its way.
#[derive(Debug)]
pub struct Turn {
    _permit: OwnedSemaphorePermit,
    /// When it no longer counts.
    pub until: Instant,
}

// === impl Throttle ===

impl Default for Throttle {
    fn default() -> Self {
        Self {
            budget: Arc::new(Semaphore::new(BUDGET / UNIT)),
            newcomers: Arc::new(Semaphore::new(NEWCOMERS)),
        }
    }
}

impl Throttle {
    /// Waits until a newcomer may get everything.
    pub async fn admission(&self) -> Option<Turn> {
        let permit = Arc::clone(&self.newcomers).acquire_owned().await.ok()?;
        Some(Turn {
            _permit: permit,
            until: Instant::now() + WELCOME,
        })
    }

    /// Waits for a response's turn. Small ones have none and need not wait.
    pub async fn turn(&self, bytes: usize) -> Option<Turn> {
        if bytes < SMALL {
            return None;
        }
        let units = u32::try_from(bytes.min(BUDGET) / UNIT).ok()?;
        let permit = Arc::clone(&self.budget)
            .acquire_many_owned(units)
            .await
            .ok()?;
        Some(Turn {
            _permit: permit,
            until: Instant::now() + PATIENCE,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn large_responses_wait_for_each_other_and_small_ones_for_none() {
        let throttle = Throttle::default();
        let turn = throttle.turn(BUDGET * 2).await;
        assert!(turn.is_some());
        assert!(throttle.turn(SMALL - 1).await.is_none());
        let next = throttle.turn(SMALL);
        tokio::pin!(next);
        assert!(futures::poll!(&mut next).is_pending());
        drop(turn);
        assert!(next.await.is_some());
    }
}
