//! Sums over workers, labels, bounds, and series that come and go.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mesh_ir::{Direction, Workload};

use super::*;
use crate::record::ResponseFlags;

fn peer(name: &str) -> Option<Arc<Peer>> {
    let workload = Workload {
        name: name.into(),
        namespace: "default".into(),
        canonical_name: "reviews".into(),
        canonical_revision: "v1".into(),
        cluster: "Kubernetes".into(),
    };
    Some(Arc::new(Peer::from(&workload)))
}

fn key(name: &str) -> SeriesKey {
    SeriesKey {
        direction: Direction::Outbound,
        source: None,
        destination: peer(name),
        service: Some(Service {
            host: "reviews.default.svc.cluster.local".into(),
            name: "reviews".into(),
            namespace: "default".into(),
        }),
        source_principal: None,
        destination_principal: None,
        security: Security::Unknown,
        tags: None,
    }
}

fn ok() -> Outcome {
    Outcome::http(200, ResponseFlags::default())
}

fn istio(metrics: &Metrics) -> String {
    let mut out = String::new();
    metrics
        .snapshot(Instant::now())
        .write_istio(&mut out)
        .unwrap();
    out
}

/// The value of the one line that contains all the words.
#[track_caller]
fn value(text: &str, words: &[&str]) -> String {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| words.iter().all(|word| line.contains(word)))
        .collect();
    assert_eq!(lines.len(), 1, "{words:?} in {text}");
    lines[0].rsplit(' ').next().unwrap().to_owned()
}

#[test]
fn workers_are_summed() {
    let metrics = Metrics::new();
    for _ in 0..2 {
        let worker = metrics.worker();
        let series = worker.series(&key("reviews-v1"));
        series.record(ok(), Duration::from_micros(700), 10, 2_000);
        series.record(ok(), Duration::from_millis(30), 0, 5);
        let failed = Outcome::http(503, ResponseFlags::default());
        series.record(failed, Duration::from_secs(7200), 0, 5);
    }
    let text = istio(&metrics);
    assert_eq!(value(&text, &["istio_requests_total{", "\"200\""]), "4");
    assert_eq!(value(&text, &["istio_requests_total{", "\"503\""]), "2");
    let duration = "istio_request_duration_milliseconds";
    for (le, count) in [
        ("0.5", "0"),
        ("1", "2"),
        ("25", "2"),
        ("50", "4"),
        ("+Inf", "4"),
    ] {
        let le = format!("le=\"{le}\"");
        let bucket = [duration, "_bucket{", "\"200\"", &le];
        assert_eq!(value(&text, &bucket), count, "{le}");
    }
    assert_eq!(value(&text, &[duration, "_sum{", "\"200\""]), "61.4");
    assert_eq!(
        value(&text, &["istio_response_bytes_sum{", "\"200\""]),
        "4010"
    );
    let over = [duration, "_bucket{", "\"503\"", "le=\"3600000\""];
    assert_eq!(value(&text, &over), "0");
}

#[test]
fn labels_are_those_of_istio() {
    let metrics = Metrics::new();
    let series = metrics.worker().series(&key("reviews\"v1"));
    series.record(ok(), Duration::ZERO, 0, 0);
    let text = istio(&metrics);
    let line = text.lines().nth(1).unwrap();
    assert_eq!(
        line,
        "istio_requests_total{reporter=\"source\",source_workload=\"unknown\",source_workload_namespace=\"unknown\",\
         source_principal=\"unknown\",source_app=\"unknown\",source_version=\"unknown\",\
         source_canonical_service=\"unknown\",source_canonical_revision=\"unknown\",source_cluster=\"unknown\",\
         destination_workload=\"reviews\\\"v1\",destination_workload_namespace=\"default\",\
         destination_principal=\"unknown\",destination_app=\"reviews\",destination_version=\"v1\",\
         destination_canonical_service=\"reviews\",destination_canonical_revision=\"v1\",\
         destination_cluster=\"Kubernetes\",destination_service=\"reviews.default.svc.cluster.local\",\
         destination_service_name=\"reviews\",destination_service_namespace=\"default\",request_protocol=\"http\",\
         response_code=\"200\",grpc_response_status=\"\",response_flags=\"-\",\
         connection_security_policy=\"unknown\"} 1"
    );
}

#[test]
fn idle_series_are_forgotten_and_come_back() {
    let metrics = Metrics::with_idle_limit(Duration::from_secs(60));
    let series = metrics.worker().series(&key("a"));
    let start = Instant::now();
    let count = |after: u64| {
        let snapshot = metrics.snapshot(start + Duration::from_secs(after));
        snapshot
            .http
            .values()
            .map(|sum| sum.duration.count())
            .sum::<u64>()
    };
    series.record(ok(), Duration::ZERO, 0, 0);
    assert_eq!([count(0), count(60), count(61), count(62)], [1, 1, 0, 0]);
    series.record(ok(), Duration::ZERO, 0, 0);
    assert_eq!(count(63), 1);
}

#[test]
fn connections_are_counted() {
    let metrics = Metrics::new();
    let series = metrics.worker().series(&key("mongo"));
    let flags = ResponseFlags::default();
    series.record_tcp(
        flags,
        TcpBytes {
            opened: true,
            ..TcpBytes::default()
        },
    );
    let end = TcpBytes {
        closed: true,
        sent: 5,
        received: 7,
        opened: false,
    };
    series.record_tcp(flags, end);
    let text = istio(&metrics);
    for (name, expected) in [
        ("istio_tcp_connections_opened_total{", "1"),
        ("istio_tcp_connections_closed_total{", "1"),
        ("istio_tcp_sent_bytes_total{", "5"),
        ("istio_tcp_received_bytes_total{", "7"),
    ] {
        assert_eq!(value(&text, &[name, "request_protocol=\"tcp\""]), expected);
    }
}

#[test]
fn clusters_keep_what_departed_endpoints_counted() {
    let metrics = Metrics::new();
    let worker = metrics.worker();
    let cluster: Arc<str> = "outbound|80||a".into();
    let host = worker.host(&cluster, ([127, 0, 0, 1], 80).into());
    host.rq_total.inc();
    host.cx_active.inc();
    drop(host);
    for _ in 0..2 {
        let now = metrics.snapshot(Instant::now());
        assert!(now.hosts.is_empty());
        assert_eq!(now.clusters[&cluster].rq_total, 1);
    }
    let stats = metrics.snapshot(Instant::now()).stats();
    let mut text = String::new();
    write_prometheus(&mut text, &stats).unwrap();
    let metric = "envoy_cluster_upstream_rq_total{cluster_name=\"outbound|80||a\"}";
    assert_eq!(value(&text, &[metric]), "1");
}

#[test]
fn outcomes_and_series_are_bounded() {
    let metrics = Metrics::new();
    let worker = metrics.worker();
    let series = worker.series(&key("a"));
    for code in 100..999 {
        series.record(
            Outcome::http(code, ResponseFlags::default()),
            Duration::ZERO,
            0,
            0,
        );
    }
    for index in 0..20_000 {
        let key = key(&format!("w{index}"));
        worker.series(&key).record(ok(), Duration::ZERO, 0, 0);
    }
    let snapshot = metrics.snapshot(Instant::now());
    assert!(
        snapshot.http.len() <= 10_000 + 1 + 65,
        "{}",
        snapshot.http.len()
    );
    let all: u64 = snapshot.http.values().map(|sum| sum.duration.count()).sum();
    assert_eq!(all, 899 + 20_000);
}
