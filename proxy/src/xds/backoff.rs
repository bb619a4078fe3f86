//! Pauses between tries: they double up to a limit, and are spread so that the proxies of a mesh do not come back all at once.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);

/// A proxy without configuration is of no use to anybody, and mostly one that starts together with its control plane.
const LIMIT_AT_START: Duration = Duration::from_secs(1);

const LIMIT: Duration = Duration::from_secs(15);

/// The state between tries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Backoff {
    failures: u32,
    has_succeeded: bool,
}

// === impl Backoff ===

impl Backoff {
    /// The pause after one more failure; `ticket` is random.
    pub(crate) fn pause(&mut self, ticket: u32) -> Duration {
        let limit = if self.has_succeeded {
            LIMIT
        } else {
            LIMIT_AT_START
        };
        let whole = FIRST
            .saturating_mul(2u32.saturating_pow(self.failures.min(16)))
            .min(limit);
        self.failures = self.failures.saturating_add(1);
        // Between one half and the whole.
        let share = 0.5 + f64::from(ticket) / f64::from(u32::MAX) / 2.0;
        whole.mul_f64(share)
    }

    /// Whether any stream has worked.
    pub(crate) fn has_succeeded(&self) -> bool {
        self.has_succeeded
    }

    /// A stream worked.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
        self.has_succeeded = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_stay_below_the_limit() {
        let mut backoff = Backoff::default();
        let millis = |backoff: &mut Backoff, ticket| backoff.pause(ticket).as_millis();
        assert_eq!(millis(&mut backoff, u32::MAX), 100);
        assert_eq!(millis(&mut backoff, 0), 100);
        assert_eq!(millis(&mut backoff, u32::MAX), 400);
        for _ in 0..40 {
            assert!(millis(&mut backoff, u32::MAX) <= 1_000);
        }
        backoff.reset();
        assert_eq!(millis(&mut backoff, u32::MAX), 100);
        for _ in 0..40 {
            assert!(millis(&mut backoff, u32::MAX) <= 15_000);
        }
        assert_eq!(millis(&mut backoff, u32::MAX), 15_000);
    }
}
