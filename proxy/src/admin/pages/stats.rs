//! `/stats`: every number, by Envoy's names and Istio's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use http::StatusCode;
use mesh_xds::ResourceType;
use regex::Regex;
use serde_json::{Value, json};

use super::{Ask, Page, State};
use crate::health::{Checks, Ejections};
use crate::lifecycle::Stage;
use crate::limits::Resource;
use crate::rate_limit::Counts;
use crate::runtime::{Cluster, Runtime};
use crate::telemetry::export::Kind;
use crate::telemetry::metrics::{Snapshot, Stat, StatKind, write_prometheus};

/// Which version runs, as Istio's dashboards ask for it.
const BUILD: &str = concat!(
    "# TYPE istio_build gauge\nistio_build{component=\"proxy\",tag=\"",
    env!("CARGO_PKG_VERSION"),
    "\"} 1\n"
);

pub(super) fn page(state: &State, ask: &Ask) -> Page {
    if ask.query.get("format") == Some("prometheus") {
        return prometheus(state);
    }
    let filter = match ask.query.get("filter").map(Regex::new).transpose() {
        Ok(filter) => filter,
        Err(error) => {
            let message = format!("the filter is no regular expression: {error}");
            return Page::error(StatusCode::BAD_REQUEST, message);
        }
    };
    let used_only = ask.query.has("usedonly");
    let stats: BTreeMap<String, u64> = all(state, &snapshot(state))
        .into_iter()
        .filter(|stat| !used_only || stat.value > 0)
        .map(|stat| (stat.dotted(), stat.value))
        .filter(|(name, _)| filter.as_ref().is_none_or(|filter| filter.is_match(name)))
        .collect();
    if ask.query.get("format") == Some("json") {
        let list: Vec<Value> = stats
            .iter()
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect();
        return Page::json(&json!({ "stats": list }));
    }
    let lines = stats
        .iter()
        .map(|(name, value)| format!("{name}: {value}\n"));
    Page::text(lines.collect::<String>())
}

pub(super) fn prometheus_page(state: &State, _: &Ask) -> Page {
    prometheus(state)
}

/// `/stats/prometheus`.
pub(crate) fn prometheus(state: &State) -> Page {
    let snapshot = snapshot(state);
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = snapshot.write_istio(&mut text);
    let _ = write_prometheus(&mut text, &all(state, &snapshot));
    text.push_str(BUILD);
    Page::prometheus(text)
}

fn snapshot(state: &State) -> Snapshot {
    state.metrics.snapshot(Instant::now())
}

/// The numbers of the workers, and those of the proxy as a whole.
fn all(state: &State, snapshot: &Snapshot) -> Vec<Stat> {
    use StatKind::{Counter, Gauge};
    let size = |list: usize| u64::try_from(list).unwrap_or(u64::MAX);
    let (written, dropped) = state.reporter.files.counts();
    let (config, is_connected, refused_clusters, refused_listeners) = state.known.look(|known| {
        let refused = |kind| size(known.refused(kind).count());
        (
            known.config.clone(),
            known.connected.is_some(),
            refused(ResourceType::Cluster),
            refused(ResourceType::Listener),
        )
    });
    let mut stats = snapshot.stats();
    let runtime = state.runtime.load();
    stats.extend(limits(&runtime));
    stats.extend(ejections(&runtime));
    stats.extend(health_checks(&runtime));
    stats.extend(rate_limits(&runtime));
    stats.extend([
        Stat::new("server", "uptime", Gauge, state.started.elapsed().as_secs()),
        Stat::new(
            "server",
            "live",
            Gauge,
            (state.lifecycle.stage() == Stage::Live).into(),
        ),
        Stat::new(
            "server",
            "concurrency",
            Gauge,
            size(state.bootstrap.workers),
        ),
        Stat::new(
            "control_plane",
            "connected_state",
            Gauge,
            is_connected.into(),
        ),
        Stat::new(
            "cluster_manager",
            "active_clusters",
            Gauge,
            size(config.clusters.len()),
        ),
        Stat::new(
            "cluster_manager",
            "cds.refused_resources",
            Gauge,
            refused_clusters,
        ),
        Stat::new(
            "listener_manager",
            "total_listeners_active",
            Gauge,
            size(config.listeners.len()),
        ),
        Stat::new(
            "listener_manager",
            "lds.refused_resources",
            Gauge,
            refused_listeners,
        ),
        Stat::new("access_log", "written", Counter, written),
        Stat::new("access_log", "dropped", Counter, dropped),
    ]);
    for (kind, group, [sent_name, dropped_name]) in Kind::ALL {
        let (sent, dropped) = state.reporter.exports.counts(kind);
        stats.push(Stat::new(group, sent_name, Counter, sent));
        stats.push(Stat::new(group, dropped_name, Counter, dropped));
    }
    stats
}

/// How far clusters are from their limits, for those that have some.
fn limits(runtime: &Runtime) -> Vec<Stat> {
    const ROWS: [(Resource, &str, &str); 4] = [
        (
            Resource::Connections,
            "circuit_breakers.default.remaining_cx",
            "circuit_breakers.default.cx_open",
        ),
        (
            Resource::Pending,
            "circuit_breakers.default.remaining_pending",
            "circuit_breakers.default.rq_pending_open",
        ),
        (
            Resource::Requests,
            "circuit_breakers.default.remaining_rq",
            "circuit_breakers.default.rq_open",
        ),
        (
            Resource::Retries,
            "circuit_breakers.default.remaining_retries",
            "circuit_breakers.default.rq_retry_open",
        ),
    ];
    let mut stats = Vec::new();
    for cluster in runtime.clusters() {
        let configured = &cluster.config.client.limits;
        for (resource, remaining, open) in ROWS {
            let Some(limit) = cluster.usage.limit(configured, resource) else {
                continue;
            };
            let left = limit.saturating_sub(cluster.usage.count(resource));
            let values = [(remaining, left.into()), (open, (left == 0).into())];
            let of = |(name, value)| of_cluster(cluster, StatKind::Gauge, name, value);
            stats.extend(values.map(of));
        }
    }
    stats
}

/// Ejections of the clusters that eject endpoints.
fn ejections(runtime: &Runtime) -> Vec<Stat> {
    use StatKind::{Counter, Gauge};
    let clusters = runtime.clusters().iter();
    let ejecting = clusters.filter(|cluster| cluster.config.client.outliers.is_some());
    let stats = ejecting.flat_map(|cluster| {
        let Ejections {
            active,
            total,
            overflows,
        } = cluster.hosts.ejections();
        [
            (Gauge, "outlier_detection.ejections_active", active),
            (Counter, "outlier_detection.ejections_enforced_total", total),
            (Counter, "outlier_detection.ejections_overflow", overflows),
        ]
        .map(|(kind, name, value)| of_cluster(cluster, kind, name, value))
    });
    stats.collect()
}

/// Health checks of the clusters that have some.
fn health_checks(runtime: &Runtime) -> Vec<Stat> {
    let clusters = runtime.clusters().iter();
    let checked = clusters.filter(|cluster| !cluster.config.client.health_checks.is_empty());
    let stats = checked.flat_map(|cluster| {
        let Checks { good, bad } = cluster.hosts.checks();
        let (good, bad) = (good.load(Ordering::Relaxed), bad.load(Ordering::Relaxed));
        [
            ("health_check.attempt", good + bad),
            ("health_check.success", good),
            ("health_check.failure", bad),
        ]
        .map(|(name, value)| of_cluster(cluster, StatKind::Counter, name, value))
    });
    stats.collect()
}

/// What limits of rates have done, those of the same prefix together.
fn rate_limits(runtime: &Runtime) -> Vec<Stat> {
    let mut sums: BTreeMap<&Arc<str>, BTreeMap<&'static str, u64>> = BTreeMap::new();
    for limiter in runtime.limiters() {
        let Counts {
            enabled,
            ok,
            rate_limited,
            enforced,
        } = &limiter.counts;
        let sum = sums.entry(&limiter.config.stat_prefix).or_default();
        for (name, counter) in [
            ("enabled", enabled),
            ("ok", ok),
            ("rate_limited", rate_limited),
            ("enforced", enforced),
        ] {
            *sum.entry(name).or_default() += counter.load(Ordering::Relaxed);
        }
    }
    let stats = sums.into_iter().flat_map(|(prefix, sum)| {
        let stat = move |(name, value)| Stat {
            kind: StatKind::Counter,
            scope: "http_local_rate_limit",
            subject: Some(("stat_prefix", prefix.clone())),
            name,
            value,
        };
        sum.into_iter().map(stat)
    });
    stats.collect()
}

fn of_cluster(cluster: &Cluster, kind: StatKind, name: &'static str, value: u64) -> Stat {
    Stat {
        kind,
        scope: "cluster",
        subject: Some(("cluster_name", cluster.name().clone())),
        name,
        value,
    }
}
