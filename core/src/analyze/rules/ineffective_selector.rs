//! Policies that select the pods of a gateway of the Gateway API by labels, which these do not look at (IST0166).

use std::collections::BTreeSet;

use crate::analyze::context::Context;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::model::{PolicyTargetReference, WorkloadSelector};
use crate::resource::{Kind, Object};

pub(super) const RULE: Rule = Rule {
    name: "k8sgateway.SelectorAnalyzer",
    summary: "policies for gateways of the Gateway API refer to them by name",
    codes: &["IST0166"],
    check,
};

const KINDS: [Kind; 4] = [
    Kind::AuthorizationPolicy,
    Kind::RequestAuthentication,
    Kind::Telemetry,
    Kind::WasmPlugin,
];

/// Label of the pods of gateways that the Gateway API describes.
const GATEWAY: &str = "gateway.networking.k8s.io/gateway-name";

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    for kind in KINDS {
        for resource in context.snapshot.resources(kind) {
            let Some(selector) = selector(&resource.object) else {
                continue;
            };
            let pods = context
                .pods()
                .selected_in(&resource.key.namespace, &selector.match_labels);
            let gateways: BTreeSet<&String> =
                pods.filter_map(|pod| pod.labels.get(GATEWAY)).collect();
            for gateway in gateways {
                let mut found = finding(
                    "IST0166",
                    Level::Warning,
                    resource,
                    FieldPath::parse("spec.selector"),
                    format!(
                        "the selector selects pods of Gateway {gateway}, which looks at targetRefs only"
                    ),
                );
                found.hint = Some(format!(
                    "refer to it: targetRefs: [{{group: gateway.networking.k8s.io, kind: Gateway, name: {gateway}}}]"
                ));
                findings.push(found);
            }
        }
    }
}

/// The selector of a policy that does not refer to objects.
fn selector(object: &Object) -> Option<&WorkloadSelector> {
    let without = |selector: &'_ Option<WorkloadSelector>,
                   target: &Option<PolicyTargetReference>,
                   targets: &[PolicyTargetReference]| {
        selector.is_some() && target.is_none() && targets.is_empty()
    };
    macro_rules! of {
        ($spec:expr) => {
            without(&$spec.selector, &$spec.target_ref, &$spec.target_refs)
                .then_some($spec.selector.as_ref())
                .flatten()
        };
    }
    match object {
        Object::AuthorizationPolicy(spec) => of!(spec),
        Object::RequestAuthentication(spec) => of!(spec),
        Object::Telemetry(spec) => of!(spec),
        Object::WasmPlugin(spec) => of!(spec),
        _ => None,
    }
}
