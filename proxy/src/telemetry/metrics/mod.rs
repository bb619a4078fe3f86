//! Counters that cost a request a handful of additions.
//!
//! ```text
//! Metrics ----> Shard (one per worker) <---- WorkerMetrics --series, host--> handles with cells, kept in the runtime
//!    |             ^
//!    +--scrape-----+  sums the cells of all shards, drops series that have been idle for long
//! ```
//!
//! A cell is written by one worker only, with a relaxed load and store; nothing on a request's path hashes a string, locks or
//! allocates. The shard's maps are locked when a handle is resolved (a runtime is compiled, an endpoint sees its first request, a
//! response code comes up for the first time) and when somebody scrapes.

mod cells;
mod exchange;
mod key;
mod prometheus;
mod rules;
mod series;
mod shard;
mod snapshot;
mod stats;

pub use cells::{Counter, Gauge, Histogram, HostCells, WorkerCells};
pub use exchange::{ID as PEER_ID, KnownPeers, METADATA as PEER_METADATA, OwnMetadata};
pub use key::{Outcome, Peer, Protocol, Security, SeriesKey, Service, TagValues};
pub use rules::RuleEffect;
pub use series::{Series, TcpBytes};
pub use snapshot::{HostSum, Snapshot, WorkerSum};
pub use stats::{Stat, StatKind, write_prometheus};

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use shard::Shard;

/// How long a series may be without traffic before it is no longer reported.
const IDLE_LIMIT: Duration = Duration::from_secs(30 * 60);

/// All counters of this process.
#[derive(Debug)]
pub struct Metrics {
    shards: Mutex<Vec<Arc<Shard>>>,
    idle_limit: Duration,
}

/// The counters of one worker.
#[derive(Clone, Debug)]
pub struct WorkerMetrics {
    shard: Arc<Shard>,
}

// === impl Metrics ===

impl Metrics {
    /// Counters of which there are none yet.
    pub fn new() -> Self {
        Self::with_idle_limit(IDLE_LIMIT)
    }

    fn with_idle_limit(idle_limit: Duration) -> Self {
        Self {
            shards: Mutex::default(),
            idle_limit,
        }
    }

    /// The counters of one more worker.
    pub fn worker(&self) -> WorkerMetrics {
        let shard = Arc::new(Shard::default());
        self.shards().push(shard.clone());
        WorkerMetrics { shard }
    }

    /// The sums over all workers. Series that have been idle for long are forgotten.
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let mut sum = Snapshot::default();
        for shard in self.shards().iter() {
            shard.add_to(&mut sum, now, self.idle_limit);
        }
        sum
    }

    fn shards(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Shard>>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

// === impl WorkerMetrics ===

impl WorkerMetrics {
    /// The handle of a series: to be resolved once and kept, for example beside the endpoint that it counts.
    pub fn series(&self, key: &SeriesKey) -> Series {
        Series::new(self.shard.series(key))
    }

    /// The counters of one endpoint of a cluster; to be resolved once and kept.
    pub fn host(&self, cluster: &Arc<str>, address: SocketAddr) -> Arc<HostCells> {
        self.shard.host(cluster, address)
    }

    /// Counts what a rule of an authorization policy has done.
    pub fn count_rule(&self, effect: RuleEffect, rule: &Arc<str>) {
        self.shard.rules.count(effect, rule);
    }

    /// The counters of the worker as a whole.
    pub fn cells(&self) -> &WorkerCells {
        &self.shard.cells
    }
}

#[cfg(test)]
mod tests;
