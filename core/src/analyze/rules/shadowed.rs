//! Rules of a VirtualService after one whose condition every request meets, as `prefix: /` does (MESH0007). Istio's own validation looks
//! at rules without any condition only (IST0130).

use mesh_ir::PathMatch;

use crate::analyze::context::Context;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::model::{HttpMatchRequest, HttpRoute, StringMatch};

pub(super) const RULE: Rule = Rule {
    name: "virtualservice.ShadowedRuleAnalyzer",
    summary: "no rule follows one whose condition every request meets",
    codes: &["MESH0007"],
    check,
};

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    for (resource, object) in context.virtual_services() {
        let takes_all = |rule: &HttpRoute| rule.matches.iter().any(is_any_request);
        let Some(first) = object.http.iter().position(takes_all) else {
            continue;
        };
        for (position, rule) in object.http.iter().enumerate().skip(first + 1) {
            let path = FieldPath::parse("spec.http").index(position);
            let mut found = finding(
                "MESH0007",
                Level::Warning,
                resource,
                path,
                format!(
                    "{} is never used: {} before it takes every request",
                    describe(position, rule),
                    object
                        .http
                        .get(first)
                        .map_or_else(String::new, |rule| describe(first, rule)),
                ),
            );
            found.hint = Some("move it up, or remove it".to_owned());
            findings.push(found);
        }
    }
}

/// `http[1] ("v2")`.
fn describe(position: usize, rule: &HttpRoute) -> String {
    match &rule.name {
        Some(name) => format!("http[{position}] ({name:?})"),
        None => format!("http[{position}]"),
    }
}

/// Whether a condition holds for every request: it is empty, or asks for nothing but a path that every request has.
fn is_any_request(condition: &HttpMatchRequest) -> bool {
    let mut rest = condition.clone();
    rest.name = None;
    rest.stat_prefix = None;
    rest.ignore_uri_case = false;
    if rest.uri.as_ref().is_some_and(is_any_path) {
        rest.uri = None;
    }
    rest == HttpMatchRequest::default()
}

fn is_any_path(uri: &StringMatch) -> bool {
    let path = match uri {
        StringMatch {
            prefix: Some(prefix),
            ..
        } => PathMatch::Prefix(prefix.as_str().into()),
        StringMatch {
            regex: Some(pattern),
            ..
        } => PathMatch::Regex(pattern.as_str().into()),
        _ => return false,
    };
    path.is_catch_all()
}
