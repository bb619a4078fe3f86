//! Time limits that leave no time for the retries beside them (MESH0010).

use crate::analyze::context::Context;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};

pub(super) const RULE: Rule = Rule {
    name: "mesh.RetryTimeAnalyzer",
    summary: "the time limit of a request leaves time for its retries",
    codes: &["MESH0010"],
    check,
};

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    for (resource, object) in context.virtual_services() {
        for (position, rule) in object.http.iter().enumerate() {
            let (Some(whole), Some(retries)) = (&rule.timeout, &rule.retries) else {
                continue;
            };
            let Some(single) = &retries.per_try_timeout else {
                continue;
            };
            let tries = u32::try_from(retries.attempts).unwrap_or_default();
            // No limit at all is written as 0.
            if whole.0.is_zero() || tries == 0 {
                continue;
            }
            let needed = single.0.saturating_mul(tries.saturating_add(1));
            if needed <= whole.0 {
                continue;
            }
            let path = FieldPath::parse("spec.http").index(position);
            let possible = whole.0.as_millis() / single.0.as_millis().max(1);
            let mut found = finding(
                "MESH0010",
                Level::Warning,
                resource,
                path.key("timeout"),
                format!(
                    "{tries} retries of {:?} each do not fit into {:?}: {possible} tries do, the first one included",
                    single.0, whole.0
                ),
            );
            found.hint = Some(format!(
                "set timeout to {:?} or more, or perTryTimeout or attempts to less",
                needed
            ));
            findings.push(found);
        }
    }
}
