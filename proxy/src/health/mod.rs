//! What all workers know together of a cluster's endpoints, beyond what the control plane says of them.

pub mod active;
mod check;
pub mod outlier;
mod watch;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mesh_ir::{ClientPolicy, HealthCheck, OutlierDetection, SlowStart};
use rustc_hash::FxHashMap;
use tokio::time::Instant;

use check::CheckRecord;
use outlier::{Outcome, Record};

pub use check::CheckOutcome;
pub use watch::keep;

/// The endpoints of a cluster.
#[derive(Debug, Default)]
pub struct Hosts {
    known: Mutex<FxHashMap<SocketAddr, Arc<Host>>>,
    /// Grows whenever the health of one changes.
    generation: AtomicU64,
    /// When ejected ones are looked at next.
    next_look: Mutex<Option<Instant>>,
    ejected: AtomicUsize,
    ejections: AtomicU64,
    overflows: AtomicU64,
    checks: Checks,
}

/// Active health checks of a cluster's endpoints so far.
#[derive(Debug, Default)]
pub struct Checks {
    /// Those that went well.
    pub good: AtomicU64,
    /// Those that did not.
    pub bad: AtomicU64,
}

/// Ejections of a cluster's endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ejections {
    /// Endpoints that are ejected.
    pub active: u64,
    /// How often one was.
    pub total: u64,
    /// How often one was not, since too many were.
    pub overflows: u64,
}

/// An endpoint.
#[derive(Debug)]
pub struct Host {
    /// Since when it takes traffic.
    since: Instant,
    is_ejected: AtomicBool,
    record: Mutex<Record>,
    /// Whether active health checks say that it is not well, or have not said anything yet.
    is_unwell: AtomicBool,
    checks: Mutex<CheckRecord>,
}

// === impl Hosts ===

impl Hosts {
    /// Whether something has to be known of the endpoints of a cluster.
    pub fn are_needed(client: &ClientPolicy) -> bool {
        client.slow_start.is_some() || client.outliers.is_some() || !client.health_checks.is_empty()
    }

    /// Grows whenever the health of one changes.
    #[inline]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// What is known of those at some addresses; others are forgotten. With active health checks (`are_checked`) new ones are not fit for
    /// traffic before the first good one.
    pub fn follow(
        &self,
        addresses: impl Iterator<Item = SocketAddr>,
        are_checked: bool,
    ) -> Vec<Arc<Host>> {
        let mut known = lock(&self.known);
        let now = Instant::now();
        let mut before = std::mem::take(&mut *known);
        let follow = |address| {
            let host = known.entry(address).or_insert_with(|| {
                let host = before.remove(&address);
                host.unwrap_or_else(|| Arc::new(Host::new(now)))
            });
            let is_unwell = are_checked && !lock(&host.checks).is_fit();
            host.is_unwell.store(is_unwell, Ordering::Relaxed);
            host.clone()
        };
        let hosts = addresses.map(follow).collect();
        let ejected = known.values().filter(|host| host.is_ejected()).count();
        self.ejected.store(ejected, Ordering::Relaxed);
        hosts
    }

    /// Takes down what became of a request to an endpoint, and ejects the endpoint where that is too much.
    pub fn report(&self, host: &Host, rules: &OutlierDetection, outcome: Outcome) {
        if !lock(&host.record).record(rules, outcome) || host.is_ejected() {
            return;
        }
        // One after the other, so that no two of them are ejected where one may be.
        let known = lock(&self.known);
        let ejected = self.ejected.load(Ordering::Relaxed);
        if !outlier::may_eject(rules, ejected, known.len()) {
            self.overflows.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut record = lock(&host.record);
        if record.is_ejected() {
            return;
        }
        record.eject(rules, Instant::now());
        host.is_ejected.store(true, Ordering::Relaxed);
        self.ejected.store(ejected + 1, Ordering::Relaxed);
        self.ejections.fetch_add(1, Ordering::Relaxed);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Lets endpoints come back whose time is over, once in an interval. When it is to be called again.
    fn look(&self, rules: &OutlierDetection, now: Instant) -> Instant {
        let mut next = lock(&self.next_look);
        let later = now + rules.interval;
        match *next {
            Some(due) if now < due => return due.min(later),
            // The first interval begins now.
            None => {
                *next = Some(later);
                return later;
            }
            Some(_) => *next = Some(later),
        }
        let known = lock(&self.known);
        for host in known.values() {
            if lock(&host.record).tick(rules, now) {
                host.is_ejected.store(false, Ordering::Relaxed);
                self.ejected.fetch_sub(1, Ordering::Relaxed);
                self.generation.fetch_add(1, Ordering::Release);
            }
        }
        later
    }

    /// Takes down how a health check has ended.
    pub fn checked(&self, host: &Host, rules: &HealthCheck, outcome: CheckOutcome) {
        let counter = match outcome {
            CheckOutcome::Good => &self.checks.good,
            CheckOutcome::Unwell | CheckOutcome::Failed => &self.checks.bad,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let mut checks = lock(&host.checks);
        if checks.end(rules, outcome, Instant::now()) {
            host.is_unwell.store(!checks.is_fit(), Ordering::Relaxed);
            self.generation.fetch_add(1, Ordering::Release);
        }
    }

    /// Health checks so far.
    pub fn checks(&self) -> &Checks {
        &self.checks
    }

    /// What is known of the endpoint at an address.
    pub fn at(&self, address: SocketAddr) -> Option<Arc<Host>> {
        lock(&self.known).get(&address).cloned()
    }

    /// How many ejections there are.
    pub fn ejections(&self) -> Ejections {
        Ejections {
            active: self.ejected.load(Ordering::Relaxed) as u64,
            total: self.ejections.load(Ordering::Relaxed),
            overflows: self.overflows.load(Ordering::Relaxed),
        }
    }
}

// === impl Host ===

impl Host {
    fn new(now: Instant) -> Self {
        Self {
            since: now,
            is_ejected: AtomicBool::new(false),
            record: Mutex::default(),
            is_unwell: AtomicBool::new(false),
            checks: Mutex::default(),
        }
    }

    /// Whether it is fit for traffic, as far as is known.
    pub fn is_healthy(&self) -> bool {
        !self.is_ejected() && !self.is_unwell()
    }

    /// Whether it gets nothing since it fails too often.
    pub fn is_ejected(&self) -> bool {
        self.is_ejected.load(Ordering::Relaxed)
    }

    /// Whether it gets nothing since health checks say so.
    pub fn is_unwell(&self) -> bool {
        self.is_unwell.load(Ordering::Relaxed)
    }

    /// When its next health check is due; none while one is under way.
    fn check_due(&self, now: Instant) -> Option<Instant> {
        lock(&self.checks).due(now)
    }

    fn begin_check(&self) {
        lock(&self.checks).begin();
    }

    /// The share of its weight that it gets, while it is new.
    pub fn warmth(&self, slow_start: &SlowStart, now: Instant) -> f64 {
        let SlowStart {
            window,
            aggression,
            minimum_percent,
        } = slow_start;
        let age = now.saturating_duration_since(self.since);
        if age >= *window {
            return 1.0;
        }
        // Envoy's, who counts the first second as a whole one.
        let part = age.as_secs_f64().max(1.0) / window.as_secs_f64();
        let grown = part.min(1.0).powf(1000.0 / f64::from((*aggression).max(1)));
        grown.max(f64::from(*minimum_percent) / 100.0)
    }
}

/// What is guarded here is valid at every moment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn new_endpoints_get_more_with_time_and_are_known_across_configurations() {
        let slow_start = SlowStart {
            window: Duration::from_secs(100),
            aggression: 1000,
            minimum_percent: 10,
        };
        let hosts = Hosts::default();
        let addresses = [1, 2].map(|host| SocketAddr::from(([10, 0, 0, host], 80)));
        let first = hosts.follow(addresses[..1].iter().copied(), false);
        let warmth = |host: &Host| (host.warmth(&slow_start, Instant::now()) * 100.0).round();
        assert_eq!(warmth(&first[0]), 10.0);
        tokio::time::advance(Duration::from_secs(50)).await;
        let both = hosts.follow(addresses.iter().copied(), false);
        assert_eq!([&both[0], &both[1]].map(|host| warmth(host)), [50.0, 10.0]);
        let squared = SlowStart {
            aggression: 2000,
            ..slow_start
        };
        assert!((both[0].warmth(&squared, Instant::now()) - 0.5_f64.sqrt()).abs() < 1e-9);
        tokio::time::advance(Duration::from_secs(50)).await;
        assert_eq!(warmth(&both[0]), 100.0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_fails_gets_nothing_until_its_time_is_over() {
        let rules = OutlierDetection {
            max_ejection_percent: 50,
            ..OutlierDetection::default()
        };
        let hosts = Hosts::default();
        let addresses = [1, 2, 3].map(|host| SocketAddr::from(([10, 0, 0, host], 80)));
        let known = hosts.follow(addresses.iter().copied(), false);
        hosts.look(&rules, Instant::now());
        let before = hosts.generation();
        for host in &known {
            for _ in 0..5 {
                hosts.report(host, &rules, Outcome::Response(500));
            }
        }
        let healthy = || [0, 1, 2].map(|index: usize| known[index].is_healthy());
        // Two of three: with one, a third is ejected, which is less than half.
        assert_eq!(healthy(), [false, false, true]);
        assert_eq!(hosts.generation(), before + 2);
        let ejections = hosts.ejections();
        assert_eq!(
            (ejections.active, ejections.total, ejections.overflows),
            (2, 2, 1)
        );
        assert!(hosts.at(addresses[0]).unwrap().is_ejected());
        tokio::time::advance(Duration::from_secs(29)).await;
        hosts.look(&rules, Instant::now());
        assert_eq!(healthy(), [false, false, true]);
        tokio::time::advance(Duration::from_secs(10)).await;
        hosts.look(&rules, Instant::now());
        assert_eq!(healthy(), [true; 3]);
        assert_eq!(hosts.ejections().active, 0);
        // Who is gone is not counted any more.
        for _ in 0..5 {
            hosts.report(&known[0], &rules, Outcome::Failed);
        }
        hosts.follow(addresses[1..].iter().copied(), false);
        assert_eq!(hosts.ejections().active, 0);
    }
}
