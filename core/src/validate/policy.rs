//! What policies apply to, and texts that several policies have.

use std::collections::BTreeMap;

use super::names::{label_key, label_value};
use super::{At, Violations};
use crate::model::{NetworkingWorkloadSelector, PolicyTargetReference, WorkloadSelector};

/// Groups and kinds that a policy can be attached to.
const TARGETS: [(&str, &str); 4] = [
    ("", "Service"),
    ("networking.istio.io", "ServiceEntry"),
    ("gateway.networking.k8s.io", "Gateway"),
    ("gateway.networking.k8s.io", "GatewayClass"),
];

/// What a policy applies to.
pub(super) fn check_targets(
    selector: Option<&WorkloadSelector>,
    one: Option<&PolicyTargetReference>,
    many: &[PolicyTargetReference],
    at: &At<'_>,
    violations: &mut Violations,
) {
    check_selector(selector, at, violations);
    if let Some(target) = one {
        check_target(target, &at.key("targetRef"), violations);
    }
    check_target_refs(many, at, violations);
}

/// `targetRefs`.
pub(super) fn check_target_refs(
    targets: &[PolicyTargetReference],
    at: &At<'_>,
    violations: &mut Violations,
) {
    let at = at.key("targetRefs");
    for (position, target) in targets.iter().enumerate() {
        check_target(target, &at.index(position), violations);
    }
}

/// `selector`.
pub(super) fn check_selector(
    selector: Option<&WorkloadSelector>,
    at: &At<'_>,
    violations: &mut Violations,
) {
    if selector.is_some_and(|selector| selector.match_labels.is_empty()) {
        warn_without_labels(&at.key("selector"), violations);
    }
}

/// `workloadSelector` of Istio's networking kinds.
pub(super) fn check_workload_selector(
    selector: Option<&NetworkingWorkloadSelector>,
    at: &At<'_>,
    violations: &mut Violations,
) {
    if selector.is_some_and(|selector| selector.labels.is_empty()) {
        warn_without_labels(&at.key("workloadSelector"), violations);
    }
}

/// Labels that select: they are compared literally.
pub(super) fn check_literal(
    labels: &BTreeMap<String, String>,
    at: &At<'_>,
    violations: &mut Violations,
) {
    for (key, value) in labels {
        if key.contains('*') || value.contains('*') {
            violations.add(&at.key(key), "wildcards have no meaning in a selector");
        } else {
            warn_unusable(key, value, at, violations);
        }
    }
}

/// A label that no object can have selects nothing.
pub(super) fn warn_unusable(key: &str, value: &str, at: &At<'_>, violations: &mut Violations) {
    if let Err(message) = label_key(key).and_then(|()| label_value(value)) {
        violations.warn(
            &at.key(key),
            format!("{message}, so that nothing is selected"),
        );
    }
}

fn warn_without_labels(at: &At<'_>, violations: &mut Violations) {
    violations.warn_hint(
        at,
        "a selector without labels selects all workloads of the namespace",
        "add labels, or leave the selector out",
    );
}

fn check_target(target: &PolicyTargetReference, at: &At<'_>, violations: &mut Violations) {
    let group = match target.group.as_deref() {
        None | Some("core") => "",
        Some(group) => group,
    };
    if target.kind.is_empty() {
        return;
    }
    if TARGETS.contains(&(group, target.kind.as_str())) {
        if target.kind != "Gateway" {
            let message = format!(
                "policies of {} are for waypoints, which there are none of; the reference has no effect",
                target.kind
            );
            violations.no_effect(at, message);
        }
        return;
    }
    let same_kind = TARGETS.iter().find(|(_, kind)| *kind == target.kind);
    match same_kind {
        Some((group, kind)) => violations.add_hint(
            &at.key("group"),
            format!("{:?} is not the group of {kind}", target.group.as_deref().unwrap_or_default()),
            format!("set group: {group:?}"),
        ),
        None => violations.add(
            &at.key("kind"),
            format!(
                "a policy cannot be attached to {}; it can be to Service, ServiceEntry, Gateway and GatewayClass",
                target.kind
            ),
        ),
    }
}

/// Fields of which at most one may be set.
pub(super) fn at_most_one(fields: &[(&str, bool)], at: &At<'_>, violations: &mut Violations) {
    if fields.iter().filter(|(_, is_set)| *is_set).count() > 1 {
        let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
        violations.add(at, format!("only one of {} can be set", names.join(", ")));
    }
}

/// Values of which none may be empty.
pub(super) fn not_empty(values: &[String], at: &At<'_>, violations: &mut Violations) {
    for (position, value) in values.iter().enumerate() {
        if value.is_empty() {
            violations.add(&at.index(position), "an empty value matches nothing");
        }
    }
}
