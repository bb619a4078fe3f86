//! The proxies' own counters: reading what was sent to one host from a scrape, and what was added between two.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Section;
use crate::metrics::{Histogram, samples};

const REQUESTS: &str = "istio_requests_total";
const DURATIONS: &str = "istio_request_duration_milliseconds_bucket";
const CONNECTIONS: &str = "istio_tcp_connections_opened_total";

/// What one proxy has counted of the requests, or connections, that it sent to a host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters {
    requests: BTreeMap<Series, u64>,
    durations: BTreeMap<Series, Histogram>,
}

/// Requests of several proxies in a stretch of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally(Counters);

/// Where requests went and how they ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Series {
    pub(super) service: Arc<str>,
    pub(super) workload: Arc<str>,
    pub(super) namespace: Arc<str>,
    pub(super) version: Arc<str>,
    pub(super) failed: bool,
}

// === impl Counters ===

impl Counters {
    /// Reads what was sent to some hosts out of a scrape in Prometheus' text format, as the senders count it: requests, or
    /// connections where rules of TCP are shifted.
    pub fn parse(text: &str, hosts: &[Arc<str>], section: Section) -> Self {
        let wanted: &[&str] = match section {
            Section::Tcp => &[CONNECTIONS],
            Section::Http | Section::Rules => &[REQUESTS, DURATIONS],
        };
        let mut counters = Self::default();
        for sample in samples(text, wanted) {
            let service = sample.label("destination_service");
            let host = hosts.iter().find(|host| host.eq_ignore_ascii_case(service));
            let Some(host) = host.filter(|_| sample.label("reporter") == "source") else {
                continue;
            };
            let Some(count) = sample.count() else {
                continue;
            };
            let code: u16 = sample.label("response_code").parse().unwrap_or(0);
            let series = Series {
                service: host.clone(),
                workload: sample.label("destination_workload").into(),
                namespace: sample.label("destination_workload_namespace").into(),
                version: sample.label("destination_version").into(),
                failed: section != Section::Tcp && (code == 0 || (500..600).contains(&code)),
            };
            if sample.name == DURATIONS {
                let durations = counters.durations.entry(series).or_default();
                durations.add(sample.label("le"), count);
            } else {
                *counters.requests.entry(series).or_default() += count;
            }
        }
        counters
    }
}

// === impl Tally ===

impl Tally {
    /// Adds what a proxy counted between two scrapes. A counter that is lower than before was started anew in between.
    pub fn add(&mut self, before: &Counters, after: &Counters) {
        for (series, count) in &after.requests {
            let earlier = before.requests.get(series).copied().unwrap_or(0);
            let more = if *count >= earlier {
                count - earlier
            } else {
                *count
            };
            if more > 0 {
                *self.0.requests.entry(series.clone()).or_default() += more;
            }
        }
        let none = Histogram::default();
        for (series, durations) in &after.durations {
            let more = durations.since(before.durations.get(series).unwrap_or(&none));
            self.0
                .durations
                .entry(series.clone())
                .or_default()
                .merge(&more);
        }
    }

    /// All requests.
    pub fn total(&self) -> u64 {
        self.0.requests.values().sum()
    }

    pub(super) fn series(&self) -> impl Iterator<Item = (&Series, u64)> {
        self.0
            .requests
            .iter()
            .map(|(series, count)| (series, *count))
    }

    pub(super) fn durations(&self) -> impl Iterator<Item = (&Series, &Histogram)> {
        self.0.durations.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "reviews.default.svc.cluster.local";

    fn line(workload: &str, code: u16, reporter: &str, count: &str) -> String {
        format!(
            r#"istio_requests_total{{reporter="{reporter}",destination_workload="{workload}",destination_workload_namespace="default",destination_version="v1",destination_service="{HOST}",response_code="{code}",source_principal="a\"b\\,}}"}} {count}"#
        )
    }

    fn parse(text: &str, host: &str) -> Counters {
        Counters::parse(text, &[host.into()], Section::Http)
    }

    #[test]
    fn requests_are_counted_as_their_senders_count_them() {
        let text = [
            "# TYPE istio_requests_total counter".to_owned(),
            line("reviews-v1", 200, "source", "7"),
            line("reviews-v1", 200, "source", "3 1700000000000"),
            line("reviews-v1", 200, "destination", "100"),
            line("reviews-v1", 503, "source", "1e1"),
            line("reviews-v1", 200, "source", "NaN"),
            "istio_requests_total{broken".to_owned(),
            "istio_requests_total_other{} 5".to_owned(),
        ]
        .join("\n");
        let counters = parse(&text, HOST);
        let counts: Vec<(bool, u64)> = counters
            .requests
            .iter()
            .map(|(key, n)| (key.failed, *n))
            .collect();
        assert_eq!(counts, [(false, 10), (true, 10)]);
        assert_eq!(parse(&text, "ratings"), Counters::default());
    }

    #[test]
    fn connections_count_where_tcp_is_shifted() {
        let text = format!(
            r#"istio_tcp_connections_opened_total{{reporter="source",destination_workload="echo-v1",destination_service="{HOST}"}} 4"#
        );
        let mut tally = Tally::default();
        let counters = Counters::parse(&text, &[HOST.into()], Section::Tcp);
        tally.add(&Counters::default(), &counters);
        let counts: Vec<(bool, u64)> = tally.series().map(|(key, n)| (key.failed, n)).collect();
        assert_eq!(counts, [(false, 4)]);
    }

    #[test]
    fn only_what_was_added_counts() {
        let at = |count: &str| parse(&line("reviews-v1", 200, "source", count), HOST);
        let mut tally = Tally::default();
        tally.add(&at("5"), &at("7"));
        tally.add(&Counters::default(), &at("3"));
        // The proxy was started anew.
        tally.add(&at("100"), &at("4"));
        assert_eq!(tally.total(), 2 + 3 + 4);
    }
}
