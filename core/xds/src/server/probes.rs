//! How often groups of resources are tried of which at least one is bad.
//!
//! A client that refuses a response without naming a resource is tried with halves of it, which takes about two responses for each
//! halving: thirty find one bad resource among ten thousand. A client that refuses everything would be sent each resource twice. So a
//! stream has a number of tries for each type that grows back slowly; what is not tried yet stays in its last good version.

use std::time::{Duration, SystemTime};

/// Tries that may follow one another at once.
const BURST: u32 = 32;
/// How long one try takes to come back.
const REFILL: Duration = Duration::from_secs(10);

/// The tries that are left.
#[derive(Debug)]
pub(super) struct Probes {
    left: u32,
    /// Since when the next one comes back; none while all are there.
    since: Option<SystemTime>,
}

// === impl Probes ===

impl Default for Probes {
    fn default() -> Self {
        Self {
            left: BURST,
            since: None,
        }
    }
}

impl Probes {
    /// Whether a try is left.
    pub(super) fn may_try(&self, now: SystemTime) -> bool {
        self.left > 0 || self.returned(now) > 0
    }

    /// When the next try comes back, where none is left.
    pub(super) fn next_try(&self) -> Option<SystemTime> {
        let since = self.since?;
        (self.left == 0).then(|| since + REFILL)
    }

    /// Takes a try.
    pub(super) fn take(&mut self, now: SystemTime) {
        let returned = self.returned(now);
        self.left = self.left.saturating_add(returned).min(BURST);
        let since = match self.since {
            // A clock that goes backwards begins anew.
            Some(since) if since <= now && self.left < BURST => since + REFILL * returned,
            _ => now,
        };
        self.since = Some(since);
        self.left = self.left.saturating_sub(1);
    }

    fn returned(&self, now: SystemTime) -> u32 {
        let since = self.since.unwrap_or(now);
        let passed = now.duration_since(since).unwrap_or_default();
        u32::try_from(passed.as_secs() / REFILL.as_secs()).unwrap_or(BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_come_back_slowly() {
        let mut probes = Probes::default();
        let start = SystemTime::UNIX_EPOCH;
        for _ in 0..BURST {
            assert!(probes.may_try(start));
            probes.take(start);
        }
        assert!(!probes.may_try(start));
        let next = probes.next_try().unwrap();
        assert_eq!(next, start + REFILL);
        assert!(probes.may_try(next));
        probes.take(next);
        assert!(!probes.may_try(next));
        let later = next + REFILL * 1000;
        for _ in 0..BURST {
            assert!(probes.may_try(later));
            probes.take(later);
        }
        assert!(!probes.may_try(later));
    }
}
