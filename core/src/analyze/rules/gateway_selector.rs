//! Gateways whose selector selects no pod, so that nobody applies them (IST0101).

use crate::analyze::context::Context;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::resource::{Kind, Object};

pub(super) const RULE: Rule = Rule {
    name: "gateway.IngressGatewayPortAnalyzer",
    summary: "selectors of Gateways select pods",
    codes: &["IST0101"],
    check,
};

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    for resource in context.snapshot.resources(Kind::Gateway) {
        let Object::Gateway(gateway) = &resource.object else {
            continue;
        };
        let selector = &gateway.selector;
        if context.workloads().any_with(selector) {
            continue;
        }
        let labels: Vec<String> = selector
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let mut found = finding(
            "IST0101",
            Level::Error,
            resource,
            FieldPath::root().key("spec").key("selector"),
            format!("Referenced selector not found: {:?}", labels.join(",")),
        );
        found.hint = Some(
            "no pod has these labels; the ingress gateway has istio=ingressgateway".to_owned(),
        );
        findings.push(found);
    }
}
