//! Security policies whose selector selects no pod, so that they do nothing (IST0127).

use crate::analyze::context::Context;
use crate::analyze::{Rule, finding};
use crate::authz::Workload;
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::resource::{Kind, Resource};
use crate::snapshot::PolicyTargets;

pub(super) const RULE: Rule = Rule {
    name: "auth.AuthorizationPoliciesAnalyzer",
    summary: "selectors of security policies select pods",
    codes: &["IST0127"],
    check,
};

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    let workloads = Workload::all(context.snapshot);
    // Policies alone, without anything that they could be for, are files of their own.
    if workloads.is_empty() {
        return;
    }
    for kind in [Kind::AuthorizationPolicy, Kind::RequestAuthentication] {
        for resource in context.snapshot.resources(kind) {
            findings.extend(check_one(context, resource, &workloads));
        }
    }
}

fn check_one(
    context: &Context<'_>,
    resource: &Resource,
    workloads: &[Workload],
) -> Option<Diagnostic> {
    let targets = PolicyTargets::of(&resource.object)?;
    let labels = targets.labels()?;
    let root = context.snapshot.mesh().root_namespace();
    let namespace = &resource.key.namespace;
    let mut meant = workloads
        .iter()
        .filter(|workload| **namespace == *root || workload.namespace == *namespace);
    if meant.any(|workload| targets.select(&workload.labels)) {
        return None;
    }
    let labels: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let mut found = finding(
        "IST0127",
        Level::Warning,
        resource,
        FieldPath::parse("spec.selector"),
        format!(
            "No matching workloads for this resource with the following labels: {}",
            labels.join(",")
        ),
    );
    found.hint = Some("the policy does nothing until a pod has these labels".to_owned());
    Some(found)
}
