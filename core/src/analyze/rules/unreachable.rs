//! Rules of a VirtualService that never apply, because earlier ones take all that they match (IST0130).

use std::collections::BTreeMap;

use mesh_ir::PathMatch;
use serde::Serialize;

use crate::analyze::context::Context;
use crate::analyze::finding;
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::model::{HttpMatchRequest, StringMatch};
use crate::resource::Resource;

/// A rule as this file sees it.
struct Summary {
    name: Option<String>,
    /// What it matches, one text for each condition; conditions are the same when their texts are.
    conditions: Vec<String>,
    catches_all: bool,
}

pub(super) fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    for (resource, object) in context.virtual_services() {
        let http: Vec<Summary> = object
            .http
            .iter()
            .map(|rule| Summary {
                name: rule.name.clone(),
                conditions: rule.matches.iter().map(http_condition).collect(),
                catches_all: rule.matches.is_empty() || rule.matches.iter().any(is_any_request),
            })
            .collect();
        check_rules("http", &http, resource, findings);
        let tls: Vec<Summary> = object
            .tls
            .iter()
            .map(|rule| summary(&rule.matches))
            .collect();
        check_rules("tls", &tls, resource, findings);
        let tcp: Vec<Summary> = object
            .tcp
            .iter()
            .map(|rule| summary(&rule.matches))
            .collect();
        check_rules("tcp", &tcp, resource, findings);
    }
}

fn summary<T: Serialize>(matches: &[T]) -> Summary {
    Summary {
        name: None,
        conditions: matches.iter().map(text).collect(),
        catches_all: matches.is_empty(),
    }
}

fn check_rules(kind: &str, rules: &[Summary], resource: &Resource, findings: &mut Vec<Diagnostic>) {
    let mut catch_all: Option<usize> = None;
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (position, rule) in rules.iter().enumerate() {
        let duplicates = || {
            let earlier = rule.conditions.iter().map(|text| seen.get(text.as_str()));
            let all: Option<Vec<usize>> = earlier.map(Option::<&usize>::copied).collect();
            all.filter(|all| !all.is_empty())
        };
        let reason = if let Some(first) = catch_all {
            let first = describe(kind, rules, first);
            Some(format!("{first} before it takes everything"))
        } else {
            duplicates().and_then(|all| {
                let first = describe(kind, rules, *all.first()?);
                Some(format!(
                    "all that it matches is matched before, first by {first}"
                ))
            })
        };
        if let Some(reason) = reason {
            let path = FieldPath::root().key("spec").key(kind).index(position);
            let rule = describe(kind, rules, position);
            let mut found = finding(
                "IST0130",
                Level::Warning,
                resource,
                path,
                format!("{rule} is never used: {reason}"),
            );
            found.hint = Some("move it up, or remove it".to_owned());
            findings.push(found);
        }
        for text in &rule.conditions {
            seen.entry(text).or_insert(position);
        }
        if rule.catches_all {
            catch_all = catch_all.or(Some(position));
        }
    }
}

/// `http[1] ("v2")`.
fn describe(kind: &str, rules: &[Summary], position: usize) -> String {
    match rules.get(position).and_then(|rule| rule.name.as_deref()) {
        Some(name) => format!("{kind}[{position}] ({name:?})"),
        None => format!("{kind}[{position}]"),
    }
}

/// A condition without its name, which matches nothing.
fn http_condition(condition: &HttpMatchRequest) -> String {
    match condition.name {
        None => text(condition),
        Some(_) => text(&HttpMatchRequest {
            name: None,
            ..condition.clone()
        }),
    }
}

fn text<T: Serialize>(condition: &T) -> String {
    serde_json::to_string(condition).unwrap_or_default()
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
