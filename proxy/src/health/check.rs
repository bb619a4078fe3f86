//! What active health checks have found out about an endpoint.

use mesh_ir::HealthCheck;
use tokio::time::Instant;

/// How a check has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckOutcome {
    /// As it should.
    Good,
    /// The endpoint said that it is not well. It is believed at once.
    Unwell,
    /// There was no connection or no answer.
    Failed,
}

/// The checks of one endpoint so far. The first good one is enough for traffic, as with Envoy; nobody gets any before.
#[derive(Debug, Default)]
pub struct CheckRecord {
    is_fit: bool,
    was_checked: bool,
    /// Checks in a row that speak against what holds.
    against: u32,
    /// When the next one is due; none before the first.
    next: Option<Instant>,
    is_running: bool,
}

// === impl CheckRecord ===

impl CheckRecord {
    /// Whether the endpoint is to get traffic.
    pub fn is_fit(&self) -> bool {
        self.is_fit
    }

    /// When the next check is due; none while one is under way.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        (!self.is_running).then(|| self.next.unwrap_or(now))
    }

    /// A check begins.
    pub fn begin(&mut self) {
        self.is_running = true;
    }

    /// A check has ended. Whether that changes what the endpoint is fit for.
    pub fn end(&mut self, rules: &HealthCheck, outcome: CheckOutcome, now: Instant) -> bool {
        self.is_running = false;
        self.next = Some(now + rules.interval);
        let is_first = !std::mem::replace(&mut self.was_checked, true);
        let is_good = outcome == CheckOutcome::Good;
        if is_good == self.is_fit {
            self.against = 0;
            return false;
        }
        self.against += 1;
        let enough = match outcome {
            CheckOutcome::Good if is_first => 1,
            CheckOutcome::Good => rules.healthy_threshold,
            CheckOutcome::Unwell => 1,
            CheckOutcome::Failed => rules.unhealthy_threshold,
        };
        if self.against < enough {
            return false;
        }
        self.is_fit = is_good;
        self.against = 0;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mesh_ir::Probe;

    use super::CheckOutcome::{Failed, Good, Unwell};
    use super::*;

    fn rules() -> HealthCheck {
        HealthCheck {
            timeout: Duration::from_secs(1),
            interval: Duration::from_secs(5),
            unhealthy_threshold: 3,
            healthy_threshold: 2,
            probe: Probe::Tcp,
        }
    }

    /// Whether the endpoint is fit after each of the checks.
    #[track_caller]
    fn check(outcomes: &[(CheckOutcome, bool)]) {
        let (rules, mut record) = (rules(), CheckRecord::default());
        let now = Instant::now();
        assert!(!record.is_fit());
        for (index, (outcome, is_fit)) in outcomes.iter().enumerate() {
            let before = record.is_fit();
            let changed = record.end(&rules, *outcome, now);
            assert_eq!(record.is_fit(), *is_fit, "{index}");
            assert_eq!(changed, before != *is_fit, "{index}");
        }
    }

    #[test]
    fn one_good_check_is_enough_at_first_and_several_are_needed_later() {
        check(&[
            (Good, true),
            (Failed, true),
            (Failed, true),
            (Good, true),
            (Failed, true),
            (Failed, true),
            (Failed, false),
            (Good, false),
            (Failed, false),
            (Good, false),
            (Good, true),
        ]);
        check(&[(Failed, false), (Good, false), (Good, true)]);
    }

    #[test]
    fn who_says_that_it_is_not_well_is_believed_at_once() {
        check(&[(Good, true), (Unwell, false), (Good, false), (Good, true)]);
    }

    #[test]
    fn checks_follow_each_other_in_their_interval() {
        let (rules, mut record) = (rules(), CheckRecord::default());
        let now = Instant::now();
        assert_eq!(record.due(now), Some(now));
        record.begin();
        assert_eq!(record.due(now), None);
        let later = now + Duration::from_millis(300);
        record.end(&rules, Good, later);
        assert_eq!(record.due(later), Some(later + rules.interval));
    }
}
