//! Weights of destinations that do not mean what they seem to (MESH0009).

use std::collections::BTreeMap;

use crate::analyze::context::Context;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::model::Destination;
use crate::resource::Resource;

pub(super) const RULE: Rule = Rule {
    name: "mesh.WeightAnalyzer",
    summary: "weights of destinations are shares of 100",
    codes: &["MESH0009"],
    check,
};

/// The smallest weight that is taken for a percentage.
const PERCENTAGE: i32 = 10;

/// A destination with its weight as it is written.
type Weighted<'v> = (&'v Destination, Option<i32>);

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    for (resource, object) in context.virtual_services() {
        let http = object.http.iter().map(|rule| {
            let routes = rule.route.iter();
            routes.map(|it| (&it.destination, it.weight)).collect()
        });
        let tls = object.tls.iter().map(|rule| {
            let routes = rule.route.iter();
            routes.map(|it| (&it.destination, it.weight)).collect()
        });
        let tcp = object.tcp.iter().map(|rule| {
            let routes = rule.route.iter();
            routes.map(|it| (&it.destination, it.weight)).collect()
        });
        check_rules("http", http, resource, findings);
        check_rules("tls", tls, resource, findings);
        check_rules("tcp", tcp, resource, findings);
    }
}

fn check_rules<'v>(
    kind: &str,
    rules: impl Iterator<Item = Vec<Weighted<'v>>>,
    resource: &Resource,
    findings: &mut Vec<Diagnostic>,
) {
    for (position, routes) in rules.enumerate() {
        let path = FieldPath::root().key("spec").key(kind).index(position);
        if let Some((at, message, hint)) = problem(&routes) {
            let path = match at {
                Some(at) => path.key("route").index(at).key("weight"),
                None => path.key("route"),
            };
            let mut found = finding("MESH0009", Level::Warning, resource, path, message);
            found.hint = Some(hint.to_owned());
            findings.push(found);
        }
    }
}

/// What is wrong first: of which destination if it is of one, in words, and what to do.
fn problem(routes: &[Weighted<'_>]) -> Option<(Option<usize>, String, &'static str)> {
    if let [(_, Some(weight))] = routes {
        return (![0, 100].contains(weight)).then(|| {
            (
                Some(0),
                format!("the only destination gets all requests, whatever its weight of {weight}"),
                "add the destination that gets the rest, or leave the weight out",
            )
        });
    }
    let mut seen: BTreeMap<(&str, &str, u32), usize> = BTreeMap::new();
    for (at, (destination, _)) in routes.iter().enumerate() {
        let subset = destination.subset.as_deref().unwrap_or_default();
        let port = destination.port.as_ref().map_or(0, |port| port.number);
        let key = (destination.host.as_str(), subset, port);
        if let Some(earlier) = seen.insert(key, at) {
            return Some((
                Some(at),
                format!("route[{earlier}] has the same destination: its share is the sum of both"),
                "name each destination once",
            ));
        }
    }
    let sum: i64 = routes
        .iter()
        .map(|(_, weight)| i64::from(weight.unwrap_or_default()))
        .sum();
    let is_partial = routes.iter().any(|(_, weight)| weight.is_none());
    if sum > 0 && is_partial {
        let at = routes.iter().position(|(_, weight)| weight.is_none());
        return Some((
            at,
            "a destination without a weight beside others gets no request".to_owned(),
            "give it a weight, or remove it",
        ));
    }
    // Small numbers are meant as they are: 1 to 2.
    let are_percentages = routes
        .iter()
        .any(|(_, weight)| weight.is_some_and(|weight| weight >= PERCENTAGE));
    (routes.len() > 1 && are_percentages && sum != 100).then(|| {
        (
            None,
            format!("the weights sum up to {sum}: each is a share of this sum, not of 100"),
            "let them sum up to 100",
        )
    })
}
