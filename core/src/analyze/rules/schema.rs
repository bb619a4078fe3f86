//! Objects that Istio's validation refuses (IST0106), and for VirtualServices also rules that can never match (IST0130).
//!
//! The findings are those of compiling an object, so that analysis and admission say the same.

use super::unreachable;
use crate::analyze::Rule;
use crate::analyze::context::Context;
use crate::diag::{Diagnostic, SCHEMA};
use crate::resource::Kind;

/// `rule!(Kind, plural in texts)`
macro_rules! rule {
    ($kind:ident, $many:literal) => {
        Rule {
            name: concat!("schema.ValidationAnalyzer.", stringify!($kind)),
            summary: concat!("values of ", $many, " make sense"),
            codes: &["IST0106"],
            check: |context, findings| of(Kind::$kind, context, findings),
        }
    };
}

pub(super) const VIRTUAL_SERVICE: Rule = Rule {
    name: "schema.ValidationAnalyzer.VirtualService",
    summary: "values of VirtualServices make sense, and each of their rules can match",
    codes: &["IST0106", "IST0130"],
    check: |context, findings| {
        of(Kind::VirtualService, context, findings);
        unreachable::check(context, findings);
    },
};

pub(super) const DESTINATION_RULE: Rule = rule!(DestinationRule, "DestinationRules");
pub(super) const GATEWAY: Rule = rule!(Gateway, "Gateways");
pub(super) const SERVICE_ENTRY: Rule = rule!(ServiceEntry, "ServiceEntries");

fn of(kind: Kind, context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    for resource in context.snapshot.resources(kind) {
        let found = resource.findings.iter();
        findings.extend(found.filter(|found| found.code == SCHEMA).cloned());
    }
}
