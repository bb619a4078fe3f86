//! `/clusters`: endpoints with their health and counters, as Envoy writes them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use mesh_ir::{
    Cluster, ClusterKind, Endpoint, EndpointHealth, Endpoints, Locality, LocalityEndpoints,
};
use serde_json::{Map, Value, json};

use super::listeners::address;
use super::{Ask, Page, State};
use crate::health::Hosts;
use crate::telemetry::metrics::HostSum;

/// Envoy's limits where none are configured.
const DEFAULT_LIMIT: u32 = u32::MAX;

/// One endpoint with all that is shown of it.
struct Host {
    endpoint: Endpoint,
    locality: Locality,
    priority: u32,
    /// Whether it gets nothing since it fails too often.
    is_ejected: bool,
    /// Whether it gets nothing since health checks say so.
    is_unwell: bool,
    sum: HostSum,
}

/// Numbers of an endpoint under Envoy's names.
type Row = (&'static str, bool, fn(&HostSum) -> u64);

const ROWS: [Row; 8] = [
    ("cx_active", true, |sum| sum.cx_active),
    ("cx_connect_fail", false, |sum| sum.cx_connect_fail),
    ("cx_total", false, |sum| sum.cx_total),
    ("rq_active", true, |sum| sum.rq_active),
    ("rq_error", false, |sum| sum.rq_error),
    ("rq_success", false, |sum| sum.rq_success),
    ("rq_timeout", false, |sum| sum.rq_timeout),
    ("rq_total", false, |sum| sum.rq_total),
];

pub(super) fn page(state: &State, ask: &Ask) -> Page {
    let config = state.known.look(|known| known.config.clone());
    let sums = state.metrics.snapshot(Instant::now()).hosts;
    let by_name: BTreeMap<&str, &Arc<Endpoints>> = config
        .endpoints
        .iter()
        .map(|endpoints| (&*endpoints.cluster, endpoints))
        .collect();
    let runtime = state.runtime.load();
    let with_hosts = config.clusters.iter().map(|cluster| {
        let endpoints = match &cluster.kind {
            ClusterKind::Eds => by_name.get(&*cluster.name).map(|it| Arc::clone(it)),
            ClusterKind::Static(endpoints) => Some(endpoints.clone()),
            ClusterKind::StrictDns(_) => runtime
                .cluster_named(&cluster.name)
                .and_then(|cluster| Some(cluster.members()?.endpoints().clone())),
            ClusterKind::OriginalDestination => None,
        };
        let known = runtime
            .cluster_named(&cluster.name)
            .map(|known| &*known.hosts);
        (cluster, hosts(cluster, endpoints.as_deref(), known, &sums))
    });
    if ask.query.get("format") == Some("json") {
        let statuses: Vec<Value> = with_hosts
            .map(|(cluster, hosts)| cluster_json(cluster, &hosts))
            .collect();
        return Page::json(&json!({ "cluster_statuses": statuses }));
    }
    let mut text = String::new();
    for (cluster, hosts) in with_hosts {
        // Writing to a string does not fail.
        let _ = write_text(&mut text, cluster, &hosts);
    }
    Page::text(text)
}

fn hosts(
    cluster: &Cluster,
    endpoints: Option<&Endpoints>,
    known: Option<&Hosts>,
    sums: &BTreeMap<(Arc<str>, SocketAddr), HostSum>,
) -> Vec<Host> {
    let localities = endpoints.map(|endpoints| endpoints.localities.as_slice());
    let mut hosts = vec![];
    for LocalityEndpoints {
        locality,
        priority,
        weight: _,
        endpoints,
    } in localities.unwrap_or_default()
    {
        hosts.extend(endpoints.iter().map(|endpoint| {
            let sum = sums.get(&(cluster.name.clone(), endpoint.address));
            let known = known.and_then(|known| known.at(endpoint.address));
            Host {
                endpoint: endpoint.clone(),
                locality: locality.clone(),
                priority: *priority,
                is_ejected: known.as_ref().is_some_and(|known| known.is_ejected()),
                is_unwell: known.as_ref().is_some_and(|known| known.is_unwell()),
                sum: sum.copied().unwrap_or_default(),
            }
        }));
    }
    hosts
}

fn limits(cluster: &Cluster) -> [(&'static str, u32); 4] {
    let limits = &cluster.client.limits;
    [
        ("max_connections", limits.max_connections),
        ("max_pending_requests", limits.max_pending_requests),
        ("max_requests", limits.max_requests),
        ("max_retries", limits.max_retries),
    ]
    .map(|(name, limit)| (name, limit.unwrap_or(DEFAULT_LIMIT)))
}

fn write_text(out: &mut String, cluster: &Cluster, hosts: &[Host]) -> std::fmt::Result {
    let name = &cluster.name;
    writeln!(out, "{name}::observability_name::{name}")?;
    for (limit, value) in limits(cluster) {
        writeln!(out, "{name}::default_priority::{limit}::{value}")?;
    }
    writeln!(out, "{name}::added_via_api::true")?;
    for Host {
        endpoint,
        locality,
        priority,
        is_ejected,
        is_unwell,
        sum,
    } in hosts
    {
        let host = format!("{name}::{}", endpoint.address);
        for (stat, _, value) in ROWS {
            writeln!(out, "{host}::{stat}::{}", value(sum))?;
        }
        let outlier = if *is_ejected {
            "/failed_outlier_check"
        } else {
            ""
        };
        let checked = if *is_unwell { "/failed_active_hc" } else { "" };
        let told = match endpoint.health {
            EndpointHealth::Healthy if *is_ejected || *is_unwell => "",
            EndpointHealth::Healthy => "healthy",
            EndpointHealth::Draining => "/eds_status_draining",
            EndpointHealth::Unhealthy => "/failed_eds_health",
        };
        writeln!(out, "{host}::hostname::")?;
        writeln!(out, "{host}::health_flags::{checked}{outlier}{told}")?;
        writeln!(out, "{host}::weight::{}", endpoint.weight)?;
        let Locality {
            region,
            zone,
            subzone,
        } = locality;
        writeln!(out, "{host}::region::{region}")?;
        writeln!(out, "{host}::zone::{zone}")?;
        writeln!(out, "{host}::sub_zone::{subzone}")?;
        writeln!(out, "{host}::canary::false")?;
        writeln!(out, "{host}::priority::{priority}")?;
        writeln!(out, "{host}::success_rate::-1")?;
        writeln!(out, "{host}::local_origin_success_rate::-1")?;
    }
    Ok(())
}

fn cluster_json(cluster: &Cluster, hosts: &[Host]) -> Value {
    let mut thresholds: Map<String, Value> = limits(cluster)
        .into_iter()
        .map(|(name, limit)| (name.to_owned(), limit.into()))
        .collect();
    thresholds.insert("priority".to_owned(), "DEFAULT".into());
    let mut value = json!({
        "name": &*cluster.name,
        "added_via_api": true,
        "host_statuses": hosts.iter().map(host_json).collect::<Vec<_>>(),
        "circuit_breakers": { "thresholds": [thresholds] },
        "observability_name": &*cluster.name,
    });
    if cluster.kind == ClusterKind::Eds
        && let Some(members) = value.as_object_mut()
    {
        members.insert("eds_service_name".to_owned(), (&*cluster.name).into());
    }
    value
}

fn host_json(host: &Host) -> Value {
    let Host {
        endpoint,
        locality,
        priority,
        is_ejected,
        is_unwell,
        sum,
    } = host;
    let stats: Vec<Value> = ROWS
        .iter()
        .map(|(name, is_gauge, value)| {
            let mut stat = Map::new();
            stat.insert("name".to_owned(), (*name).into());
            // As protobuf's JSON: 64-bit numbers are texts, and zeros are left out.
            let value = value(sum);
            if value > 0 {
                stat.insert("value".to_owned(), value.to_string().into());
            }
            if *is_gauge {
                stat.insert("type".to_owned(), "GAUGE".into());
            }
            Value::Object(stat)
        })
        .collect();
    let health = match endpoint.health {
        EndpointHealth::Healthy => "HEALTHY",
        EndpointHealth::Draining => "DRAINING",
        EndpointHealth::Unhealthy => "UNHEALTHY",
    };
    let mut status = Map::new();
    if *is_unwell {
        status.insert("failed_active_health_check".to_owned(), true.into());
    }
    if *is_ejected {
        status.insert("failed_outlier_check".to_owned(), true.into());
    }
    status.insert("eds_health_status".to_owned(), health.into());
    json!({
        "address": address(endpoint.address),
        "stats": stats,
        "health_status": status,
        "weight": endpoint.weight,
        "priority": priority,
        "locality": {
            "region": &*locality.region,
            "zone": &*locality.zone,
            "sub_zone": &*locality.subzone,
        },
    })
}
