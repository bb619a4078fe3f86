//! Values in AuthorizationPolicies that no request can have (MESH0012).

use crate::analyze::context::Context;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::model::{AuthorizationOperation, AuthorizationSource, MutualTlsMode};
use crate::resource::{Kind, Object};

pub(super) const RULE: Rule = Rule {
    name: "mesh.UnmatchedPolicyAnalyzer",
    summary: "some request can have the values that an AuthorizationPolicy names",
    codes: &["MESH0012"],
    check,
};

/// What is wrong with a value: its field, its position there, and why nobody has it.
type Problem = (&'static str, usize, String);

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    for resource in context.snapshot.resources(Kind::AuthorizationPolicy) {
        let Object::AuthorizationPolicy(spec) = &resource.object else {
            continue;
        };
        let is_plain = has_no_identities(context, &resource.key.namespace);
        for (at, rule) in spec.rules.iter().enumerate() {
            let path = FieldPath::parse("spec.rules").index(at);
            let mut add = |path: FieldPath, (field, position, why): Problem| {
                let path = path.key(field).index(position);
                findings.push(finding("MESH0012", Level::Warning, resource, path, why));
            };
            for (position, from) in rule.from.iter().enumerate() {
                let path = path.key("from").index(position).key("source");
                for problem in from.source.iter().flat_map(|it| sources(it, is_plain)) {
                    add(path.clone(), problem);
                }
            }
            for (position, to) in rule.to.iter().enumerate() {
                let path = path.key("to").index(position).key("operation");
                for problem in to.operation.iter().flat_map(operations) {
                    add(path.clone(), problem);
                }
            }
        }
    }
}

fn sources(source: &AuthorizationSource, is_plain: bool) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (field, values) in [
        ("principals", &source.principals),
        ("notPrincipals", &source.not_principals),
    ] {
        for (position, value) in values.iter().enumerate() {
            if let Some(why) = malformed(value) {
                problems.push((field, position, why));
            }
        }
    }
    if is_plain {
        for (field, values) in [
            ("principals", &source.principals),
            ("namespaces", &source.namespaces),
        ] {
            if !values.is_empty() {
                let why = "clients have no identity: mutual TLS is off in this namespace";
                problems.push((field, 0, why.to_owned()));
            }
        }
    }
    problems
}

/// Why nobody has an identity.
fn malformed(principal: &str) -> Option<String> {
    if let Some(rest) = principal.strip_prefix("spiffe://") {
        return Some(format!(
            "identities are written without spiffe://: {rest:?}"
        ));
    }
    if principal.contains('*') {
        return None;
    }
    let parts: Vec<&str> = principal.split('/').collect();
    let is_right = matches!(parts.as_slice(), [domain, "ns", of, "sa", name]
        if [domain, of, name].iter().all(|part| !part.is_empty()));
    (!is_right).then(|| {
        format!("no identity is {principal:?}: they are TRUST_DOMAIN/ns/NAMESPACE/sa/ACCOUNT")
    })
}

fn operations(operation: &AuthorizationOperation) -> Vec<Problem> {
    let mut problems = Vec::new();
    let methods = [
        ("methods", &operation.methods),
        ("notMethods", &operation.not_methods),
    ];
    for (field, values) in methods {
        for (position, value) in values.iter().enumerate() {
            if value.bytes().any(|byte| byte.is_ascii_lowercase()) {
                let upper = value.to_ascii_uppercase();
                let why =
                    format!("no request has the method {value:?}: methods are written {upper:?}");
                problems.push((field, position, why));
            }
        }
    }
    let paths = [
        ("paths", &operation.paths),
        ("notPaths", &operation.not_paths),
    ];
    for (field, values) in paths {
        for (position, value) in values.iter().enumerate() {
            if !value.starts_with(['/', '*', '{']) && !value.is_empty() {
                let why = format!("no path is {value:?}: paths begin with a slash");
                problems.push((field, position, why));
            }
        }
    }
    problems
}

/// Whether workloads of a namespace as a whole take no mutual TLS.
fn has_no_identities(context: &Context<'_>, namespace: &str) -> bool {
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
    mode_of(namespace).or_else(|| mode_of(root)) == Some(MutualTlsMode::Disable)
}
