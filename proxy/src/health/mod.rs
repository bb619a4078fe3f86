//! What all workers know together of a cluster's endpoints, beyond what the control plane says of them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use mesh_ir::{ClientPolicy, SlowStart};
use rustc_hash::FxHashMap;
use tokio::time::Instant;

/// The endpoints of a cluster.
#[derive(Debug, Default)]
pub struct Hosts {
    known: Mutex<FxHashMap<SocketAddr, Arc<Host>>>,
    /// Grows whenever the health of one changes.
    generation: AtomicU64,
}

/// An endpoint.
#[derive(Debug)]
pub struct Host {
    /// Since when it takes traffic.
    since: Instant,
}

// === impl Hosts ===

impl Hosts {
    /// Whether something has to be known of the endpoints of a cluster.
    pub fn are_needed(client: &ClientPolicy) -> bool {
        client.slow_start.is_some()
    }

    /// Grows whenever the health of one changes.
    #[inline]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// What is known of those at some addresses; others are forgotten.
    pub fn follow(&self, addresses: impl Iterator<Item = SocketAddr>) -> Vec<Arc<Host>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let mut before = std::mem::take(&mut *known);
        let follow = |address| {
            let host = known.entry(address).or_insert_with(|| {
                let host = before.remove(&address);
                host.unwrap_or_else(|| Arc::new(Host { since: now }))
            });
            host.clone()
        };
        addresses.map(follow).collect()
    }
}

// === impl Host ===

impl Host {
    /// Whether it is fit for traffic, as far as is known.
    pub fn is_healthy(&self) -> bool {
        true
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
        let first = hosts.follow(addresses[..1].iter().copied());
        let warmth = |host: &Host| (host.warmth(&slow_start, Instant::now()) * 100.0).round();
        assert_eq!(warmth(&first[0]), 10.0);
        tokio::time::advance(Duration::from_secs(50)).await;
        let both = hosts.follow(addresses.iter().copied());
        assert_eq!([&both[0], &both[1]].map(|host| warmth(host)), [50.0, 10.0]);
        let squared = SlowStart {
            aggression: 2000,
            ..slow_start
        };
        assert!((both[0].warmth(&squared, Instant::now()) - 0.5_f64.sqrt()).abs() < 1e-9);
        tokio::time::advance(Duration::from_secs(50)).await;
        assert_eq!(warmth(&both[0]), 100.0);
    }
}
