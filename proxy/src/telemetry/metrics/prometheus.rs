//! Istio's standard metrics in Prometheus' text format.

use std::fmt::{self, Write};
use std::sync::Arc;

use mesh_ir::Direction;

use super::Snapshot;
use super::cells::BOUNDS;
use super::key::{Outcome, Peer, Protocol, SeriesKey, Service};
use super::snapshot::{HistogramSum, HttpSum, TcpSum};

/// Value of a label of which nothing is known.
const UNKNOWN: &str = "unknown";

/// The counters of requests and connections with the value that each shows.
type CounterRow<T> = (&'static str, fn(&T) -> u64);

const HTTP_COUNTERS: [CounterRow<HttpSum>; 1] =
    [("istio_requests_total", |sum| sum.duration.count())];

const TCP_COUNTERS: [CounterRow<TcpSum>; 4] = [
    ("istio_tcp_connections_opened_total", |sum| sum.opened),
    ("istio_tcp_connections_closed_total", |sum| sum.closed),
    ("istio_tcp_sent_bytes_total", |sum| sum.sent),
    ("istio_tcp_received_bytes_total", |sum| sum.received),
];

type HistogramRow = (&'static str, fn(&HttpSum) -> &HistogramSum);

const HISTOGRAMS: [HistogramRow; 3] = [
    ("istio_request_duration_milliseconds", |sum| &sum.duration),
    ("istio_request_bytes", |sum| &sum.request_bytes),
    ("istio_response_bytes", |sum| &sum.response_bytes),
];

// === impl Snapshot ===

impl Snapshot {
    /// Istio's metrics as Prometheus reads them, one metric after the other.
    pub fn write_istio(&self, out: &mut impl Write) -> fmt::Result {
        let http: Vec<(String, &HttpSum)> = labelled(&self.http);
        let tcp: Vec<(String, &TcpSum)> = labelled(&self.tcp);
        for (name, value) in HTTP_COUNTERS {
            write_counter(out, name, &http, value)?;
        }
        for (name, value) in HISTOGRAMS {
            if !http.is_empty() {
                writeln!(out, "# TYPE {name} histogram")?;
            }
            for (labels, sum) in &http {
                write_histogram(out, name, labels, value(sum))?;
            }
        }
        for (name, value) in TCP_COUNTERS {
            write_counter(out, name, &tcp, value)?;
        }
        Ok(())
    }
}

fn labelled<T>(series: &std::collections::BTreeMap<(SeriesKey, Outcome), T>) -> Vec<(String, &T)> {
    series
        .iter()
        .map(|((key, outcome), sum)| (labels(key, *outcome), sum))
        .collect()
}

fn write_counter<T>(
    out: &mut impl Write,
    name: &str,
    series: &[(String, &T)],
    value: fn(&T) -> u64,
) -> fmt::Result {
    if !series.is_empty() {
        writeln!(out, "# TYPE {name} counter")?;
    }
    for (labels, sum) in series {
        writeln!(out, "{name}{{{labels}}} {}", value(sum))?;
    }
    Ok(())
}

fn write_histogram(
    out: &mut impl Write,
    name: &str,
    labels: &str,
    sum: &HistogramSum,
) -> fmt::Result {
    let mut below = 0u64;
    for (bound, count) in BOUNDS.iter().zip(sum.buckets) {
        below += count;
        let bound = Thousandths(*bound);
        writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {below}")?;
    }
    let count = sum.count();
    writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {count}")?;
    writeln!(out, "{name}_sum{{{labels}}} {}", Thousandths(sum.sum))?;
    writeln!(out, "{name}_count{{{labels}}} {count}")
}

/// Istio's labels without braces.
fn labels(key: &SeriesKey, outcome: Outcome) -> String {
    let SeriesKey {
        direction,
        source,
        destination,
        service,
        source_principal,
        destination_principal,
        security,
    } = key;
    let Outcome {
        protocol,
        code,
        grpc_status,
        flags,
    } = outcome;
    let reporter = match direction {
        Direction::Outbound => "source",
        Direction::Inbound => "destination",
    };
    let mut out = Labels(String::with_capacity(1024));
    out.put("reporter", reporter);
    out.peer("source", source.as_deref(), source_principal.as_ref());
    out.peer(
        "destination",
        destination.as_deref(),
        destination_principal.as_ref(),
    );
    out.service(service.as_ref());
    out.put("request_protocol", protocol.label());
    if protocol != Protocol::Tcp {
        out.put("response_code", &code.to_string());
        let status = grpc_status.map(|status| status.to_string());
        out.put(
            "grpc_response_status",
            status.as_deref().unwrap_or_default(),
        );
    }
    out.put("response_flags", &flags.to_string());
    out.put("connection_security_policy", security.label());
    out.0
}

struct Labels(String);

impl Labels {
    fn peer(&mut self, side: &str, peer: Option<&Peer>, principal: Option<&Arc<str>>) {
        let workload = peer.map(|peer| &peer.workload);
        for (suffix, value) in [
            ("workload", workload.map(|workload| &workload.name)),
            (
                "workload_namespace",
                workload.map(|workload| &workload.namespace),
            ),
            ("principal", principal),
            ("app", peer.map(|peer| &peer.app)),
            ("version", peer.map(|peer| &peer.version)),
            (
                "canonical_service",
                workload.map(|workload| &workload.canonical_name),
            ),
            (
                "canonical_revision",
                workload.map(|workload| &workload.canonical_revision),
            ),
            ("cluster", workload.map(|workload| &workload.cluster)),
        ] {
            let value = value.map(AsRef::as_ref).unwrap_or_default();
            self.name(&[side, "_", suffix]);
            self.value(or_unknown(value));
        }
    }

    fn service(&mut self, service: Option<&Service>) {
        let (host, name, namespace) = match service {
            Some(Service {
                host,
                name,
                namespace,
            }) => (&**host, &**name, &**namespace),
            None => Default::default(),
        };
        self.put("destination_service", or_unknown(host));
        self.put("destination_service_name", or_unknown(name));
        self.put("destination_service_namespace", or_unknown(namespace));
    }

    fn put(&mut self, name: &str, value: &str) {
        self.name(&[name]);
        self.value(value);
    }

    fn name(&mut self, parts: &[&str]) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.extend(parts.iter().copied());
        self.0.push('=');
    }

    fn value(&mut self, value: &str) {
        self.0.push('"');
        for char in value.chars() {
            match char {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                other => self.0.push(other),
            }
        }
        self.0.push('"');
    }
}

fn or_unknown(value: &str) -> &str {
    if value.is_empty() { UNKNOWN } else { value }
}

/// A number of thousandths as a decimal without superfluous digits.
struct Thousandths(u64);

impl fmt::Display for Thousandths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 1000, self.0 % 1000);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{rest:03}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}
