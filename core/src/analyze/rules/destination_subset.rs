//! Destinations whose subset no DestinationRule defines (IST0101).

use std::collections::BTreeSet;

use crate::analyze::context::Context;
use crate::analyze::routes::targets;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, Level};
use crate::snapshot::host_covers;

pub(super) const RULE: Rule = Rule {
    name: "virtualservice.DestinationRuleAnalyzer",
    summary: "subsets that VirtualServices route to are defined by DestinationRules",
    codes: &["IST0101"],
    check,
};

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    for (resource, object) in context.virtual_services() {
        for target in targets(object) {
            let destination = target.destination;
            let subset = destination.subset.as_deref().unwrap_or_default();
            if subset.is_empty() || destination.host.is_empty() {
                continue;
            }
            let host = context.expand(&destination.host, &resource.key.namespace);
            let defined = subsets_of(context, &host);
            if defined.contains(subset) {
                continue;
            }
            let what = if target.mirror {
                "mirror+subset"
            } else {
                "host+subset"
            };
            let value = format!("{}+{subset}", destination.host);
            let mut found = finding(
                "IST0101",
                Level::Error,
                resource,
                target.path().key("subset"),
                format!("Referenced {what} in destinationrule not found: {value:?}"),
            );
            let names: Vec<&str> = defined.into_iter().collect();
            found.hint = Some(if names.is_empty() {
                format!("add a DestinationRule for {host} that defines it")
            } else {
                format!("{host} has subset {}", names.join(", "))
            });
            findings.push(found);
        }
    }
}

/// All subsets that are defined for a host, by rules for it or for patterns that cover it.
fn subsets_of<'c>(context: &'c Context<'_>, host: &str) -> BTreeSet<&'c str> {
    let all = context.subsets();
    // Patterns sort before all host names, since they begin with `*`.
    let patterns = all
        .iter()
        .take_while(|(pattern, _)| pattern.starts_with('*'));
    let covering = patterns.filter(|(pattern, _)| host_covers(pattern, host));
    let exact = all.get_key_value(host);
    covering
        .chain(exact)
        .flat_map(|(_, names)| names.iter().map(String::as_str))
        .collect()
}
