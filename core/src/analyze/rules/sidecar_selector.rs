//! Sidecars that contend for the same pods, or that are for none (IST0101, IST0110, IST0111, IST0167).

use std::collections::BTreeSet;

use super::workload_conflicts::{Selecting, by_pod, same_pods, unselected, without_selector};
use crate::analyze::context::Context;
use crate::analyze::pods::{INJECTION, REVISION};
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::resource::{Kind, Object, Resource};

pub(super) const RULE: Rule = Rule {
    name: "sidecar.SelectorAnalyzer",
    summary: "each pod has one Sidecar at most, and each Sidecar some pod with a proxy",
    codes: &["IST0101", "IST0110", "IST0111", "IST0167"],
    check,
};

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    let objects = context.snapshot.resources(Kind::Sidecar).iter();
    let objects: Vec<Selecting<'_>> = objects
        .filter_map(|resource| match &resource.object {
            Object::Sidecar(spec) => {
                let labels = spec.workload_selector.as_ref().map(|it| &it.labels);
                Some((resource, labels.filter(|labels| !labels.is_empty())))
            }
            _ => None,
        })
        .collect();
    for (resource, selector) in &objects {
        if let Some(selector) = selector {
            let namespace = &resource.key.namespace;
            let mut pods = context.pods().selected_in(namespace, selector);
            if pods.next().is_none() {
                let path = "spec.workloadSelector.labels";
                findings.push(unselected(resource, selector, path));
            }
        }
    }
    let (ambient, others): (Vec<_>, Vec<_>) =
        by_pod(context, &objects).into_iter().partition(|(pod, _)| {
            let redirection = pod.annotations.get("ambient.istio.io/redirection");
            redirection.is_some_and(|value| value == "enabled")
        });
    let mut told = BTreeSet::new();
    for resource in ambient.iter().flat_map(|(_, objects)| objects) {
        if told.insert(&resource.key) {
            findings.push(ineffective(resource, "the pods that it selects have"));
        }
    }
    findings.extend(same_pods(&others, "IST0110"));
    let is_ambient = |namespace: &str| is_ambient(context, namespace);
    for (resource, selector) in &objects {
        let namespace = &resource.key.namespace;
        if selector.is_none() && is_ambient(namespace) && told.insert(&resource.key) {
            findings.push(ineffective(resource, "pods of the namespace have"));
        }
    }
    findings.extend(without_selector(&objects, "IST0111", is_ambient));
}

fn ineffective(resource: &Resource, whose: &str) -> Diagnostic {
    finding(
        "IST0167",
        Level::Warning,
        resource,
        FieldPath::parse("metadata.name"),
        format!(
            "the Sidecar has no effect: {whose} no sidecar, since traffic is captured in ambient mode"
        ),
    )
}

/// Whether traffic of a namespace's pods is captured without sidecars.
fn is_ambient(context: &Context<'_>, namespace: &str) -> bool {
    let Some(namespace) = context.namespaces().get(namespace) else {
        return false;
    };
    let labels = &namespace.meta.labels;
    let has_sidecars = labels.get(INJECTION).is_some_and(|it| it == "enabled")
        || labels.get(REVISION).is_some_and(|it| !it.is_empty());
    let mode = labels.get("istio.io/dataplane-mode");
    !has_sidecars && mode.is_some_and(|mode| mode == "ambient")
}
