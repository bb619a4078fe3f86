//! Objects of Istio's first API versions: which are wrong (IST0106), that Istio has given them up (IST0002), and what of them the mesh cannot
//! obey (MESH0001).

use crate::analyze::context::Context;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level, NO_EFFECT, SCHEMA};
use crate::resource::{Kind, rows};

pub(super) const RULE: Rule = Rule {
    name: "mesh.OldVersionAnalyzer",
    summary: "objects of Istio's first API versions can be obeyed, and are none",
    codes: &["IST0002", SCHEMA, NO_EFFECT],
    check,
};

/// What takes the place of each kind.
const REPLACEMENTS: [(Kind, &str); 9] = [
    (Kind::RouteRule, "VirtualService"),
    (Kind::DestinationPolicy, "DestinationRule"),
    (Kind::EgressRule, "ServiceEntry"),
    (
        Kind::AuthenticationPolicy,
        "PeerAuthentication and RequestAuthentication",
    ),
    (Kind::MeshPolicy, "PeerAuthentication"),
    (Kind::ServiceRole, "AuthorizationPolicy"),
    (Kind::ServiceRoleBinding, "AuthorizationPolicy"),
    (Kind::RbacConfig, "AuthorizationPolicy"),
    (Kind::ClusterRbacConfig, "AuthorizationPolicy"),
];

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    for row in rows().filter(|row| row.is_legacy()) {
        let replacement = REPLACEMENTS.iter().find(|(kind, _)| *kind == row.kind);
        let replacement = replacement.map_or("an object of today's", |(_, name)| name);
        for resource in context.snapshot.resources(row.kind) {
            let wrong = resource.findings.iter();
            findings.extend(wrong.filter(|found| found.is_of_schema()).cloned());
            let message = format!(
                "{} of {} has been removed: {replacement} takes its place",
                row.name,
                row.group()
            );
            let path = FieldPath::parse("apiVersion");
            let mut found = finding("IST0002", Level::Warning, resource, path, message);
            found.hint = Some("`meshctl convert -f FILE` writes it as today's".to_owned());
            findings.push(found);
        }
    }
    findings.extend(context.snapshot.lost_in_conversion().iter().cloned());
}
