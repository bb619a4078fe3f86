//! Objects that Istio's validation refuses (IST0106), and for VirtualServices also rules that can never match (IST0130).

use super::unreachable;
use crate::analyze::Rule;
use crate::analyze::context::Context;
use crate::diag::Diagnostic;
use crate::resource::Kind;
use crate::validate::validate;

pub(super) const VIRTUAL_SERVICE: Rule = Rule {
    name: "schema.ValidationAnalyzer.VirtualService",
    summary: "values of VirtualServices make sense, and each of their rules can match",
    codes: &["IST0106", "IST0130"],
    check: |context, findings| {
        of(Kind::VirtualService, context, findings);
        unreachable::check(context, findings);
    },
};

pub(super) const DESTINATION_RULE: Rule = Rule {
    name: "schema.ValidationAnalyzer.DestinationRule",
    summary: "values of DestinationRules make sense",
    codes: &["IST0106"],
    check: |context, findings| of(Kind::DestinationRule, context, findings),
};

pub(super) const GATEWAY: Rule = Rule {
    name: "schema.ValidationAnalyzer.Gateway",
    summary: "values of Gateways make sense",
    codes: &["IST0106"],
    check: |context, findings| of(Kind::Gateway, context, findings),
};

pub(super) const SERVICE_ENTRY: Rule = Rule {
    name: "schema.ValidationAnalyzer.ServiceEntry",
    summary: "values of ServiceEntries make sense",
    codes: &["IST0106"],
    check: |context, findings| of(Kind::ServiceEntry, context, findings),
};

fn of(kind: Kind, context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    for resource in context.snapshot.resources(kind) {
        findings.extend(validate(resource));
    }
}
