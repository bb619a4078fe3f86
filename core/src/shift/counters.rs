//! The proxies' own counters: reading `istio_requests_total` of one host from a scrape, and what was added between two.

use std::collections::BTreeMap;
use std::sync::Arc;

const METRIC: &str = "istio_requests_total";

/// What one proxy has counted of the requests that it sent to a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters(BTreeMap<Series, u64>);

/// Requests of several proxies in a stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<Series, u64>);

/// Where requests went and how they ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Series {
    pub(super) workload: Arc<str>,
    pub(super) namespace: Arc<str>,
    pub(super) version: Arc<str>,
    pub(super) code: u16,
}

// === impl Counters ===

impl Counters {
    /// Reads the requests to a host out of a scrape in Prometheus' text format, as their senders count them. Lines that are not
    /// understood are skipped: one proxy's odd line must not hide all others.
    pub fn parse(text: &str, host: &str) -> Self {
        let mut counters = Self::default();
        for line in text.lines() {
            if let Some((series, count)) = read(line, host) {
                *counters.0.entry(series).or_default() += count;
            }
        }
        counters
    }
}

// === impl Tally ===

impl Tally {
    /// Adds what a proxy counted between two scrapes. A counter that is lower than before was started anew in between.
    pub fn add(&mut self, before: &Counters, after: &Counters) {
        for (series, count) in &after.0 {
            let earlier = before.0.get(series).copied().unwrap_or(0);
            let more = if *count >= earlier {
                count - earlier
            } else {
                *count
            };
            if more > 0 {
                *self.0.entry(series.clone()).or_default() += more;
            }
        }
    }

    /// Adds another tally.
    pub fn merge(&mut self, other: &Tally) {
        for (series, count) in &other.0 {
            *self.0.entry(series.clone()).or_default() += count;
        }
    }

    /// All requests.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    pub(super) fn series(&self) -> impl Iterator<Item = (&Series, u64)> {
        self.0.iter().map(|(series, count)| (series, *count))
    }
}

fn read(line: &str, host: &str) -> Option<(Series, u64)> {
    let rest = line.trim_start().strip_prefix(METRIC)?;
    let rest = rest.trim_start().strip_prefix('{')?;
    let (labels, rest) = labels(rest)?;
    let label = |name: &str| labels.get(name).map(String::as_str).unwrap_or_default();
    if label("reporter") != "source" || !label("destination_service").eq_ignore_ascii_case(host) {
        return None;
    }
    let value: f64 = rest.split_whitespace().next()?.parse().ok()?;
    // Counts are whole numbers below 2^53.
    let count = (value.is_finite() && value >= 0.0).then_some(value as u64)?;
    let series = Series {
        workload: label("destination_workload").into(),
        namespace: label("destination_workload_namespace").into(),
        version: label("destination_version").into(),
        code: label("response_code").parse().unwrap_or(0),
    };
    Some((series, count))
}

/// The labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Option<(BTreeMap<&str, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (name, after) = rest.split_once('=')?;
        let after = after.trim_start().strip_prefix('"')?;
        let (value, after) = quoted(after)?;
        labels.insert(name.trim(), value);
        rest = after;
    }
}

/// A value up to its closing quote, with the escapes `\\`, `\"` and `\n` undone, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return Some((value, text.get(index + 1..)?)),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
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
        let counters = Counters::parse(&text, HOST);
        let counts: Vec<(u16, u64)> = counters.0.iter().map(|(key, n)| (key.code, *n)).collect();
        assert_eq!(counts, [(200, 10), (503, 10)]);
        assert_eq!(Counters::parse(&text, "ratings"), Counters::default());
    }

    #[test]
    fn only_what_was_added_counts() {
        let at = |count: &str| Counters::parse(&line("reviews-v1", 200, "source", count), HOST);
        let mut tally = Tally::default();
        tally.add(&at("5"), &at("7"));
        tally.add(&Counters::default(), &at("3"));
        // The proxy was started anew.
        tally.add(&at("100"), &at("4"));
        assert_eq!(tally.total(), 2 + 3 + 4);
    }
}
