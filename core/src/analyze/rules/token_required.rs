//! RequestAuthentications that no policy builds on: requests without a token pass (MESH0005).

use crate::analyze::context::Context;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::model::{AuthorizationPolicySpec, AuthorizationRule};
use crate::resource::{Kind, Object, Resource};

pub(super) const RULE: Rule = Rule {
    name: "auth.RequestAuthenticationAnalyzer",
    summary: "a policy requires the tokens that are checked",
    codes: &["MESH0005"],
    check,
};

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    let root = context.snapshot.mesh().root_namespace();
    let requiring: Vec<&str> = context
        .snapshot
        .resources(Kind::AuthorizationPolicy)
        .iter()
        .filter(|policy| requires_tokens(policy))
        .map(|policy| &*policy.key.namespace)
        .collect();
    for resource in context.snapshot.resources(Kind::RequestAuthentication) {
        let Object::RequestAuthentication(spec) = &resource.object else {
            continue;
        };
        let namespace = &*resource.key.namespace;
        let is_required = requiring
            .iter()
            .any(|of| *of == root || *of == namespace || namespace == root);
        // Claims may also choose routes, at gateways.
        if spec.jwt_rules.is_empty() || is_required || routes_by_claims(context) {
            continue;
        }
        let mut found = finding(
            "MESH0005",
            Level::Warning,
            resource,
            FieldPath::parse("spec.jwtRules"),
            "no AuthorizationPolicy requires a token, so requests without one pass".to_owned(),
        );
        found.hint = Some(
            "add an AuthorizationPolicy with requestPrincipals: [\"*\"] to require one".to_owned(),
        );
        findings.push(found);
    }
}

fn requires_tokens(policy: &Resource) -> bool {
    let Object::AuthorizationPolicy(spec) = &policy.object else {
        return false;
    };
    let AuthorizationPolicySpec { rules, .. } = &**spec;
    rules.iter().any(looks_at_tokens)
}

fn looks_at_tokens(rule: &AuthorizationRule) -> bool {
    let sources = rule.from.iter().filter_map(|from| from.source.as_ref());
    let by_source = sources.into_iter().any(|source| {
        !source.request_principals.is_empty() || !source.not_request_principals.is_empty()
    });
    by_source
        || rule
            .when
            .iter()
            .any(|when| when.key.starts_with("request.auth."))
}

fn routes_by_claims(context: &Context<'_>) -> bool {
    let mut rules = context.virtual_services().flat_map(|(_, spec)| &spec.http);
    rules.any(|rule| {
        let names = rule.matches.iter().flat_map(|one| {
            let without = one.without_headers.keys();
            one.headers.keys().chain(without)
        });
        names
            .into_iter()
            .any(|name| name.starts_with("@request.auth."))
    })
}
