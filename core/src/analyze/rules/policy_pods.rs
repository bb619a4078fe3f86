//! Objects other than AuthorizationPolicies whose selector selects no workload, so that they do nothing (MESH0008).

use std::collections::BTreeMap;

use crate::analyze::context::Context;
use crate::analyze::pods::{has, selector_text};
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::resource::{Kind, Object, Resource};

pub(super) const RULE: Rule = Rule {
    name: "mesh.PolicySelectorAnalyzer",
    summary: "selectors of policies, filters and plugins select some workload",
    codes: &["MESH0008"],
    check,
};

const KINDS: [Kind; 5] = [
    Kind::PeerAuthentication,
    Kind::RequestAuthentication,
    Kind::EnvoyFilter,
    Kind::WasmPlugin,
    Kind::ProxyConfig,
];

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    // Objects alone, without anything that they could be for, are files of their own.
    if context.pods().all().iter().all(|pod| pod.is_assumed) {
        return;
    }
    let root = context.snapshot.mesh().root_namespace();
    for kind in KINDS {
        for resource in context.snapshot.resources(kind) {
            let Some((labels, path)) = selector(resource) else {
                continue;
            };
            let namespace = &*resource.key.namespace;
            let is_meant = |of: &str| namespace == root || of == namespace;
            let mut pods = context.pods().selected(labels);
            let entries = context.snapshot.resources(Kind::WorkloadEntry);
            if pods.any(|pod| is_meant(pod.namespace))
                || entries.iter().any(|entry| {
                    is_meant(&entry.key.namespace)
                        && (has(&entry.meta.labels, labels) || has_labels(entry, labels))
                })
            {
                continue;
            }
            let mut found = finding(
                "MESH0008",
                Level::Warning,
                resource,
                FieldPath::parse(path),
                format!("no workload has the labels {}", selector_text(labels)),
            );
            found.hint = Some(format!(
                "the {} does nothing until a workload has these labels",
                kind.name()
            ));
            findings.push(found);
        }
    }
}

fn has_labels(entry: &Resource, labels: &BTreeMap<String, String>) -> bool {
    match &entry.object {
        Object::WorkloadEntry(spec) => has(&spec.labels, labels),
        _ => false,
    }
}

/// The labels that an object selects, with their path; none if it is for all.
fn selector(resource: &Resource) -> Option<(&BTreeMap<String, String>, &'static str)> {
    let policy = "spec.selector";
    let (labels, path) = match &resource.object {
        Object::PeerAuthentication(spec) => (&spec.selector.as_ref()?.match_labels, policy),
        Object::RequestAuthentication(spec) => (&spec.selector.as_ref()?.match_labels, policy),
        Object::WasmPlugin(spec) => (&spec.selector.as_ref()?.match_labels, policy),
        Object::ProxyConfig(spec) => (&spec.selector.as_ref()?.match_labels, policy),
        Object::EnvoyFilter(spec) => (
            &spec.workload_selector.as_ref()?.labels,
            "spec.workloadSelector",
        ),
        _ => return None,
    };
    (!labels.is_empty()).then_some((labels, path))
}
