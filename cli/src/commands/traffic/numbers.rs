//! Numbers of traffic for tables and documents.

use std::collections::BTreeMap;
use std::time::Duration;

use mesh_core::metrics::Counts;
use serde::Serialize;

/// What was counted, for a document.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Numbers {
    pub requests: u64,
    pub failed: u64,
    /// Percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_rate: Option<f64>,
    /// Requests in a second; none where it is not known since when they are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rps: Option<f64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub codes: BTreeMap<u16, u64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub flags: BTreeMap<String, u64>,
    /// Milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p95: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99: Option<f64>,
    #[serde(skip_serializing_if = "is_zero")]
    pub tcp_connections: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub tcp_sent_bytes: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub tcp_received_bytes: u64,
}

// === impl Numbers ===

impl Numbers {
    pub fn new(counts: &Counts, window: Duration) -> Self {
        Self {
            requests: counts.requests,
            failed: counts.failed,
            success_rate: counts.success(),
            rps: rate(counts.requests, window),
            codes: counts.codes.clone(),
            flags: counts
                .flags
                .iter()
                .map(|(flags, count)| (flags.to_string(), *count))
                .collect(),
            p50: counts.durations.quantile(0.5),
            p95: counts.durations.quantile(0.95),
            p99: counts.durations.quantile(0.99),
            tcp_connections: counts.connections,
            tcp_sent_bytes: counts.sent,
            tcp_received_bytes: counts.received,
        }
    }
}

/// So many in a second; none for no window.
pub fn rate(count: u64, window: Duration) -> Option<f64> {
    (window > Duration::ZERO).then(|| count as f64 / window.as_secs_f64())
}

/// The cell of a share in percent.
pub fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{share:.2}%"))
}

/// The cell of a rate.
pub fn per_second(rate: Option<f64>) -> String {
    rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}/s"))
}

/// The cell of a duration in milliseconds.
pub fn milliseconds(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}ms"))
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}
