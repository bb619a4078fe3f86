//! Policies that deny by identity where clients need none (MESH0006).

use crate::analyze::context::Context;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::model::{AuthorizationAction, AuthorizationSource, MutualTlsMode};
use crate::resource::{Kind, Object};

pub(super) const RULE: Rule = Rule {
    name: "auth.DenyByIdentityAnalyzer",
    summary: "identities are denied only where each client has one",
    codes: &["MESH0006"],
    check,
};

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    for resource in context.snapshot.resources(Kind::AuthorizationPolicy) {
        let Object::AuthorizationPolicy(spec) = &resource.object else {
            continue;
        };
        if spec.action != Some(AuthorizationAction::Deny)
            || is_strict(context, &resource.key.namespace)
        {
            continue;
        }
        for (index, rule) in spec.rules.iter().enumerate() {
            let sources = rule.from.iter().filter_map(|from| from.source.as_ref());
            if !sources.into_iter().any(names_identities) {
                continue;
            }
            let mut found = finding(
                "MESH0006",
                Level::Warning,
                resource,
                FieldPath::parse("spec.rules").index(index),
                "the rule denies by identity, and clients without mutual TLS have none: they pass"
                    .to_owned(),
            );
            found.hint = Some(
                "require mutual TLS by a PeerAuthentication with mode STRICT, or allow by identity instead"
                    .to_owned(),
            );
            findings.push(found);
        }
    }
}

fn names_identities(source: &AuthorizationSource) -> bool {
    [
        &source.principals,
        &source.namespaces,
        &source.service_accounts,
        &source.trust_domains,
    ]
    .iter()
    .any(|values| !values.is_empty())
}

/// Whether a namespace as a whole takes nothing but mutual TLS.
fn is_strict(context: &Context<'_>, namespace: &str) -> bool {
    let mode_of = |wanted: &str| {
        let objects = context.snapshot.resources(Kind::PeerAuthentication).iter();
        let mut modes = objects.filter_map(|resource| match &resource.object {
            Object::PeerAuthentication(spec)
                if *resource.key.namespace == *wanted && spec.selector.is_none() =>
            {
                spec.mtls.as_ref()?.mode
            }
            _ => None,
        });
        modes.find(|mode| *mode != MutualTlsMode::Unset)
    };
    let root = context.snapshot.mesh().root_namespace();
    let mode = mode_of(namespace).or_else(|| mode_of(root));
    mode == Some(MutualTlsMode::Strict)
}
