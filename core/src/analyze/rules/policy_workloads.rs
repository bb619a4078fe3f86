//! AuthorizationPolicies that are for no pod of the mesh, so that they do nothing (IST0127).

use std::collections::{BTreeMap, BTreeSet};

use super::policy_namespaces;
use crate::analyze::context::Context;
use crate::analyze::pods::selector_text;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::resource::{Kind, Object, Resource};

pub(super) const RULE: Rule = Rule {
    name: "auth.AuthorizationPoliciesAnalyzer",
    summary: "AuthorizationPolicies are for some pod, and name namespaces that exist",
    codes: &["IST0101", "IST0127"],
    check: |context, findings| {
        check(context, findings);
        policy_namespaces::check(context, findings);
    },
};

type Labels = BTreeMap<String, String>;

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    // Policies alone, without anything that they could be for, are files of their own.
    let pods = context.pods().all();
    if pods.iter().all(|pod| pod.is_assumed) {
        return;
    }
    let root = context.snapshot.mesh().root_namespace();
    let mut with_mesh: BTreeSet<&str> = BTreeSet::new();
    for pod in pods {
        if !with_mesh.contains(pod.namespace) && pod.may_be_in_mesh(context.namespaces()) {
            with_mesh.insert(pod.namespace);
        }
    }
    for resource in context.snapshot.resources(Kind::AuthorizationPolicy) {
        let Object::AuthorizationPolicy(spec) = &resource.object else {
            continue;
        };
        // What refers to objects is for these.
        if spec.target_ref.is_some() || !spec.target_refs.is_empty() {
            continue;
        }
        let labels = spec
            .selector
            .as_ref()
            .map(|selector| &selector.match_labels);
        let namespace = &*resource.key.namespace;
        let is_for_some = match labels {
            None => namespace == root || with_mesh.contains(namespace),
            Some(labels) => {
                let selected = context.pods().selected(labels);
                let mut meant =
                    selected.filter(|pod| namespace == root || pod.namespace == namespace);
                meant.any(|pod| pod.may_be_in_mesh(context.namespaces()))
            }
        };
        if !is_for_some {
            findings.push(for_nothing(resource, labels));
        }
    }
}

fn for_nothing(resource: &Resource, labels: Option<&Labels>) -> Diagnostic {
    let (path, what) = match labels {
        Some(labels) => (
            "spec.selector",
            format!(
                "no pod of the mesh has the labels {}",
                selector_text(labels)
            ),
        ),
        None => (
            "metadata.namespace",
            "no pod of the namespace is in the mesh".to_owned(),
        ),
    };
    let mut found = finding(
        "IST0127",
        Level::Warning,
        resource,
        FieldPath::parse(path),
        what,
    );
    found.hint = Some("the policy does nothing until there is such a pod".to_owned());
    found
}
