//! Telemetries that contend for the same pods, or that are for none (IST0101, IST0159, IST0160).

use super::workload_conflicts::{Selecting, by_pod, same_pods, unselected, without_selector};
use crate::analyze::Rule;
use crate::analyze::context::Context;
use crate::diag::Diagnostic;
use crate::resource::{Kind, Object};

pub(super) const SELECTOR: Rule = Rule {
    name: "telemetry.SelectorAnalyzer",
    summary: "each pod has one Telemetry of its own at most, and each selector selects some pod",
    codes: &["IST0101", "IST0159"],
    check,
};

pub(super) const DEFAULT_SELECTOR: Rule = Rule {
    name: "telemetry.DefaultSelectorAnalyzer",
    summary: "each namespace has one Telemetry without a selector at most",
    codes: &["IST0160"],
    check: |context, findings| {
        let whole = objects(context).into_iter();
        // What refers to objects is for these, and not for the namespace.
        let whole: Vec<Selecting<'_>> = whole
            .filter(|(resource, _)| match &resource.object {
                Object::Telemetry(spec) => spec.target_ref.is_none() && spec.target_refs.is_empty(),
                _ => false,
            })
            .collect();
        findings.extend(without_selector(&whole, "IST0160", |_| false));
    },
};

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    let objects = objects(context);
    for (resource, selector) in &objects {
        if let Some(selector) = selector {
            let namespace = &resource.key.namespace;
            let mut pods = context.pods().selected_in(namespace, selector);
            if pods.next().is_none() {
                let path = "spec.selector.matchLabels";
                findings.push(unselected(resource, selector, path));
            }
        }
    }
    findings.extend(same_pods(&by_pod(context, &objects), "IST0159"));
}

fn objects<'s>(context: &Context<'s>) -> Vec<Selecting<'s>> {
    let objects = context.snapshot.resources(Kind::Telemetry).iter();
    objects
        .filter_map(|resource| match &resource.object {
            Object::Telemetry(spec) => {
                let labels = spec.selector.as_ref().map(|it| &it.match_labels);
                Some((resource, labels.filter(|labels| !labels.is_empty())))
            }
            _ => None,
        })
        .collect()
}
