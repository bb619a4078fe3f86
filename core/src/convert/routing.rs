//! RouteRules and DestinationPolicies together: one VirtualService for the rules of a host, and one DestinationRule for its versions.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::destination_policy::{self, Policy};
use super::route_rule::{self, Body, Rule};
use super::services::{Host, Labels, subset_name};
use super::{Converted, Converter, LegacyKind, Source};

/// A namespace and a host's full name.
type Key<'a> = (&'a str, String);

/// What becomes the DestinationRule of a host.
struct Versions {
    host: Host,
    /// Each version with its own policy, in the order in which they are first named.
    subsets: Vec<(Labels, Option<Value>)>,
    traffic_policy: Option<Value>,
    sources: Vec<usize>,
}

/// Converts all of them.
pub(super) fn convert(converter: &Converter<'_>) -> Vec<Converted> {
    let mut rules: BTreeMap<Key<'_>, Vec<Rule>> = BTreeMap::new();
    let mut versions: BTreeMap<Key<'_>, Versions> = BTreeMap::new();
    for (source, spec) in converter.of(LegacyKind::RouteRule) {
        let namespace = converter.objects[source.position].namespace.as_ref();
        let Some(rule) = route_rule::convert(converter, source, &spec) else {
            continue;
        };
        for (host, labels) in &rule.versions {
            if !labels.is_empty() {
                let key = (namespace, host.full.clone());
                let known = versions.entry(key).or_insert_with(|| Versions::of(host));
                known.subset(labels, rule.position);
            }
        }
        let key = (namespace, rule.host.full.clone());
        rules.entry(key).or_default().push(rule);
    }
    for (source, spec) in converter.of(LegacyKind::DestinationPolicy) {
        let namespace = converter.objects[source.position].namespace.as_ref();
        if let Some(policy) = destination_policy::convert(converter, source, &spec) {
            let key = (namespace, policy.host.full.clone());
            let known = versions.entry(key);
            known
                .or_insert_with(|| Versions::of(&policy.host))
                .add(policy);
        }
    }
    let rules = rules.into_values();
    let mut converted: Vec<Converted> = rules
        .filter_map(|rules| virtual_service(converter, rules))
        .collect();
    let versions = versions.into_values();
    converted.extend(versions.filter_map(|versions| versions.destination_rule(converter)));
    converted
}

/// All rules of a host. The one of the highest precedence is asked first; of equals the first, but one that takes everything comes last.
fn virtual_service(converter: &Converter<'_>, mut rules: Vec<Rule>) -> Option<Converted> {
    let sources: Vec<usize> = rules.iter().map(|rule| rule.position).collect();
    rules.sort_by_key(|rule| (std::cmp::Reverse(rule.precedence), rule.takes_all));
    let host = rules.first()?.host.clone();
    let (mut http, mut tcp) = (Vec::new(), Vec::new());
    for rule in rules {
        match rule.body {
            Body::Http(entry) => http.push(entry),
            Body::Tcp(entry) => tcp.push(entry),
        }
    }
    let mut spec = Map::new();
    spec.insert("hosts".into(), json!([host.text]));
    for (name, entries) in [("http", http), ("tcp", tcp)] {
        if !entries.is_empty() {
            spec.insert(name.into(), entries.into());
        }
    }
    let kind = ("networking.istio.io/v1", "VirtualService");
    converter.joined(kind, &host.object_name(), sources, spec.into())
}

// === impl Versions ===

impl Versions {
    fn of(host: &Host) -> Self {
        Self {
            host: host.clone(),
            subsets: Vec::new(),
            traffic_policy: None,
            sources: Vec::new(),
        }
    }

    fn subset(&mut self, labels: &Labels, source: usize) -> &mut Option<Value> {
        self.sources.push(source);
        let known = self.subsets.iter().position(|(known, _)| known == labels);
        let index = known.unwrap_or_else(|| {
            self.subsets.push((labels.clone(), None));
            self.subsets.len() - 1
        });
        &mut self.subsets[index].1
    }

    fn add(&mut self, policy: Policy) {
        let Policy {
            position,
            host: _,
            labels,
            traffic_policy,
        } = policy;
        let of = if labels.is_empty() {
            self.sources.push(position);
            &mut self.traffic_policy
        } else {
            self.subset(&labels, position)
        };
        merge(of.get_or_insert_with(|| json!({})), traffic_policy);
    }

    fn destination_rule(self, converter: &Converter<'_>) -> Option<Converted> {
        let mut spec = Map::new();
        spec.insert("host".into(), json!(self.host.text));
        if let Some(policy) = self.traffic_policy {
            spec.insert("trafficPolicy".into(), policy);
        }
        let subsets = self.subsets.into_iter().map(|(labels, policy)| {
            let mut subset = json!({"name": subset_name(&labels), "labels": labels});
            if let Some(policy) = policy {
                subset["trafficPolicy"] = policy;
            }
            subset
        });
        let subsets: Vec<Value> = subsets.collect();
        if !subsets.is_empty() {
            spec.insert("subsets".into(), subsets.into());
        }
        let kind = ("networking.istio.io/v1", "DestinationRule");
        let name = self.host.object_name();
        converter.joined(kind, &name, self.sources, spec.into())
    }
}

/// Adds the settings of a later policy; where both say something, the first counts.
fn merge(policy: &mut Value, later: Value) {
    if let (Value::Object(policy), Value::Object(later)) = (policy, later) {
        for (name, value) in later {
            policy.entry(name).or_insert(value);
        }
    }
}

// === impl Converter ===

impl Converter<'_> {
    /// A new object that comes from several old ones; the first gives labels and annotations.
    fn joined(
        &self,
        kind: (&str, &str),
        name: &str,
        mut sources: Vec<usize>,
        spec: Value,
    ) -> Option<Converted> {
        sources.sort_unstable();
        sources.dedup();
        let position = *sources.first()?;
        let source = Source {
            position,
            legacy: &self.objects[position],
        };
        Some(Converted {
            value: self.object(kind, (source, name), spec),
            sources,
        })
    }
}
