//! Subsets whose labels no pod has: requests to them are answered with 503 (IST0173).

use crate::analyze::context::Context;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::resource::{Kind, Object, ResourceKey};
use crate::snapshot::{MeshService, is_wildcard};

pub(super) const RULE: Rule = Rule {
    name: "destinationrule.SubsetSelectPodAnalyzer",
    summary: "labels of subsets are labels of pods",
    codes: &["IST0173"],
    check,
};

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    for resource in context.snapshot.resources(Kind::DestinationRule) {
        let Object::DestinationRule(rule) = &resource.object else {
            continue;
        };
        if rule.subsets.is_empty() {
            continue;
        }
        let host = context.expand(&rule.host, &resource.key.namespace);
        let service = context.service(&host, [&*resource.key.namespace]);
        // Whoever serves an unknown host is unknown as well.
        if !is_wildcard(&host) && !service.is_some_and(|service| has_known_pods(context, service)) {
            continue;
        }
        for (position, subset) in rule.subsets.iter().enumerate() {
            if context.workloads().any_with(&subset.labels) {
                continue;
            }
            let path = FieldPath::root().key("spec").key("subsets").index(position);
            let name = &subset.name;
            let labels: Vec<String> = subset
                .labels
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            let mut found = finding(
                "IST0173",
                Level::Error,
                resource,
                path.key("labels"),
                format!("subset {name:?} selects no pods, so requests to it are answered with 503"),
            );
            found.hint = Some(format!("no pod has the labels {}", labels.join(", ")));
            findings.push(found);
        }
    }
}

/// Whether a service's instances are pods that a selector chooses, and not addresses that somebody lists.
fn has_known_pods(context: &Context<'_>, service: &MeshService) -> bool {
    if service.selector.is_empty() {
        return false;
    }
    let key: &ResourceKey = &service.object;
    match context.snapshot.get(key).map(|resource| &resource.object) {
        // A ServiceEntry's selector chooses WorkloadEntries as well, which may not be at hand.
        Some(Object::ServiceEntry(_)) => false,
        Some(_) => true,
        None => false,
    }
}
