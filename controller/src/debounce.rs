//! When changes are published: the first at once, and those that follow are gathered. The longer changes keep coming, the longer they
//! are gathered.

use std::time::Duration;

use tokio::time::Instant;

/// Changes have come to an end when none has come for so many windows. It is more than one, so that a steady storm whose changes lie
/// further apart than the first window is gathered as well.
const QUIET_WINDOWS: u32 = 4;

/// Bounds of the time for which changes are gathered after a publication.
#[derive(Clone, Copy, Debug)]
pub struct Debounce {
    /// After one that stood alone.
    pub after: Duration,
    /// At most, while changes keep coming: no change waits longer.
    pub max: Duration,
}

/// The times of publications.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    debounce: Debounce,
    /// End of the last publication.
    last: Option<Instant>,
    /// How long changes are gathered after it.
    window: Duration,
}

// === impl Pace ===

impl Pace {
    /// Nothing has been published yet.
    pub fn new(debounce: Debounce) -> Self {
        Self {
            debounce,
            last: None,
            window: debounce.after,
        }
    }

    /// When changes are published of which the first came at `first`.
    pub fn due(&self, first: Instant) -> Instant {
        match self.last {
            None => first,
            Some(last) => first.max(last + self.window),
        }
    }

    /// Notes that changes have been published of which the first came at `first`.
    pub fn published(&mut self, first: Instant, now: Instant) {
        let goes_on = self
            .last
            .is_some_and(|last| first < last + self.window * QUIET_WINDOWS);
        let Debounce { after, max } = self.debounce;
        self.window = if goes_on {
            (self.window * 2).min(max).max(after)
        } else {
            after
        };
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBOUNCE: Debounce = Debounce {
        after: Duration::from_millis(10),
        max: Duration::from_secs(1),
    };

    #[test]
    fn the_first_change_goes_at_once_and_the_next_ones_are_gathered() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut pace = Pace::new(DEBOUNCE);
        assert_eq!(pace.due(at(0)), at(0));
        pace.published(at(0), at(2));
        assert_eq!(pace.due(at(3)), at(12));
        pace.published(at(3), at(13));
        // Twice as long while changes keep coming, and back to the beginning after quiet.
        assert_eq!(pace.due(at(14)), at(33));
        assert_eq!(pace.due(at(140)), at(140));
        pace.published(at(140), at(141));
        assert_eq!(pace.due(at(142)), at(151));
    }

    #[test]
    fn no_change_of_a_storm_waits_longer_than_the_limit() {
        let start = Instant::now();
        let mut pace = Pace::new(DEBOUNCE);
        let (mut longest, mut publications) = (Duration::ZERO, 0);
        // 40 changes a second, for 20 seconds.
        let mut first = None;
        for change in 0..800 {
            let now = start + Duration::from_millis(25) * change;
            if let Some(waiting) = first
                && pace.due(waiting) <= now
            {
                longest = longest.max(pace.due(waiting) - waiting);
                pace.published(waiting, pace.due(waiting));
                publications += 1;
                first = None;
            }
            first.get_or_insert(now);
        }
        assert!(longest <= DEBOUNCE.max, "{longest:?}");
        assert!((20..40).contains(&publications), "{publications}");
    }
}
