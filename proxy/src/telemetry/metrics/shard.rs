//! The cells of one worker, by what they count.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::cells::{HostCells, HttpCells, TcpCells, WorkerCells};
use super::key::{Outcome, SeriesKey, TagValues};
use super::rules::RuleCounts;
use super::snapshot::{HostSum, Snapshot};

/// Most series of a worker; what comes after is counted together, without names.
const MAX_SERIES: usize = 10_000;

/// Most outcomes of a series; what comes after is counted together, as code 0.
const MAX_OUTCOMES: usize = 64;

/// Most clusters of which the sums of departed endpoints are kept.
const MAX_DEPARTED: usize = 10_000;

/// Endpoints from which on those that are gone are looked for without a scrape.
const FIRST_SEARCH: usize = 2_048;

/// What one worker counts.
#[derive(Debug, Default)]
pub(super) struct Shard {
    pub(super) cells: WorkerCells,
    pub(super) rules: RuleCounts,
    series: Mutex<FxHashMap<SeriesKey, Tracked>>,
    hosts: Mutex<Hosts>,
}

#[derive(Debug, Default)]
struct Hosts {
    live: FxHashMap<(Arc<str>, SocketAddr), Arc<HostCells>>,
    /// What endpoints counted that no runtime holds any more, so that the sums of their clusters do not shrink.
    departed: FxHashMap<Arc<str>, HostSum>,
    /// How many live ones there may be before those that are gone are looked for.
    search_at: usize,
}

/// A series with what is needed to see that it is idle.
#[derive(Debug)]
struct Tracked {
    entry: Arc<Entry>,
    total: u64,
    since: Option<Instant>,
}

/// The cells of a series.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: SeriesKey,
    retired: AtomicBool,
    http: Mutex<Vec<(Outcome, Arc<HttpCells>)>>,
    tcp: Mutex<Vec<(Outcome, Arc<TcpCells>)>>,
}

// === impl Shard ===

impl Shard {
    /// The entry of a series; a new one if there is none.
    pub(super) fn series(self: &Arc<Self>, key: &SeriesKey) -> (Arc<Self>, Arc<Entry>) {
        let mut series = lock(&self.series);
        let known = series.contains_key(key) || series.len() < MAX_SERIES;
        let key = if known { key.clone() } else { nameless(key) };
        let tracked = series
            .entry(key)
            .or_insert_with_key(|key| Tracked::new(key.clone()));
        (self.clone(), tracked.entry.clone())
    }

    /// The counters of an endpoint; new ones if there are none.
    pub(super) fn host(&self, cluster: &Arc<str>, address: SocketAddr) -> Arc<HostCells> {
        let mut hosts = lock(&self.hosts);
        if hosts.live.len() >= hosts.search_at.max(FIRST_SEARCH) {
            hosts.forget_gone(|_, _| {});
            // Whether most are gone or none is, the search costs each endpoint the same.
            hosts.search_at = hosts.live.len() * 2;
        }
        hosts
            .live
            .entry((cluster.clone(), address))
            .or_default()
            .clone()
    }

    /// Adds everything to a sum, and drops what is idle.
    pub(super) fn add_to(&self, sum: &mut Snapshot, now: Instant, idle_limit: Duration) {
        sum.workers.add(&self.cells);
        self.rules.add_to(&mut sum.rules);
        lock(&self.series).retain(|key, tracked| {
            let keep = tracked.is_live(now, idle_limit);
            if keep {
                tracked.entry.add_to(key, sum);
            } else {
                tracked.entry.retired.store(true, Relaxed);
            }
            keep
        });
        let mut hosts = lock(&self.hosts);
        hosts.forget_gone(|host, values| {
            sum.hosts.entry(host.clone()).or_default().merge(values);
        });
        let live = hosts.live.iter();
        let live = live.map(|((cluster, _), cells)| (cluster, HostSum::of(cells)));
        let departed = hosts.departed.iter();
        let departed = departed.map(|(cluster, values)| (cluster, *values));
        for (cluster, values) in live.chain(departed) {
            sum.clusters
                .entry(cluster.clone())
                .or_default()
                .merge(values);
        }
    }
}

// === impl Hosts ===

impl Hosts {
    /// Adds endpoints that nobody holds to the sums of their clusters and forgets them. The others are told.
    fn forget_gone(&mut self, mut visit: impl FnMut(&(Arc<str>, SocketAddr), HostSum)) {
        let Self { live, departed, .. } = self;
        live.retain(|host, cells| {
            let values = HostSum::of(cells);
            if Arc::strong_count(cells) > 1 {
                visit(host, values);
                return true;
            }
            let (cluster, _) = host;
            if departed.len() < MAX_DEPARTED || departed.contains_key(cluster) {
                let gone = departed.entry(cluster.clone()).or_default();
                gone.merge(values.without_gauges());
            }
            false
        });
    }
}

// === impl Tracked ===

impl Tracked {
    fn new(key: SeriesKey) -> Self {
        let entry = Entry {
            key,
            retired: AtomicBool::new(false),
            http: Mutex::default(),
            tcp: Mutex::default(),
        };
        Self {
            entry: Arc::new(entry),
            total: 0,
            since: None,
        }
    }

    /// Whether something was counted within the limit.
    fn is_live(&mut self, now: Instant, limit: Duration) -> bool {
        let total = self.entry.total();
        match self.since {
            Some(since) if total == self.total => now.saturating_duration_since(since) <= limit,
            _ => {
                self.total = total;
                self.since = Some(now);
                true
            }
        }
    }
}

// === impl Entry ===

impl Entry {
    /// Whether the registry has dropped it.
    #[inline]
    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Relaxed)
    }

    pub(super) fn http(&self, outcome: Outcome) -> Arc<HttpCells> {
        find(&mut lock(&self.http), outcome)
    }

    pub(super) fn tcp(&self, outcome: Outcome) -> Arc<TcpCells> {
        find(&mut lock(&self.tcp), outcome)
    }

    /// A number that changes whenever something is counted.
    fn total(&self) -> u64 {
        let http = lock(&self.http);
        let requests = http.iter().map(|(_, cells)| cells.duration.count());
        let tcp = lock(&self.tcp);
        let bytes = tcp.iter().map(|(_, cells)| {
            let TcpCells {
                opened,
                closed,
                sent,
                received,
            } = &**cells;
            [opened, closed, sent, received]
                .map(super::Counter::get)
                .into_iter()
                .fold(0, u64::wrapping_add)
        });
        requests.chain(bytes).fold(0, u64::wrapping_add)
    }

    fn add_to(&self, key: &SeriesKey, sum: &mut Snapshot) {
        for (outcome, cells) in lock(&self.http).iter() {
            sum.add_http(key, *outcome, cells);
        }
        for (outcome, cells) in lock(&self.tcp).iter() {
            sum.add_tcp(key, *outcome, cells);
        }
    }
}

/// The cells of an outcome; new ones, as long as there is room.
fn find<C: Default>(list: &mut Vec<(Outcome, Arc<C>)>, outcome: Outcome) -> Arc<C> {
    let outcome = if list.len() < MAX_OUTCOMES {
        outcome
    } else {
        Outcome {
            code: 0,
            grpc_status: None,
            ..outcome
        }
    };
    if let Some((_, cells)) = list.iter().find(|(known, _)| *known == outcome) {
        return cells.clone();
    }
    let cells = Arc::new(C::default());
    list.push((outcome, cells.clone()));
    cells
}

/// What series are counted under for which there is no room.
fn nameless(key: &SeriesKey) -> SeriesKey {
    SeriesKey {
        direction: key.direction,
        source: None,
        destination: None,
        service: None,
        source_principal: None,
        destination_principal: None,
        security: key.security,
        tags: key.tags.as_ref().map(|tags| TagValues {
            policy: tags.policy.clone(),
            values: Default::default(),
        }),
    }
}

/// A poisoned lock guards counters still: they are valid at every moment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
