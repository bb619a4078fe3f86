//! Which endpoints fail so often that they get no traffic for a while (outlier detection): a state machine that is told outcomes and the
//! time, and does nothing.
//!
//! ```text
//! outcome --record--> failures in a row --threshold--> ejected for base * times --tick--> back, with a clean slate
//!                                                                                  `----> times shrink with every quiet tick
//! ```

use std::time::Duration;

use mesh_ir::OutlierDetection;
use tokio::time::Instant;

/// The longest ejection where the base is not longer, Envoy's `max_ejection_time`.
const MAX_EJECTION: Duration = Duration::from_secs(300);

/// What became of a request or a connection to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer with this status code.
    Response(u16),
    /// No connection, or a connection that ended without an answer.
    Failed,
    /// No answer in time.
    TimedOut,
    /// A connection, from which no answer is expected.
    Connected,
}

/// What is known of an endpoint.
#[derive(Debug, Default)]
pub struct Record {
    failures_5xx: u32,
    gateway_failures: u32,
    local_failures: u32,
    /// How often its next ejection counts.
    times: u32,
    ejected_at: Option<Instant>,
}

// === impl Record ===

impl Record {
    /// Takes an outcome down. Whether the endpoint is to be ejected.
    pub fn record(&mut self, rules: &OutlierDetection, outcome: Outcome) -> bool {
        let local = rules.consecutive_local_failures;
        match (outcome, local) {
            (Outcome::Response(code), _) => {
                self.local_failures = 0;
                self.answered(rules, code)
            }
            (Outcome::Connected, Some(_)) => {
                self.local_failures = 0;
                false
            }
            (Outcome::Failed | Outcome::TimedOut, Some(limit)) => {
                reached(&mut self.local_failures, limit)
            }
            // Not told apart: they count as what a gateway would have answered.
            (Outcome::Connected, None) => self.answered(rules, 200),
            (Outcome::Failed, None) => self.answered(rules, 503),
            (Outcome::TimedOut, None) => self.answered(rules, 504),
        }
    }

    fn answered(&mut self, rules: &OutlierDetection, code: u16) -> bool {
        let gateway = if (502..=504).contains(&code) {
            reached(
                &mut self.gateway_failures,
                rules.consecutive_gateway_failures,
            )
        } else {
            self.gateway_failures = 0;
            false
        };
        let any = if code >= 500 {
            reached(&mut self.failures_5xx, rules.consecutive_5xx)
        } else {
            self.failures_5xx = 0;
            false
        };
        gateway || any
    }

    /// Ejects the endpoint.
    pub fn eject(&mut self, rules: &OutlierDetection, now: Instant) {
        self.ejected_at = Some(now);
        // More times than the longest ejection needs count no more.
        if rules.base_ejection_time.saturating_mul(self.times) < longest(rules) {
            self.times += 1;
        }
    }

    /// Whether it is ejected.
    pub fn is_ejected(&self) -> bool {
        self.ejected_at.is_some()
    }

    /// Looks at the endpoint once in an interval. Whether it comes back.
    pub fn tick(&mut self, rules: &OutlierDetection, now: Instant) -> bool {
        let Some(since) = self.ejected_at else {
            self.times = self.times.saturating_sub(1);
            return false;
        };
        let time = rules.base_ejection_time.saturating_mul(self.times);
        if now.saturating_duration_since(since) < time.min(longest(rules)) {
            return false;
        }
        *self = Self {
            times: self.times,
            ..Self::default()
        };
        true
    }
}

/// Counts one more; at the limit, which is none if it is 0, it begins anew.
fn reached(count: &mut u32, limit: u32) -> bool {
    *count = count.saturating_add(1);
    let reached = limit > 0 && *count >= limit;
    if reached {
        *count = 0;
    }
    reached
}

fn longest(rules: &OutlierDetection) -> Duration {
    MAX_EJECTION.max(rules.base_ejection_time)
}

/// Whether one more of `all` endpoints may be ejected where `ejected` are.
pub fn may_eject(rules: &OutlierDetection, ejected: usize, all: usize) -> bool {
    let share = (100 * ejected).checked_div(all).unwrap_or(100);
    share < rules.max_ejection_percent.min(100) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> OutlierDetection {
        OutlierDetection {
            consecutive_5xx: 3,
            consecutive_gateway_failures: 2,
            ..OutlierDetection::default()
        }
    }

    /// Which of the outcomes eject.
    fn ejects(rules: &OutlierDetection, outcomes: &[Outcome]) -> Vec<bool> {
        let mut record = Record::default();
        outcomes
            .iter()
            .map(|it| record.record(rules, *it))
            .collect()
    }

    #[test]
    fn failures_in_a_row_are_counted_by_their_kind() {
        use Outcome::{Connected, Failed, Response, TimedOut};
        let only = |five: u32, gateway: u32, local| OutlierDetection {
            consecutive_5xx: five,
            consecutive_gateway_failures: gateway,
            consecutive_local_failures: local,
            ..rules()
        };
        let of = |code| Response(code);
        assert_eq!(
            ejects(&only(2, 0, None), &[500, 200, 500, 503, 500].map(of)),
            [false, false, false, true, false]
        );
        assert_eq!(
            ejects(&only(0, 2, None), &[502, 500, 503, 504].map(of)),
            [false, false, false, true]
        );
        assert_eq!(
            ejects(&only(2, 0, None), &[Failed, TimedOut]),
            [false, true]
        );
        assert_eq!(
            ejects(&only(2, 0, None), &[Failed, Connected, Failed]),
            [false; 3]
        );
        assert_eq!(
            ejects(&only(1, 1, Some(2)), &[Failed, of(200), Failed, TimedOut]),
            [false, false, false, true]
        );
        assert_eq!(
            ejects(&only(1, 0, Some(2)), &[Failed, of(500)]),
            [false, true]
        );
        assert_eq!(ejects(&only(0, 0, None), &[Failed; 9]), [false; 9]);
    }

    #[test]
    fn ejections_grow_and_are_forgotten() {
        let rules = rules();
        let begin = Instant::now();
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        let mut record = Record::default();
        record.eject(&rules, at(0));
        assert!(!record.tick(&rules, at(29)));
        assert!(record.tick(&rules, at(30)));
        record.eject(&rules, at(31));
        assert!(!record.tick(&rules, at(90)));
        assert!(record.tick(&rules, at(91)));
        // Two quiet looks make up for two ejections.
        assert!(!record.tick(&rules, at(101)) && !record.tick(&rules, at(111)));
        record.eject(&rules, at(120));
        assert!(record.tick(&rules, at(150)));
        for _ in 0..1000 {
            record.eject(&rules, at(200));
        }
        assert!(!record.tick(&rules, at(499)));
        assert!(record.tick(&rules, at(500)));
    }

    #[test]
    fn no_more_than_a_share_is_ejected() {
        let of = |max_ejection_percent, ejected, all| {
            let rules = OutlierDetection {
                max_ejection_percent,
                ..rules()
            };
            may_eject(&rules, ejected, all)
        };
        assert_eq!(
            [of(10, 0, 3), of(10, 1, 3), of(50, 1, 3), of(100, 2, 3)],
            [true, false, true, true]
        );
        assert_eq!([of(0, 0, 3), of(100, 0, 0)], [false, false]);
    }
}
