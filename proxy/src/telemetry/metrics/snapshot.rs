//! The sums over all workers at one moment: what every page that shows counters is written from.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::cells::{BOUNDS, Histogram, HostCells, HttpCells, TcpCells, WorkerCells};
use super::key::{Outcome, SeriesKey};
use super::rules::RuleEffect;

/// Everything that was counted, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    pub(super) http: BTreeMap<(SeriesKey, Outcome), HttpSum>,
    pub(super) tcp: BTreeMap<(SeriesKey, Outcome), TcpSum>,
    /// Endpoints that a worker has used, by cluster and address.
    pub hosts: BTreeMap<(Arc<str>, SocketAddr), HostSum>,
    /// The same by cluster, with endpoints that are gone.
    pub clusters: BTreeMap<Arc<str>, HostSum>,
    /// The workers as a whole.
    pub workers: WorkerSum,
    /// What rules of authorization policies have done, by their names.
    pub rules: BTreeMap<(Arc<str>, RuleEffect), u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HttpSum {
    pub(super) duration: HistogramSum,
    pub(super) request_bytes: HistogramSum,
    pub(super) response_bytes: HistogramSum,
}

/// A distribution: values in each bucket, and their sum in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HistogramSum {
    pub(super) buckets: [u64; BOUNDS.len() + 1],
    pub(super) sum: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TcpSum {
    pub(super) opened: u64,
    pub(super) closed: u64,
    pub(super) sent: u64,
    pub(super) received: u64,
}

/// The sums of endpoints; the fields of [`HostCells`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are documented in HostCells")]
pub struct HostSum {
    pub cx_active: u64,
    pub cx_total: u64,
    pub cx_connect_fail: u64,
    pub rq_active: u64,
    pub rq_total: u64,
    pub rq_success: u64,
    pub rq_error: u64,
    pub rq_timeout: u64,
    pub rq_retry: u64,
    pub cx_overflow: u64,
    pub rq_retry_overflow: u64,
    pub rq_pending_active: u64,
    pub rq_pending_total: u64,
    pub rq_pending_overflow: u64,
}

/// The sums of workers; the fields of [`WorkerCells`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are documented in WorkerCells")]
pub struct WorkerSum {
    pub downstream_cx_active: u64,
    pub downstream_cx_total: u64,
    pub downstream_rq_active: u64,
    pub downstream_rq_total: u64,
    pub downstream_protocol_error: u64,
    pub no_filter_chain_match: u64,
    /// Connections that were closed because there were too many.
    pub downstream_cx_overflow: u64,
    /// Copies of requests that were not sent, or not answered.
    pub mirror_dropped: u64,
}

// === impl Snapshot ===

impl Snapshot {
    pub(super) fn add_http(&mut self, key: &SeriesKey, outcome: Outcome, cells: &HttpCells) {
        let HttpCells {
            duration,
            request_bytes,
            response_bytes,
        } = cells;
        let sum = self.http.entry((key.clone(), outcome)).or_default();
        sum.duration.add(duration);
        sum.request_bytes.add(request_bytes);
        sum.response_bytes.add(response_bytes);
    }

    pub(super) fn add_tcp(&mut self, key: &SeriesKey, outcome: Outcome, cells: &TcpCells) {
        let TcpCells {
            opened,
            closed,
            sent,
            received,
        } = cells;
        let sum = self.tcp.entry((key.clone(), outcome)).or_default();
        sum.opened += opened.get();
        sum.closed += closed.get();
        sum.sent = sum.sent.wrapping_add(sent.get());
        sum.received = sum.received.wrapping_add(received.get());
    }
}

// === impl HttpSum ===

impl HttpSum {
    /// Adds another sum.
    pub(super) fn merge(&mut self, other: &Self) {
        self.duration.merge(&other.duration);
        self.request_bytes.merge(&other.request_bytes);
        self.response_bytes.merge(&other.response_bytes);
    }
}

// === impl TcpSum ===

impl TcpSum {
    /// Adds another sum.
    pub(super) fn merge(&mut self, other: &Self) {
        self.opened += other.opened;
        self.closed += other.closed;
        self.sent = self.sent.wrapping_add(other.sent);
        self.received = self.received.wrapping_add(other.received);
    }
}

// === impl HistogramSum ===

impl HistogramSum {
    fn add(&mut self, histogram: &Histogram) {
        let (buckets, sum) = histogram.get();
        for (mine, theirs) in self.buckets.iter_mut().zip(buckets) {
            *mine = mine.wrapping_add(theirs);
        }
        self.sum = self.sum.wrapping_add(sum);
    }

    /// Adds another sum.
    pub(super) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(other.buckets) {
            *mine = mine.wrapping_add(theirs);
        }
        self.sum = self.sum.wrapping_add(other.sum);
    }

    /// How many values there are.
    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().copied().fold(0, u64::wrapping_add)
    }
}

// === impl HostSum ===

impl HostSum {
    pub(super) fn of(cells: &HostCells) -> Self {
        let HostCells {
            cx_active,
            cx_total,
            cx_connect_fail,
            rq_active,
            rq_total,
            rq_success,
            rq_error,
            rq_timeout,
            rq_retry,
            cx_overflow,
            rq_retry_overflow,
            rq_pending_active,
            rq_pending_total,
            rq_pending_overflow,
        } = cells;
        Self {
            cx_active: cx_active.get(),
            cx_total: cx_total.get(),
            cx_connect_fail: cx_connect_fail.get(),
            rq_active: rq_active.get(),
            rq_total: rq_total.get(),
            rq_success: rq_success.get(),
            rq_error: rq_error.get(),
            rq_timeout: rq_timeout.get(),
            rq_retry: rq_retry.get(),
            cx_overflow: cx_overflow.get(),
            rq_retry_overflow: rq_retry_overflow.get(),
            rq_pending_active: rq_pending_active.get(),
            rq_pending_total: rq_pending_total.get(),
            rq_pending_overflow: rq_pending_overflow.get(),
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        let Self {
            cx_active,
            cx_total,
            cx_connect_fail,
            rq_active,
            rq_total,
            rq_success,
            rq_error,
            rq_timeout,
            rq_retry,
            cx_overflow,
            rq_retry_overflow,
            rq_pending_active,
            rq_pending_total,
            rq_pending_overflow,
        } = other;
        self.cx_active += cx_active;
        self.cx_total += cx_total;
        self.cx_connect_fail += cx_connect_fail;
        self.rq_active += rq_active;
        self.rq_total += rq_total;
        self.rq_success += rq_success;
        self.rq_error += rq_error;
        self.rq_timeout += rq_timeout;
        self.rq_retry += rq_retry;
        self.cx_overflow += cx_overflow;
        self.rq_retry_overflow += rq_retry_overflow;
        self.rq_pending_active += rq_pending_active;
        self.rq_pending_total += rq_pending_total;
        self.rq_pending_overflow += rq_pending_overflow;
    }

    /// What remains of an endpoint that is gone.
    pub(super) fn without_gauges(self) -> Self {
        Self {
            cx_active: 0,
            rq_active: 0,
            rq_pending_active: 0,
            ..self
        }
    }
}

// === impl WorkerSum ===

impl WorkerSum {
    pub(super) fn add(&mut self, cells: &WorkerCells) {
        let WorkerCells {
            downstream_cx_active,
            downstream_cx_total,
            downstream_rq_active,
            downstream_rq_total,
            downstream_protocol_error,
            no_filter_chain_match,
            downstream_cx_overflow,
            mirror_dropped,
        } = cells;
        self.downstream_cx_active += downstream_cx_active.get();
        self.downstream_cx_total += downstream_cx_total.get();
        self.downstream_rq_active += downstream_rq_active.get();
        self.downstream_rq_total += downstream_rq_total.get();
        self.downstream_protocol_error += downstream_protocol_error.get();
        self.no_filter_chain_match += no_filter_chain_match.get();
        self.downstream_cx_overflow += downstream_cx_overflow.get();
        self.mirror_dropped += mirror_dropped.get();
    }
}
