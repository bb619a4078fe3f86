//! Istio's standard metrics in Prometheus' text format.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::{self, Write};
use std::sync::Arc;

use mesh_ir::{Direction, Metric, MetricChange};

use super::Snapshot;
use super::cells::BOUNDS;
use super::key::{Outcome, Peer, Protocol, SeriesKey, Service};
use super::snapshot::{HistogramSum, HttpSum, TcpSum};

/// Value of a label of which nothing is known.
const UNKNOWN: &str = "unknown";

/// The counters of requests and connections with the value that each shows.
type CounterRow<T> = (Metric, fn(&T) -> u64);

const HTTP_COUNTERS: [CounterRow<HttpSum>; 1] =
    [(Metric::RequestCount, |sum| sum.duration.count())];

const TCP_COUNTERS: [CounterRow<TcpSum>; 4] = [
    (Metric::TcpOpenedConnections, |sum| sum.opened),
    (Metric::TcpClosedConnections, |sum| sum.closed),
    (Metric::TcpSentBytes, |sum| sum.sent),
    (Metric::TcpReceivedBytes, |sum| sum.received),
];

type HistogramRow = (Metric, fn(&HttpSum) -> &HistogramSum);

const HISTOGRAMS: [HistogramRow; 3] = [
    (Metric::RequestDuration, |sum| &sum.duration),
    (Metric::RequestSize, |sum| &sum.request_bytes),
    (Metric::ResponseSize, |sum| &sum.response_bytes),
];

/// Series with their labels as they are by default.
struct Labelled<'s, T> {
    labels: String,
    key: &'s SeriesKey,
    outcome: Outcome,
    sum: &'s T,
}

// === impl Snapshot ===

impl Snapshot {
    /// Istio's metrics as Prometheus reads them, one metric after the other.
    pub fn write_istio(&self, out: &mut impl Write) -> fmt::Result {
        let http: Vec<Labelled<'_, HttpSum>> = labelled(&self.http);
        let tcp: Vec<Labelled<'_, TcpSum>> = labelled(&self.tcp);
        for (metric, value) in HTTP_COUNTERS {
            let series = of_metric(&http, metric, HttpSum::merge);
            write_counter(out, metric, &series, value)?;
        }
        for (metric, value) in HISTOGRAMS {
            let series = of_metric(&http, metric, HttpSum::merge);
            let name = name(metric);
            if !series.is_empty() {
                writeln!(out, "# TYPE {name} histogram")?;
            }
            for (labels, sum) in &series {
                write_histogram(out, &name, labels, value(sum))?;
            }
        }
        for (metric, value) in TCP_COUNTERS {
            let series = of_metric(&tcp, metric, TcpSum::merge);
            write_counter(out, metric, &series, value)?;
        }
        Ok(())
    }
}

fn name(metric: Metric) -> String {
    ["istio_", metric.filter_name()].concat()
}

fn labelled<T>(series: &BTreeMap<(SeriesKey, Outcome), T>) -> Vec<Labelled<'_, T>> {
    let series = series.iter();
    let labelled = series.map(|((key, outcome), sum)| Labelled {
        labels: labels(key, *outcome, None),
        key,
        outcome: *outcome,
        sum,
    });
    labelled.collect()
}

/// The series of a metric, without those that do not have it. Those whose labels do not tell them apart any more are one.
fn of_metric<'s, T: Clone>(
    series: &'s [Labelled<'s, T>],
    metric: Metric,
    merge: fn(&mut T, &T),
) -> Vec<(Cow<'s, str>, Cow<'s, T>)> {
    let mut found: Vec<(Cow<'s, str>, Cow<'s, T>)> = Vec::with_capacity(series.len());
    let mut changed: BTreeMap<String, T> = BTreeMap::new();
    for Labelled {
        labels: default,
        key,
        outcome,
        sum,
    } in series
    {
        let tags = key.tags.as_ref();
        let Some(change) = tags.and_then(|tags| tags.policy.changes.get(&metric)) else {
            found.push((Cow::Borrowed(default), Cow::Borrowed(sum)));
            continue;
        };
        if change.dropped {
            continue;
        }
        let labels = labels(key, *outcome, Some(change));
        match changed.entry(labels) {
            Entry::Vacant(free) => {
                free.insert((*sum).clone());
            }
            Entry::Occupied(mut known) => merge(known.get_mut(), sum),
        }
    }
    let changed = changed.into_iter();
    found.extend(changed.map(|(labels, sum)| (Cow::Owned(labels), Cow::Owned(sum))));
    found
}

fn write_counter<T: Clone>(
    out: &mut impl Write,
    metric: Metric,
    series: &[(Cow<'_, str>, Cow<'_, T>)],
    value: fn(&T) -> u64,
) -> fmt::Result {
    let name = name(metric);
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

/// Istio's labels without braces, with the changes of a metric.
fn labels(key: &SeriesKey, outcome: Outcome, change: Option<&MetricChange>) -> String {
    let SeriesKey {
        direction,
        source,
        destination,
        service,
        source_principal,
        destination_principal,
        security,
        tags,
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
    let mut out = Labels {
        text: String::with_capacity(1024),
        change,
    };
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
    let set = change.iter().flat_map(|change| &change.set);
    for (label, expression) in set {
        let values = tags.as_ref().map(|tags| &tags.values);
        let value = values.and_then(|values| values.get(expression));
        out.write(label, or_unknown(value.map_or("", AsRef::as_ref)));
    }
    out.text
}

struct Labels<'c> {
    text: String,
    change: Option<&'c MetricChange>,
}

impl Labels<'_> {
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
            self.put(&[side, "_", suffix].concat(), or_unknown(value));
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

    /// One of Istio's labels, unless it is removed or has another value.
    fn put(&mut self, name: &str, value: &str) {
        let is_other =
            |change: &MetricChange| change.removed.contains(name) || change.set.contains_key(name);
        if !self.change.is_some_and(is_other) {
            self.write(name, value);
        }
    }

    fn write(&mut self, name: &str, value: &str) {
        let text = &mut self.text;
        if !text.is_empty() {
            text.push(',');
        }
        // Labels of others may have characters that Prometheus does not take.
        let is_letter = |char: char| char.is_ascii_alphanumeric() || char == '_';
        text.extend(
            name.chars()
                .map(|char| if is_letter(char) { char } else { '_' }),
        );
        text.push_str("=\"");
        for char in value.chars() {
            match char {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                other => text.push(other),
            }
        }
        text.push('"');
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
