//! The cells: numbers with one writer and any number of readers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that only grows. Only one thread may add.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// A number that grows and shrinks. Only one thread may change it.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

/// A distribution over Istio's buckets. Only one thread may record.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; BOUNDS.len() + 1],
    sum: Counter,
}

/// Upper bounds of the buckets in thousandths, of milliseconds or bytes: 0.5, 1, 5, ... 3 600 000, those of Envoy.
pub(super) const BOUNDS: [u64; 19] = [
    500,
    1_000,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    600_000_000,
    1_800_000_000,
    3_600_000_000,
];

/// Everything that is counted of HTTP requests of one outcome.
#[derive(Debug, Default)]
pub(super) struct HttpCells {
    pub(super) duration: Histogram,
    pub(super) request_bytes: Histogram,
    pub(super) response_bytes: Histogram,
}

/// Everything that is counted of TCP connections of one outcome.
#[derive(Debug, Default)]
pub(super) struct TcpCells {
    pub(super) opened: Counter,
    pub(super) closed: Counter,
    pub(super) sent: Counter,
    pub(super) received: Counter,
}

/// What is counted of one endpoint of a cluster, as `/clusters` shows it.
#[derive(Debug, Default)]
pub struct HostCells {
    /// Connections now.
    pub cx_active: Gauge,
    /// Connections that were established.
    pub cx_total: Counter,
    /// Connections that could not be established.
    pub cx_connect_fail: Counter,
    /// Connections that a limit did not allow.
    pub cx_overflow: Counter,
    /// Requests now.
    pub rq_active: Gauge,
    /// Requests, tries included.
    pub rq_total: Counter,
    /// Responses other than 5xx.
    pub rq_success: Counter,
    /// Responses of 5xx, and requests without response.
    pub rq_error: Counter,
    /// Requests that took too long.
    pub rq_timeout: Counter,
    /// Tries after the first one.
    pub rq_retry: Counter,
    /// Such tries that a limit did not allow.
    pub rq_retry_overflow: Counter,
    /// Requests that wait for a connection now.
    pub rq_pending_active: Gauge,
    /// Requests that had to wait for a connection.
    pub rq_pending_total: Counter,
    /// Requests that a limit did not allow.
    pub rq_pending_overflow: Counter,
}

/// What is counted of a worker as a whole.
#[derive(Debug, Default)]
pub struct WorkerCells {
    /// Connections of clients now.
    pub downstream_cx_active: Gauge,
    /// Connections of clients.
    pub downstream_cx_total: Counter,
    /// Requests of clients now.
    pub downstream_rq_active: Gauge,
    /// Requests of clients.
    pub downstream_rq_total: Counter,
    /// Requests that were refused because they are malformed.
    pub downstream_protocol_error: Counter,
    /// Connections that no listener and no chain took.
    pub no_filter_chain_match: Counter,
    /// Connections that were closed because there were too many.
    pub downstream_cx_overflow: Counter,
    /// Copies of requests that were not sent, or not answered.
    pub mirror_dropped: Counter,
}

// === impl Counter ===

impl Counter {
    /// Adds.
    #[inline]
    pub fn add(&self, amount: u64) {
        // There is one writer, so nothing is lost between load and store, and no bus lock is needed.
        self.0
            .store(self.0.load(Relaxed).wrapping_add(amount), Relaxed);
    }

    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

// === impl Gauge ===

impl Gauge {
    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.0.store(self.0.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// Takes one away.
    #[inline]
    pub fn dec(&self) {
        self.0
            .store(self.0.load(Relaxed).saturating_sub(1), Relaxed);
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

// === impl Histogram ===

impl Histogram {
    /// Counts a value, in thousandths.
    #[inline]
    pub fn record(&self, thousandths: u64) {
        // Most values are small, so a walk from below is short.
        let index = BOUNDS
            .iter()
            .position(|bound| thousandths <= *bound)
            .unwrap_or(BOUNDS.len());
        if let Some(bucket) = self.buckets.get(index) {
            bucket.inc();
        }
        self.sum.add(thousandths);
    }

    /// Values in each bucket, and the sum.
    pub(super) fn get(&self) -> ([u64; BOUNDS.len() + 1], u64) {
        (self.buckets.each_ref().map(Counter::get), self.sum.get())
    }

    /// How many values there are.
    pub(super) fn count(&self) -> u64 {
        self.buckets
            .iter()
            .map(Counter::get)
            .fold(0, u64::wrapping_add)
    }
}
