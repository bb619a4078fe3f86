//! A connection whose bytes are passed through.

use std::net::SocketAddr;
use std::rc::Rc;

use mesh_ir::Direction;
use tokio::time::Instant;

use super::client::Client;
use super::dial;
use super::endpoint::{Active, LocalEndpoint};
use super::http::IDLE;
use super::local::{Worker, WorkerRuntime};
use super::policies::Denied;
use super::scratch::Scratch;
use super::tunnel::{self, Copied};
use super::upstream::{LocalCluster, Wanted};
use crate::health;
use crate::limits::Resource;
use crate::record::{Protocol, Record, ResponseFlags};
use crate::runtime::{Cluster, Tcp};
use crate::telemetry::metrics::TcpBytes;
use crate::tls::Offer;

/// What the record is made from.
struct Outcome {
    begun: Instant,
    copied: Copied,
    flags: ResponseFlags,
    transport_failure: Option<String>,
    /// Why policies deny it.
    denial: Option<String>,
    cluster: Option<Rc<LocalCluster>>,
    endpoint: Option<Rc<LocalEndpoint>>,
    upstream_local: Option<SocketAddr>,
}

/// The cluster that takes a connection.
pub fn cluster(worker: &Worker, runtime: &WorkerRuntime, tcp: &Tcp) -> Option<Rc<LocalCluster>> {
    let total: u64 = tcp
        .config
        .clusters
        .iter()
        .map(|(_, weight)| u64::from(*weight))
        .sum();
    let mut left = worker.random().checked_rem(total)?;
    let index = tcp.config.clusters.iter().position(|(_, weight)| {
        let weight = u64::from(*weight);
        let taken = left < weight;
        left = left.wrapping_sub(weight);
        taken
    })?;
    runtime.cluster((*tcp.clusters.get(index)?)?).cloned()
}

/// Passes a connection through until it ends. `scratch` holds what has come in already. The configuration is let go of as soon as it is
/// clear where the connection goes.
pub async fn serve(
    worker: &Rc<Worker>,
    client: &mut Client,
    runtime: Rc<WorkerRuntime>,
    tcp: &Tcp,
    (direction, destination): (Direction, SocketAddr),
    scratch: Option<Box<Scratch>>,
) {
    let mut outcome = Outcome {
        begun: Instant::now(),
        copied: Copied::default(),
        flags: ResponseFlags::NONE,
        transport_failure: None,
        denial: None,
        cluster: cluster(worker, &runtime, tcp),
        endpoint: None,
        upstream_local: None,
    };
    drop(runtime);
    match outcome.cluster.clone() {
        None => outcome.flags = ResponseFlags::NO_CLUSTER,
        Some(cluster) => {
            let wanted = Wanted {
                destination: Some(destination),
                ..Wanted::default()
            };
            let picked = cluster.pick(wanted, &worker.metrics, || worker.random());
            match picked {
                None => outcome.flags = ResponseFlags::NO_HEALTHY_UPSTREAM,
                Some(endpoint) => {
                    outcome.endpoint = Some(endpoint.clone());
                    pass(
                        worker,
                        client,
                        tcp,
                        (direction, destination),
                        (&cluster, &endpoint),
                        scratch.as_deref(),
                        &mut outcome,
                    )
                    .await;
                }
            }
        }
    }
    if let Some(scratch) = scratch {
        worker.give_back(scratch);
    }
    if outcome.endpoint.is_none() || !outcome.flags.is_empty() {
        count_unserved(worker, client, direction, &outcome);
    }
    let record = record(client, direction, destination, &outcome);
    tcp.telemetry.report(&record, None);
}

/// Leaves the record of a connection that policies deny.
pub fn refuse(
    worker: &Rc<Worker>,
    client: &Client,
    runtime: &WorkerRuntime,
    tcp: &Tcp,
    (direction, destination): (Direction, SocketAddr),
    denied: &Denied,
) {
    let outcome = Outcome {
        begun: Instant::now(),
        copied: Copied::default(),
        flags: denied.flags,
        transport_failure: None,
        denial: Some(denied.details.to_string()),
        cluster: cluster(worker, runtime, tcp),
        endpoint: None,
        upstream_local: None,
    };
    count_unserved(worker, client, direction, &outcome);
    let record = record(client, direction, destination, &outcome);
    tcp.telemetry.report(&record, None);
}

/// Counts a connection that reaches no endpoint.
fn count_unserved(worker: &Rc<Worker>, client: &Client, direction: Direction, outcome: &Outcome) {
    let runtime = worker.runtime();
    let verified = client.tls_facts().filter(|tls| tls.is_mutual());
    let own;
    let series = match (verified, &outcome.cluster) {
        (Some(_), cluster) if direction == Direction::Inbound => {
            let cluster = cluster.as_deref().map(|cluster| &*cluster.cluster);
            own = worker
                .metrics
                .series(direction, cluster, None, (verified, None));
            &own
        }
        (_, Some(cluster)) => cluster.unserved(direction, &worker.metrics),
        (_, None) => runtime.unrouted(direction, &worker.metrics),
    };
    let bytes = TcpBytes {
        opened: true,
        closed: true,
        ..TcpBytes::default()
    };
    series.record_tcp(outcome.flags, bytes);
}

async fn pass(
    worker: &Rc<Worker>,
    client: &mut Client,
    tcp: &Tcp,
    (direction, destination): (Direction, SocketAddr),
    (cluster, endpoint): (&Rc<LocalCluster>, &Rc<LocalEndpoint>),
    scratch: Option<&Scratch>,
    outcome: &mut Outcome,
) {
    let Cluster { config, usage, .. } = &*cluster.cluster;
    let Some(permit) = usage.take(&config.client.limits, Resource::Connections) else {
        endpoint.cells.cx_overflow.inc();
        outcome.flags = ResponseFlags::OVERFLOW;
        return;
    };
    let (limit, slot) = (config.client.connect_timeout, endpoint.slot(permit));
    let mut connection =
        match dial::connect(worker, cluster, endpoint, (slot, Offer::Tcp), limit).await {
            Ok(connection) => connection,
            Err(failure) => {
                endpoint.report(&cluster.cluster, health::outlier::Outcome::Failed);
                outcome.flags = ResponseFlags::CONNECTION_FAILURE;
                outcome.transport_failure = Some(failure.to_string());
                return;
            }
        };
    endpoint.report(&cluster.cluster, health::outlier::Outcome::Connected);
    let _active = Active::new(endpoint);
    endpoint.cells.rq_total.inc();
    outcome.upstream_local = Some(connection.local);
    let tls = client.tls.as_deref();
    let tags = tcp.telemetry.metrics.as_ref();
    let series = match tags {
        None => endpoint.series(direction, &cluster.cluster, &worker.metrics, (tls, None)),
        Some(tags) => {
            let tags = tags.values(&record(client, direction, destination, outcome));
            let facts = tls.map(|tls| &tls.facts);
            let cluster = Some(&*cluster.cluster);
            let metrics = &worker.metrics;
            Rc::new(metrics.tagged(
                direction,
                cluster,
                Some(endpoint),
                (facts, None),
                Some(tags),
            ))
        }
    };
    series.record_tcp(
        ResponseFlags::NONE,
        TcpBytes {
            opened: true,
            ..TcpBytes::default()
        },
    );
    let mut counted = (0, 0);
    let mut count = |up: u64, down: u64| {
        let bytes = TcpBytes {
            received: up - counted.0,
            sent: down - counted.1,
            ..TcpBytes::default()
        };
        series.record_tcp(ResponseFlags::NONE, bytes);
        counted = (up, down);
    };
    let first = scratch.map_or(&[][..], |scratch| scratch.input.filled());
    let idle = tcp.config.idle_timeout.unwrap_or(IDLE);
    let streams = (&mut client.io, &mut connection.io);
    let copied = tunnel::copy(worker, streams.0, streams.1, first, idle, &mut count).await;
    count(copied.up, copied.down);
    series.record_tcp(
        ResponseFlags::NONE,
        TcpBytes {
            closed: true,
            ..TcpBytes::default()
        },
    );
    outcome.copied = copied;
}

fn record<'a>(
    client: &'a Client,
    direction: Direction,
    destination: SocketAddr,
    outcome: &'a Outcome,
) -> Record<'a> {
    Record {
        direction,
        request: None,
        protocol: Protocol::Tcp,
        duration: outcome.begun.elapsed(),
        code: 0,
        flags: outcome.flags,
        details: "",
        termination_details: outcome
            .denial
            .as_deref()
            .or(outcome.copied.idle.then_some("idle_timeout")),
        transport_failure: outcome.transport_failure.as_deref(),
        bytes_received: outcome.copied.up,
        bytes_sent: outcome.copied.down,
        request_head_bytes: 0,
        response_head_bytes: 0,
        response: crate::http1::Fields::default(),
        upstream_service_time: None,
        grpc_status: None,
        upstream_cluster: outcome
            .cluster
            .as_deref()
            .map(|cluster| &**cluster.cluster.name()),
        upstream_host: outcome.endpoint.as_ref().map(|endpoint| endpoint.address),
        upstream_local: outcome.upstream_local,
        downstream_local: destination,
        downstream_remote: client.remote,
        tls: client.tls_facts(),
        upstream_tls: outcome
            .endpoint
            .as_ref()
            .and_then(|endpoint| endpoint.tls_facts()),
        route_name: "",
        attempts: u32::from(outcome.endpoint.is_some()),
        service: outcome.cluster.as_deref().and_then(|cluster| {
            let service = cluster.cluster.config.services.first()?;
            Some(&*service.host)
        }),
        trace: None,
    }
}
