//! One DestinationPolicy as a traffic policy.

use serde_json::{Map, Value, json};

use super::fields::Fields;
use super::services::{Host, Labels};
use super::{Converter, Source};
use crate::diag::Level;

/// A policy, and what it is for.
pub(super) struct Policy {
    pub(super) position: usize,
    pub(super) host: Host,
    /// The version that it is for; the whole service without labels.
    pub(super) labels: Labels,
    pub(super) traffic_policy: Value,
}

/// Reads a DestinationPolicy. None without a destination.
pub(super) fn convert(
    converter: &Converter<'_>,
    source: Source<'_>,
    spec: &Fields<'_>,
) -> Option<Policy> {
    let target = spec.object("destination");
    let labels = target.as_ref().map(|target| target.words("labels"));
    let host = target
        .as_ref()
        .and_then(|target| Host::of(target, source.namespace(), converter.around));
    let Some(host) = host else {
        spec.note(spec.at("destination"), Level::Error, "names no service");
        return None;
    };
    spec.lost(
        "source",
        "has no counterpart: policies are for all clients, and this one is from now on",
    );
    let mut policy = Map::new();
    if let Some(balancer) = spec
        .object("loadBalancing")
        .and_then(|fields| balancer(&fields))
    {
        policy.insert("loadBalancer".into(), json!({"simple": balancer}));
    }
    let breaker = spec.object("circuitBreaker");
    if let Some(breaker) = breaker.and_then(|fields| fields.object("simpleCb")) {
        circuit_breaker(&breaker, &mut policy);
    }
    Some(Policy {
        position: source.position,
        host,
        labels: labels.unwrap_or_default(),
        traffic_policy: policy.into(),
    })
}

fn balancer(fields: &Fields<'_>) -> Option<&'static str> {
    Some(match fields.value("name")?.as_str() {
        Some("ROUND_ROBIN") => "ROUND_ROBIN",
        Some("RANDOM") => "RANDOM",
        Some("LEAST_CONN") => "LEAST_REQUEST",
        _ => {
            let message = "expected ROUND_ROBIN, LEAST_CONN or RANDOM";
            fields.note(fields.at("name"), Level::Error, message);
            return None;
        }
    })
}

/// Old names of counts with today's.
type Names = &'static [(&'static str, &'static str)];

const TCP: Names = &[("maxConnections", "maxConnections")];
const HTTP: Names = &[
    ("httpMaxPendingRequests", "http1MaxPendingRequests"),
    ("httpMaxRequests", "http2MaxRequests"),
    ("httpMaxRequestsPerConnection", "maxRequestsPerConnection"),
    ("httpMaxRetries", "maxRetries"),
];
const OUTLIERS: Names = &[
    ("httpConsecutiveErrors", "consecutive5xxErrors"),
    ("httpMaxEjectionPercent", "maxEjectionPercent"),
];
const TIMES: Names = &[
    ("httpDetectionInterval", "interval"),
    ("sleepWindow", "baseEjectionTime"),
];

fn circuit_breaker(fields: &Fields<'_>, policy: &mut Map<String, Value>) {
    let counts = |names: Names| -> Map<String, Value> {
        let pair = |(old, new): &(&str, &str)| Some(((*new).to_owned(), fields.count(old)?.into()));
        names.iter().filter_map(pair).collect()
    };
    let (tcp, http) = (counts(TCP), counts(HTTP));
    let mut pool = Map::new();
    for (name, settings) in [("tcp", tcp), ("http", http)] {
        if !settings.is_empty() {
            pool.insert(name.into(), settings.into());
        }
    }
    if !pool.is_empty() {
        policy.insert("connectionPool".into(), pool.into());
    }
    let mut outliers = counts(OUTLIERS);
    for (old, new) in TIMES {
        if let Some(time) = fields.text(old) {
            outliers.insert((*new).to_owned(), time.into());
        }
    }
    if !outliers.is_empty() {
        policy.insert("outlierDetection".into(), outliers.into());
    }
}
