//! Kinds of the Gateway API in versions that are too old to be read (IST0176).

use crate::analyze::context::Context;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::resource::Kind;

pub(super) const RULE: Rule = Rule {
    name: "k8sgateway.CRDVersionAnalyzer",
    summary: "kinds of the Gateway API are installed in versions that are read",
    codes: &["IST0176"],
    check,
};

type Version = [u64; 3];

/// Names of definitions with the oldest release of the Gateway API that is read.
const OLDEST: [(&str, Version); 3] = [
    ("grpcroutes.gateway.networking.k8s.io", [1, 1, 0]),
    ("backendtlspolicies.gateway.networking.k8s.io", [1, 4, 0]),
    ("tlsroutes.gateway.networking.k8s.io", [1, 5, 0]),
];

const ANNOTATION: &str = "gateway.networking.k8s.io/bundle-version";

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    for resource in context.snapshot.resources(Kind::CustomResourceDefinition) {
        let name = &*resource.key.name;
        let Some((_, oldest)) = OLDEST.iter().find(|(known, _)| *known == name) else {
            continue;
        };
        let Some(written) = resource.meta.annotations.get(ANNOTATION) else {
            continue;
        };
        if version(written).is_none_or(|installed| installed >= *oldest) {
            continue;
        }
        let [major, minor, patch] = oldest;
        let path = FieldPath::parse("metadata.annotations").key(ANNOTATION);
        let mut found = finding(
            "IST0176",
            Level::Warning,
            resource,
            path,
            format!(
                "{name} is installed in version {written}, and objects of this kind are read from v{major}.{minor}.{patch} on"
            ),
        );
        found.hint = Some("install the definitions of a newer Gateway API".to_owned());
        findings.push(found);
    }
}

/// The numbers of a version such as `v1.4.0-rc.1`; what comes after them does not count.
fn version(text: &str) -> Option<Version> {
    let numbers = text.trim_start_matches('v').split(['-', '+']).next()?;
    let mut parts = numbers.split('.');
    let mut next = || match parts.next() {
        None => Some(0),
        Some(part) => part.parse().ok(),
    };
    Some([next()?, next()?, next()?])
}
