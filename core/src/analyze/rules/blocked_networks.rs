//! Control planes that fetch keys from anywhere, where RequestAuthentications may name addresses (IST0175).

use crate::analyze::context::Context;
use crate::analyze::names::some_of;
use crate::analyze::{Rule, finding};
use crate::authz::template;
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::resource::{Kind, Resource};

pub(super) const RULE: Rule = Rule {
    name: "authn.BlockedCIDRsAnalyzer",
    summary: "the control plane refuses to fetch keys from networks that are not for it",
    codes: &["IST0175"],
    check,
};

const VARIABLE: &str = "BLOCKED_CIDRS_IN_JWKS_URIS";

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    let policies = context.snapshot.resources(Kind::RequestAuthentication);
    let names = policies
        .iter()
        .map(|policy| format!("{}/{}", policy.key.namespace, policy.key.name));
    let Some(names) = some_of(names) else {
        return;
    };
    let count = policies.iter().count();
    for resource in context.snapshot.resources(Kind::Deployment) {
        let is_istiod = resource
            .meta
            .labels
            .get("app")
            .is_some_and(|app| app == "istiod");
        if !is_istiod || is_restricted(resource) {
            continue;
        }
        let mut found = finding(
            "IST0175",
            Level::Warning,
            resource,
            FieldPath::parse("spec.template.spec.containers"),
            format!(
                "{VARIABLE} is not set, and {count} RequestAuthentication objects may name addresses that the control plane then asks: {names}"
            ),
        );
        found.hint = Some(format!(
            "set the environment variable {VARIABLE} to the networks that keys never come from"
        ));
        findings.push(found);
    }
}

fn is_restricted(resource: &Resource) -> bool {
    let spec = template(&resource.object).and_then(|template| template.spec.as_ref());
    let containers = spec.iter().flat_map(|spec| &spec.containers);
    let mut variables = containers.flat_map(|container| container.env.iter().flatten());
    variables.any(|variable| {
        variable.name == VARIABLE
            && variable
                .value
                .as_ref()
                .is_some_and(|value| !value.is_empty())
    })
}
