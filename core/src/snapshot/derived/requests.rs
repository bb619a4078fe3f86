//! What HTTPRoutes and GRPCRoutes have alike: rules for requests, in the words of a VirtualService.

use serde_json::{Map, Value, json};

use crate::model::gateway_api::TextMatchType;

/// The conditions of rules, each with its rule; a rule without any takes everything.
pub(super) fn conditions<'a, R, M>(
    rules: &'a [R],
    of: impl Fn(&'a R) -> &'a [M],
    everything: &'a [M],
) -> impl Iterator<Item = (&'a R, &'a M)> {
    rules.iter().flat_map(move |rule| {
        let matches = match of(rule) {
            [] => everything,
            matches => matches,
        };
        matches.iter().map(move |condition| (rule, condition))
    })
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
