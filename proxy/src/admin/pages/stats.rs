//! `/stats`: every number, by Envoy's names and Istio's.

use std::collections::BTreeMap;
use std::time::Instant;

use mesh_xds::ResourceType;
use serde_json::{Value, json};

use super::{Ask, Page, State};
use crate::lifecycle::Stage;
use crate::telemetry::metrics::{Snapshot, Stat, StatKind, write_prometheus};

pub(super) fn page(state: &State, ask: &Ask) -> Page {
    if ask.query.get("format") == Some("prometheus") {
        return prometheus(state);
    }
    let filter = ask.query.get("filter").map(Filter::new);
    let used_only = ask.query.has("usedonly");
    let stats: BTreeMap<String, u64> = all(state, &snapshot(state))
        .into_iter()
        .filter(|stat| !used_only || stat.value > 0)
        .map(|stat| (stat.dotted(), stat.value))
        .filter(|(name, _)| filter.as_ref().is_none_or(|filter| filter.takes(name)))
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
    Page::prometheus(text)
}

fn snapshot(state: &State) -> Snapshot {
    state.metrics.snapshot(Instant::now())
}

/// The numbers of the workers, and those of the proxy as a whole.
fn all(state: &State, snapshot: &Snapshot) -> Vec<Stat> {
    use StatKind::{Counter, Gauge};
    let size = |list: usize| u64::try_from(list).unwrap_or(u64::MAX);
    let (written, dropped) = state.logs.counts();
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
    stats
}

/// A filter: texts joined by `|`, each with `^` and `$` where it must begin or end the name, and `.*` for anything. That is what
/// people write here of regular expressions.
struct Filter(Vec<Vec<String>>);

impl Filter {
    fn new(text: &str) -> Self {
        let alternatives = text.split('|').map(|alternative| {
            let open = alternative.strip_prefix('^');
            let body = open.unwrap_or(alternative);
            let closed = body.strip_suffix('$');
            let body = closed.unwrap_or(body);
            let mut parts: Vec<String> = body
                .split(".*")
                .map(|part| part.replace('\\', ""))
                .collect();
            if open.is_none() {
                parts.insert(0, String::new());
            }
            if closed.is_none() {
                parts.push(String::new());
            }
            parts
        });
        Self(alternatives.collect())
    }

    fn takes(&self, name: &str) -> bool {
        self.0.iter().any(|parts| matches(name, parts))
    }
}

/// Whether the parts come one after the other, the first at the beginning and the last at the end.
fn matches(name: &str, parts: &[String]) -> bool {
    let [first, middle @ .., last] = parts else {
        return parts.iter().all(|only| name == only);
    };
    let Some(mut rest) = name.strip_prefix(first.as_str()) else {
        return false;
    };
    for part in middle {
        match rest.split_once(part.as_str()) {
            Some((_, tail)) => rest = tail,
            None => return false,
        }
    }
    rest.ends_with(last.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_understood() {
        let takes = |filter: &str, name: &str| Filter::new(filter).takes(name);
        let name = "cluster.outbound|80||a.upstream_rq_total";
        assert!(takes("upstream_rq", name));
        assert!(takes("^cluster\\.", name));
        assert!(takes("^cluster.*_total$", name));
        assert!(takes("nothing|rq_total$", name));
        assert!(!takes("^upstream", name));
        assert!(!takes("upstream$", name));
        assert!(!takes("^cluster$", name));
        assert!(takes("", name));
    }
}
