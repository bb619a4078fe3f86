//! Envoy's statistics: dotted names for `/stats`, the same numbers for Prometheus.

use std::fmt::{self, Write};
use std::sync::Arc;

use super::Snapshot;
use super::snapshot::{HostSum, WorkerSum};

/// One number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// What kind of number.
    pub kind: StatKind,
    /// First part of the dotted name, `cluster` or `server`.
    pub scope: &'static str,
    /// What it is about: the name of a cluster, for example.
    pub subject: Option<(&'static str, Arc<str>)>,
    /// Last part, `upstream_cx_active`.
    pub name: &'static str,
    /// The number.
    pub value: u64,
}

/// Counters only grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatKind {
    /// Only grows.
    Counter,
    /// Grows and shrinks.
    Gauge,
}

type Row<T> = (&'static str, StatKind, fn(&T) -> u64);

const HOST_ROWS: [Row<HostSum>; 14] = [
    ("upstream_cx_active", StatKind::Gauge, |sum| sum.cx_active),
    ("upstream_cx_total", StatKind::Counter, |sum| sum.cx_total),
    ("upstream_cx_connect_fail", StatKind::Counter, |sum| {
        sum.cx_connect_fail
    }),
    ("upstream_rq_active", StatKind::Gauge, |sum| sum.rq_active),
    ("upstream_rq_total", StatKind::Counter, |sum| sum.rq_total),
    ("upstream_rq_completed", StatKind::Counter, |sum| {
        sum.rq_success + sum.rq_error
    }),
    ("upstream_rq_error", StatKind::Counter, |sum| sum.rq_error),
    ("upstream_rq_timeout", StatKind::Counter, |sum| {
        sum.rq_timeout
    }),
    ("upstream_rq_retry", StatKind::Counter, |sum| sum.rq_retry),
    ("upstream_rq_retry_overflow", StatKind::Counter, |sum| {
        sum.rq_retry_overflow
    }),
    ("upstream_rq_pending_active", StatKind::Gauge, |sum| {
        sum.rq_pending_active
    }),
    ("upstream_rq_pending_total", StatKind::Counter, |sum| {
        sum.rq_pending_total
    }),
    ("upstream_rq_pending_overflow", StatKind::Counter, |sum| {
        sum.rq_pending_overflow
    }),
    ("upstream_cx_overflow", StatKind::Counter, |sum| {
        sum.cx_overflow
    }),
];

const WORKER_ROWS: [(&str, Row<WorkerSum>); 8] = [
    (
        "http",
        ("downstream_cx_active", StatKind::Gauge, |sum| {
            sum.downstream_cx_active
        }),
    ),
    (
        "http",
        ("downstream_cx_total", StatKind::Counter, |sum| {
            sum.downstream_cx_total
        }),
    ),
    (
        "http",
        ("downstream_rq_active", StatKind::Gauge, |sum| {
            sum.downstream_rq_active
        }),
    ),
    (
        "http",
        ("downstream_rq_total", StatKind::Counter, |sum| {
            sum.downstream_rq_total
        }),
    ),
    (
        "http",
        ("downstream_cx_protocol_error", StatKind::Counter, |sum| {
            sum.downstream_protocol_error
        }),
    ),
    (
        "listener",
        ("no_filter_chain_match", StatKind::Counter, |sum| {
            sum.no_filter_chain_match
        }),
    ),
    (
        "listener",
        ("downstream_global_cx_overflow", StatKind::Counter, |sum| {
            sum.downstream_cx_overflow
        }),
    ),
    (
        "http",
        ("mirror_dropped", StatKind::Counter, |sum| {
            sum.mirror_dropped
        }),
    ),
];

// === impl Snapshot ===

impl Snapshot {
    /// Envoy's statistics of clusters and workers.
    pub fn stats(&self) -> Vec<Stat> {
        let clusters = self.clusters.iter().flat_map(|(cluster, sum)| {
            HOST_ROWS.iter().map(move |(name, kind, value)| Stat {
                kind: *kind,
                scope: "cluster",
                subject: Some(("cluster_name", cluster.clone())),
                name,
                value: value(sum),
            })
        });
        let workers = WORKER_ROWS.iter().map(|(scope, (name, kind, value))| Stat {
            kind: *kind,
            scope,
            subject: None,
            name,
            value: value(&self.workers),
        });
        let rules = self.rules.iter().map(|((rule, effect), count)| Stat {
            kind: StatKind::Counter,
            scope: "rbac",
            subject: Some(("policy", rule.clone())),
            name: effect.name(),
            value: *count,
        });
        clusters.chain(workers).chain(rules).collect()
    }
}

// === impl Stat ===

impl Stat {
    /// A number about the proxy as a whole.
    pub fn new(scope: &'static str, name: &'static str, kind: StatKind, value: u64) -> Self {
        Self {
            kind,
            scope,
            subject: None,
            name,
            value,
        }
    }

    /// The dotted name.
    pub fn dotted(&self) -> String {
        match &self.subject {
            // That is what such a prefix is for.
            Some(("stat_prefix", subject)) => [subject, self.scope, self.name].join("."),
            Some((_, subject)) => [self.scope, subject, self.name].join("."),
            None => [self.scope, self.name].join("."),
        }
    }
}

/// Statistics in Prometheus' format: `envoy_cluster_upstream_cx_active{cluster_name="..."} 3`.
pub fn write_prometheus(out: &mut impl Write, stats: &[Stat]) -> fmt::Result {
    let mut sorted: Vec<&Stat> = stats.iter().collect();
    sorted.sort_by_key(|stat| (stat.scope, stat.name));
    let mut last = None;
    for stat in sorted {
        let Stat {
            kind,
            scope,
            subject,
            name,
            value,
        } = stat;
        let name = name.replace('.', "_");
        if last.as_ref() != Some(&(scope, name.clone())) {
            last = Some((scope, name.clone()));
            let kind = match kind {
                StatKind::Counter => "counter",
                StatKind::Gauge => "gauge",
            };
            writeln!(out, "# TYPE envoy_{scope}_{name} {kind}")?;
        }
        match subject {
            Some((label, subject)) => {
                let subject = subject.replace('\\', "\\\\").replace('"', "\\\"");
                writeln!(out, "envoy_{scope}_{name}{{{label}=\"{subject}\"}} {value}")?;
            }
            None => writeln!(out, "envoy_{scope}_{name} {value}")?,
        }
    }
    Ok(())
}
