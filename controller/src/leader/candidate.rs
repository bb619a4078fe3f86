//! What a candidate does about the Lease that it sees. Pure: time and Lease are handed in.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use tokio::time::Instant;

/// How long a Lease is respected that does not change, as the Kubernetes components have it.
const LEASE_DURATION: Duration = Duration::from_secs(15);
/// How long its holder leads after a renewal. Shorter than [`LEASE_DURATION`]: the holder gives up before others take over.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);

/// A candidate for a Lease.
#[derive(Debug)]
pub struct Candidate {
    identity: String,
    observed: Option<Observed>,
    /// When the last write began that the API server has confirmed.
    renewed: Option<Instant>,
}

/// The Lease as last seen.
#[derive(Clone, Debug)]
struct Observed {
    spec: LeaseSpec,
    /// When it was first seen like this, by our own clock: the times in the Lease are of another one.
    since: Instant,
}

// === impl Candidate ===

impl Candidate {
    /// A candidate of this name, which no other process has.
    pub fn new(identity: String) -> Self {
        Self {
            identity,
            observed: None,
            renewed: None,
        }
    }

    /// The name.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Takes note of the Lease; none when it does not exist.
    pub fn observe(&mut self, spec: Option<LeaseSpec>, now: Instant) {
        let same = |observed: &Observed| Some(&observed.spec) == spec.as_ref();
        if self.observed.as_ref().is_some_and(same) {
            return;
        }
        self.observed = spec.map(|spec| Observed { spec, since: now });
        if self.holder() != Some(self.identity.as_str()) {
            self.renewed = None;
        }
    }

    /// The Lease to write now, to become the holder or to remain it. None while another one holds it. `wall` is for people who
    /// read the Lease.
    pub fn bid(&self, now: Instant, wall: MicroTime) -> Option<LeaseSpec> {
        let seconds = i32::try_from(LEASE_DURATION.as_secs()).ok();
        let mut spec = LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: seconds,
            acquire_time: Some(wall.clone()),
            renew_time: Some(wall),
            lease_transitions: Some(0),
            ..LeaseSpec::default()
        };
        let Some(observed) = &self.observed else {
            return Some(spec);
        };
        let transitions = observed.spec.lease_transitions.unwrap_or(0);
        if self.holder() == Some(self.identity.as_str()) {
            spec.acquire_time.clone_from(&observed.spec.acquire_time);
            spec.lease_transitions = Some(transitions);
            return Some(spec);
        }
        spec.lease_transitions = Some(transitions.saturating_add(1));
        let free = self.holder().is_none() || now >= observed.expires();
        free.then_some(spec)
    }

    /// The API server has confirmed a write that began at this time.
    pub fn confirmed(&mut self, spec: LeaseSpec, began: Instant) {
        self.observed = Some(Observed { spec, since: began });
        self.renewed = Some(began);
    }

    /// Until when this candidate leads; none when it does not.
    pub fn leads_until(&self) -> Option<Instant> {
        self.renewed.map(|at| at + RENEW_DEADLINE)
    }

    /// Stops leading, and gives the Lease with which others need not wait.
    pub fn release(&mut self, wall: MicroTime) -> Option<LeaseSpec> {
        self.renewed.take()?;
        let observed = self.observed.as_ref()?;
        Some(LeaseSpec {
            holder_identity: Some(String::new()),
            lease_duration_seconds: Some(1),
            renew_time: Some(wall),
            ..observed.spec.clone()
        })
    }

    /// Who holds the Lease.
    fn holder(&self) -> Option<&str> {
        let holder = self.observed.as_ref()?.spec.holder_identity.as_deref();
        holder.filter(|holder| !holder.is_empty())
    }
}

// === impl Observed ===

impl Observed {
    fn expires(&self) -> Instant {
        let seconds = self.spec.lease_duration_seconds;
        let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
        self.since + seconds.map_or(LEASE_DURATION, Duration::from_secs)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    fn wall(second: i64) -> MicroTime {
        MicroTime(Timestamp::from_second(second).unwrap())
    }

    fn held_by(holder: &str, second: i64) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(15),
            renew_time: Some(wall(second)),
            lease_transitions: Some(3),
            ..LeaseSpec::default()
        }
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_lease_that_nobody_holds_is_taken_and_held_for_ten_seconds() {
        let start = Instant::now();
        let mut candidate = Candidate::new("a".to_owned());
        candidate.observe(None, start);
        let bid = candidate.bid(start, wall(0)).unwrap();
        assert_eq!(candidate.leads_until(), None);
        candidate.confirmed(bid, start);
        assert_eq!(candidate.leads_until(), Some(after(start, 10)));
    }

    #[test]
    fn a_lease_of_another_one_is_respected_while_it_changes() {
        let start = Instant::now();
        let mut candidate = Candidate::new("a".to_owned());
        // The other's clock is hours ahead or behind: only that the Lease changes counts.
        candidate.observe(Some(held_by("b", 90_000)), start);
        assert_eq!(candidate.bid(after(start, 14), wall(14)), None);
        candidate.observe(Some(held_by("b", 90_002)), after(start, 14));
        assert_eq!(candidate.bid(after(start, 28), wall(28)), None);
        let bid = candidate.bid(after(start, 29), wall(29)).unwrap();
        assert_eq!(bid.holder_identity.as_deref(), Some("a"));
        assert_eq!(bid.lease_transitions, Some(4));
    }

    #[test]
    fn who_lost_the_lease_no_longer_leads() {
        let start = Instant::now();
        let mut candidate = Candidate::new("a".to_owned());
        let bid = candidate.bid(start, wall(0)).unwrap();
        candidate.confirmed(bid, start);
        candidate.observe(Some(held_by("b", 1)), after(start, 1));
        assert_eq!(candidate.leads_until(), None);
        assert_eq!(candidate.release(wall(2)), None);
    }

    #[test]
    fn a_released_lease_is_free_at_once() {
        let start = Instant::now();
        let (mut a, mut b) = (
            Candidate::new("a".to_owned()),
            Candidate::new("b".to_owned()),
        );
        let bid = a.bid(start, wall(0)).unwrap();
        a.confirmed(bid, start);
        b.observe(a.release(wall(1)), start);
        assert_eq!(a.leads_until(), None);
        assert!(b.bid(start, wall(1)).is_some());
    }
}
