//! Traffic as proxies count it: who sent how much to whom, how it ended, and how long it took.
//!
//! ```text
//! scrape of a proxy --parse--> Traffic --since(earlier)--> Traffic of a stretch of time --merge--> of all proxies
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Histogram, Sample, samples};

const REQUESTS: &str = "istio_requests_total";
const DURATIONS: &str = "istio_request_duration_milliseconds_bucket";
const OPENED: &str = "istio_tcp_connections_opened_total";
const SENT: &str = "istio_tcp_sent_bytes_total";
const RECEIVED: &str = "istio_tcp_received_bytes_total";

/// Counters by who talks to whom.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Traffic(BTreeMap<Flow, Counts>);

/// A direction between two workloads, as one of their proxies counts it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// Whether the sender's proxy counts; else the receiver's.
    pub by_source: bool,
    /// Who sends.
    pub source: Peer,
    /// Who receives.
    pub destination: Peer,
    /// The host that was asked for.
    pub host: Arc<str>,
    /// Name of the service.
    pub service: Arc<str>,
    /// Namespace of the service.
    pub service_namespace: Arc<str>,
    /// Whether it was mutual TLS, where that is known: by the receiver's proxy.
    pub mutual_tls: Option<bool>,
    /// `http`, `grpc` or `tcp`.
    pub protocol: Arc<str>,
}

/// A workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Peer {
    /// Name of the workload; empty if nobody knows it.
    pub workload: Arc<str>,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// The application that it is of.
    pub app: Arc<str>,
    /// Its version.
    pub version: Arc<str>,
    /// Its identity, by a verified certificate; empty if there was none.
    pub principal: Arc<str>,
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// Requests.
    pub requests: u64,
    /// Those that failed: 5xx, or no answer; of gRPC those with a status of the server's fault.
    pub failed: u64,
    /// Requests by code.
    pub codes: BTreeMap<u16, u64>,
    /// Requests by flags, without those that have none.
    pub flags: BTreeMap<Arc<str>, u64>,
    /// Milliseconds.
    pub durations: Histogram,
    /// Connections (TCP) that were opened.
    pub connections: u64,
    /// Bytes (TCP) from the sender to the receiver.
    pub sent: u64,
    /// Bytes (TCP) from the receiver to the sender.
    pub received: u64,
}

// === impl Traffic ===

impl Traffic {
    /// Reads a scrape in Prometheus' text format.
    pub fn parse(text: &str) -> Self {
        let mut traffic = Self::default();
        let wanted = [REQUESTS, DURATIONS, OPENED, SENT, RECEIVED];
        for sample in samples(text, &wanted) {
            if let Some(count) = sample.count() {
                let counts = traffic.0.entry(Flow::of(&sample)).or_default();
                counts.add(&sample, count);
            }
        }
        traffic
    }

    /// What was counted since an earlier reading of the same proxy.
    pub fn since(&self, before: &Traffic) -> Traffic {
        let none = Counts::default();
        let flows = self.0.iter().map(|(flow, counts)| {
            let earlier = before.0.get(flow).unwrap_or(&none);
            (flow.clone(), counts.since(earlier))
        });
        Traffic(flows.filter(|(_, counts)| counts.is_some()).collect())
    }

    /// Adds what another proxy has counted.
    pub fn merge(&mut self, other: Traffic) {
        for (flow, counts) in other.0 {
            self.0.entry(flow).or_default().merge(&counts);
        }
    }

    /// Leaves what is wanted.
    pub fn keep(&mut self, wanted: impl Fn(&Flow) -> bool) {
        self.0.retain(|flow, _| wanted(flow));
    }

    /// All of it.
    pub fn flows(&self) -> impl Iterator<Item = (&Flow, &Counts)> {
        self.0.iter()
    }
}

// === impl Flow ===

impl Flow {
    fn of(sample: &Sample<'_>) -> Self {
        let label = |name: &str| known(sample.label(name));
        let peer = |side: &str| {
            let of = |what: &str| known(sample.label(&format!("{side}_{what}")));
            Peer {
                workload: of("workload"),
                namespace: of("workload_namespace"),
                app: of("canonical_service"),
                version: of("canonical_revision"),
                principal: of("principal"),
            }
        };
        let protocol = match label("request_protocol") {
            protocol if protocol.is_empty() => "tcp".into(),
            protocol => protocol,
        };
        Self {
            by_source: sample.label("reporter") == "source",
            source: peer("source"),
            destination: peer("destination"),
            host: label("destination_service"),
            service: label("destination_service_name"),
            service_namespace: label("destination_service_namespace"),
            mutual_tls: match sample.label("connection_security_policy") {
                "mutual_tls" => Some(true),
                "none" => Some(false),
                _ => None,
            },
            protocol,
        }
    }
}

// === impl Peer ===

impl Peer {
    /// `WORKLOAD.NAMESPACE`, or `unknown`.
    pub fn name(&self) -> String {
        match (&*self.workload, &*self.namespace) {
            ("", "") => "unknown".to_owned(),
            ("", namespace) => format!("unknown.{namespace}"),
            (workload, namespace) => format!("{workload}.{namespace}"),
        }
    }
}

// === impl Counts ===

impl Counts {
    fn add(&mut self, sample: &Sample<'_>, count: u64) {
        match sample.name {
            OPENED => self.connections += count,
            SENT => self.sent += count,
            RECEIVED => self.received += count,
            DURATIONS => self.durations.add(sample.label("le"), count),
            _ => {
                let code = sample.label("response_code").parse().unwrap_or(0);
                self.requests += count;
                *self.codes.entry(code).or_default() += count;
                if is_failure(code, sample.label("grpc_response_status")) {
                    self.failed += count;
                }
                let flags = known(sample.label("response_flags"));
                if !flags.is_empty() {
                    *self.flags.entry(flags).or_default() += count;
                }
            }
        }
    }

    /// Adds others.
    pub fn merge(&mut self, other: &Counts) {
        self.requests += other.requests;
        self.failed += other.failed;
        for (code, count) in &other.codes {
            *self.codes.entry(*code).or_default() += count;
        }
        for (flags, count) in &other.flags {
            *self.flags.entry(flags.clone()).or_default() += count;
        }
        self.durations.merge(&other.durations);
        self.connections += other.connections;
        self.sent += other.sent;
        self.received += other.received;
    }

    /// Of 100 requests, those that did not fail; none without requests.
    pub fn success(&self) -> Option<f64> {
        let good = self.requests.saturating_sub(self.failed) as f64;
        (self.requests > 0).then(|| good * 100.0 / self.requests as f64)
    }

    fn is_some(&self) -> bool {
        self.requests > 0 || self.connections > 0 || self.sent > 0 || self.received > 0
    }

    /// A counter that is lower than before was started anew in between.
    fn since(&self, before: &Counts) -> Counts {
        if self.requests < before.requests || self.connections < before.connections {
            return self.clone();
        }
        let maps = |now: &BTreeMap<u16, u64>, then: &BTreeMap<u16, u64>| {
            let more = now.iter().map(|(code, count)| {
                (
                    *code,
                    count.saturating_sub(then.get(code).copied().unwrap_or(0)),
                )
            });
            more.filter(|(_, count)| *count > 0).collect()
        };
        let flags = self.flags.iter().map(|(flags, count)| {
            let then = before.flags.get(flags).copied().unwrap_or(0);
            (flags.clone(), count.saturating_sub(then))
        });
        Counts {
            requests: self.requests - before.requests,
            failed: self.failed.saturating_sub(before.failed),
            codes: maps(&self.codes, &before.codes),
            flags: flags.filter(|(_, count)| *count > 0).collect(),
            durations: self.durations.since(&before.durations),
            connections: self.connections - before.connections,
            sent: self.sent.saturating_sub(before.sent),
            received: self.received.saturating_sub(before.received),
        }
    }
}

/// A label's value, empty where nobody knew one.
fn known(value: &str) -> Arc<str> {
    match value {
        "unknown" | "-" => "".into(),
        value => value.into(),
    }
}

/// Of gRPC the statuses that are the server's fault; of HTTP 5xx, and requests without an answer.
fn is_failure(code: u16, grpc: &str) -> bool {
    // UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, DATA_LOSS.
    let by_status = matches!(grpc, "2" | "4" | "13" | "14" | "15");
    code == 0 || (500..600).contains(&code) || by_status
}
