//! What HTTPRoutes and GRPCRoutes have alike: rules for requests, in the words of a VirtualService.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::parents::RouteTarget;
use crate::model::gateway_api::TextMatchType;
use crate::resource::Resource;

/// The conditions of rules, each with its rule, in an order; a rule without any takes everything.
pub(super) fn conditions<'a, R, M, K: Ord>(
    rules: &'a [R],
    of: impl Fn(&'a R) -> &'a [M],
    everything: &'a [M],
    order: impl Fn(&M) -> K,
) -> Vec<(&'a R, &'a M)> {
    let mut all: Vec<(&R, &M)> = rules
        .iter()
        .flat_map(|rule| {
            let matches = match of(rule) {
                [] => everything,
                matches => matches,
            };
            matches.iter().map(move |condition| (rule, condition))
        })
        .collect();
    all.sort_by_key(|(_, condition)| order(condition));
    all
}

/// Conditions on texts by their names. Of several on one name the first counts.
pub(super) fn texts<'a>(
    conditions: impl Iterator<Item = (String, Option<TextMatchType>, &'a str)>,
) -> Value {
    let mut all = Map::new();
    for (name, kind, value) in conditions {
        all.entry(name).or_insert_with(|| match kind {
            Some(TextMatchType::RegularExpression) => json!({"regex": value}),
            Some(TextMatchType::Exact) | None => json!({"exact": value}),
        });
    }
    all.into()
}

/// The rule in whose place requests are answered with an error, as the Gateway API asks where a rule cannot be obeyed.
pub(super) fn refused(rule: &Value) -> Value {
    json!({"match": rule["match"], "directResponse": {"status": 500}})
}

/// The VirtualServices of a route with these rules.
pub(super) fn virtual_services(
    resource: &Arc<Resource>,
    targets: &[RouteTarget],
    rules: &[Value],
) -> Vec<Arc<Resource>> {
    let made = targets.iter().enumerate().filter_map(|(index, target)| {
        let rules = match target.ports.as_slice() {
            [] => rules.to_vec(),
            ports => ports
                .iter()
                .flat_map(|port| rules.iter().map(|rule| at_port(rule, *port)))
                .collect(),
        };
        target.virtual_service(resource, &index.to_string(), "http", &rules)
    });
    made.collect()
}

/// A rule for requests to one port only.
fn at_port(rule: &Value, port: i32) -> Value {
    let mut rule = rule.clone();
    for condition in rule["match"].as_array_mut().into_iter().flatten() {
        condition["port"] = port.into();
    }
    rule
}
