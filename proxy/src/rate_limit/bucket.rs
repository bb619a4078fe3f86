//! A bucket of tokens that is filled steadily, as Envoy's.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A bucket that any number of threads take from.
///
/// It keeps one number: the time at which it was, or would have been, empty.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Seconds, as the bits of a float.
    empty_at: AtomicU64,
    /// Seconds for a token.
    each: f64,
    /// Tokens.
    most: f64,
}

// === impl Bucket ===

impl Bucket {
    /// A full bucket, from the beginning of time on.
    pub(super) fn new(settings: mesh_ir::policy::TokenBucket) -> Self {
        Self::starting(settings, Duration::ZERO)
    }

    /// A bucket that is full at a moment.
    pub(super) fn starting(settings: mesh_ir::policy::TokenBucket, now: Duration) -> Self {
        let mesh_ir::policy::TokenBucket {
            max_tokens,
            tokens_per_fill,
            fill_interval,
        } = settings;
        let most = f64::from(max_tokens);
        let each = fill_interval.as_secs_f64() / f64::from(tokens_per_fill.max(1));
        Self {
            empty_at: AtomicU64::new((now.as_secs_f64() - most * each).to_bits()),
            each,
            most,
        }
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&self, now: Duration) -> bool {
        let now = now.as_secs_f64();
        let take = |bits: u64| {
            // What would not have fitted in was never there.
            let empty_at = f64::from_bits(bits).max(now - self.most * self.each);
            let next = empty_at + self.each;
            (next <= now + TOLERANCE).then(|| next.to_bits())
        };
        self.empty_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }
}

/// Seconds that sums of fractions may be off.
const TOLERANCE: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(max_tokens: u32, tokens_per_fill: u32, seconds: u64) -> Bucket {
        Bucket::new(mesh_ir::policy::TokenBucket {
            max_tokens,
            tokens_per_fill,
            fill_interval: Duration::from_secs(seconds),
        })
    }

    fn taken(bucket: &Bucket, milliseconds: u64) -> usize {
        let now = Duration::from_millis(milliseconds);
        std::iter::repeat_with(|| bucket.take(now))
            .take(1_000)
            .take_while(|taken| *taken)
            .count()
    }

    #[test]
    fn a_bucket_is_full_at_first_and_is_filled_steadily() {
        let bucket = bucket(10, 2, 60);
        assert_eq!(taken(&bucket, 0), 10);
        assert_eq!(taken(&bucket, 29_000), 0);
        assert_eq!(taken(&bucket, 30_000), 1);
        assert_eq!(taken(&bucket, 60_000), 1);
        // Never more than it holds.
        assert_eq!(taken(&bucket, 3_600_000), 10);
    }

    #[test]
    fn a_bucket_without_room_has_no_tokens() {
        let bucket = bucket(0, 5, 1);
        assert_eq!(taken(&bucket, 60_000), 0);
    }

    #[test]
    fn many_tokens_add_up() {
        let bucket = bucket(500, 500, 1);
        assert_eq!(taken(&bucket, 0), 500);
        let later: usize = (1..=1_000).map(|now| taken(&bucket, now)).sum();
        assert_eq!(later, 500);
    }
}
