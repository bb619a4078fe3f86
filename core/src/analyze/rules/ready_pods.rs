//! Subsets all of whose pods are there and none is ready: requests to them are answered with 503 (MESH0013).

use std::sync::Arc;

use crate::analyze::context::Context;
use crate::analyze::pods::selector_text;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::resource::{Kind, Object, Resource};

pub(super) const RULE: Rule = Rule {
    name: "mesh.ReadyPodAnalyzer",
    summary: "some pod of each subset is ready",
    codes: &["MESH0013"],
    check,
};

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    for resource in context.snapshot.resources(Kind::DestinationRule) {
        let Object::DestinationRule(rule) = &resource.object else {
            continue;
        };
        let host = context.expand(&rule.host, &resource.key.namespace);
        let Some(service) = context.service(&host, [&*resource.key.namespace]) else {
            continue;
        };
        for (position, subset) in rule.subsets.iter().enumerate() {
            let mut wanted = service.selector.clone();
            if wanted.is_empty() {
                continue;
            }
            wanted.extend(subset.labels.clone());
            let pods = context.pods().selected_in(&service.namespace, &wanted);
            let states: Vec<Option<bool>> =
                pods.map(|pod| pod.resource.and_then(is_ready)).collect();
            // Of pods that only files have nothing is known.
            if states.is_empty() || states.iter().any(|state| *state != Some(false)) {
                continue;
            }
            let path = FieldPath::parse("spec.subsets").index(position);
            let mut found = finding(
                "MESH0013",
                Level::Warning,
                resource,
                path.key("labels"),
                format!(
                    "none of the {} pods of subset {:?} is ready, so requests to it are answered with 503",
                    states.len(),
                    subset.name
                ),
            );
            found.hint = Some(format!(
                "`kubectl -n {} get pods -l {}` shows them",
                service.namespace,
                selector_text(&wanted)
            ));
            findings.push(found);
        }
    }
}

/// Whether a pod's status says that it is ready; none if it has none.
fn is_ready(pod: &Arc<Resource>) -> Option<bool> {
    let Object::Pod(pod) = &pod.object else {
        return None;
    };
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let ready = conditions
        .iter()
        .find(|condition| condition.type_ == "Ready");
    Some(ready.is_some_and(|condition| condition.status == "True"))
}
