//! `DestinationRule`.

use std::collections::BTreeSet;

use super::common::{export_to, labels, selector_labels};
use super::names::{is_label, wildcard_host};
use super::traffic_policy::check_policy;
use super::{At, Violations};
use crate::model::{DestinationRuleSpec, Subset};

pub(crate) fn check(object: &DestinationRuleSpec, at: &At<'_>, violations: &mut Violations) {
    let DestinationRuleSpec {
        host,
        subsets,
        traffic_policy,
        export_to: exported,
        workload_selector,
    } = object;
    let host_at = at.key("host");
    if host.is_empty() {
        violations.add(&host_at, "the host is missing");
    } else {
        violations.check(&host_at, wildcard_host(host));
    }
    check_subsets(subsets, &at.key("subsets"), violations);
    if let Some(policy) = traffic_policy {
        check_policy(policy, &at.key("trafficPolicy"), violations);
    }
    export_to(exported, false, &at.key("exportTo"), violations);
    if let Some(selector) = workload_selector {
        let at = at.key("workloadSelector");
        selector_labels(&selector.match_labels, &at, "matchLabels", violations);
        if exported.iter().any(|namespace| namespace != ".") {
            let message = "a rule with a workloadSelector is for its own namespace only";
            violations.add(&at, message);
        }
    }
}

fn check_subsets(subsets: &[Subset], at: &At<'_>, violations: &mut Violations) {
    let mut names = BTreeSet::new();
    for (position, subset) in subsets.iter().enumerate() {
        let Subset {
            name,
            labels: selected,
            traffic_policy,
        } = subset;
        let at = at.index(position);
        let name_at = at.key("name");
        if name.is_empty() {
            violations.add(&name_at, "the subset's name is missing");
        } else if !is_label(name) {
            let message = format!("{name:?} is not a name of letters, digits and -");
            violations.add(&name_at, message);
        } else if !names.insert(name) {
            violations.add(&name_at, format!("subset {name:?} is repeated"));
        }
        labels(selected, &at.key("labels"), violations);
        if let Some(policy) = traffic_policy {
            check_policy(policy, &at.key("trafficPolicy"), violations);
        }
    }
}
