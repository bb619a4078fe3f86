//! Rules of a VirtualService that never apply, because earlier ones take all that they match (IST0130), and conditions that add nothing
//! to earlier ones (IST0131). The conditions are those of Istio's validation.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::analyze::context::Context;
use crate::analyze::finding;
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::model::{HttpMatchRequest, StringMatch};
use crate::resource::Resource;

/// Most conditions of one object that are told to be covered by others.
const MOST: usize = 200;

/// A rule as this file sees it.
struct Summary {
    name: Option<String>,
    /// What it matches, one text for each condition; conditions are the same when their texts are. None at all match everything.
    conditions: Vec<String>,
}

pub(super) fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    for (resource, object) in context.virtual_services() {
        let http: Vec<Summary> = object
            .http
            .iter()
            .map(|rule| Summary {
                name: rule.name.clone(),
                conditions: rule.matches.iter().map(http_condition).collect(),
            })
            .collect();
        check_rules("http", &http, resource, findings);
        let all = object.http.iter().map(|rule| rule.matches.as_slice());
        check_covered(all, &http, resource, findings);
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
    }
}

/// Rules after one without conditions, and conditions that are repeated.
fn check_rules(kind: &str, rules: &[Summary], resource: &Resource, findings: &mut Vec<Diagnostic>) {
    let mut catch_all: Option<usize> = None;
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let spec = FieldPath::root().key("spec").key(kind);
    for (position, rule) in rules.iter().enumerate() {
        let path = spec.index(position);
        let mut repeated = 0;
        let mut first = None;
        for (at, text) in rule.conditions.iter().enumerate() {
            let Some(earlier) = seen.get(text.as_str()).copied() else {
                seen.insert(text, position);
                continue;
            };
            repeated += 1;
            first.get_or_insert(earlier);
            let mut found = finding(
                "IST0131",
                Level::Info,
                resource,
                path.key("match").index(at),
                format!(
                    "condition {at} of {} adds nothing: {} has the same",
                    describe(kind, rules, position),
                    describe(kind, rules, earlier)
                ),
            );
            found.hint = Some("remove it".to_owned());
            findings.push(found);
        }
        let reason = if let Some(first) = catch_all {
            let first = describe(kind, rules, first);
            Some(format!("{first} before it takes everything"))
        } else if let (Some(first), true) = (first, repeated == rule.conditions.len()) {
            let first = describe(kind, rules, first);
            Some(format!(
                "all that it matches is matched before, first by {first}"
            ))
        } else {
            None
        };
        if let Some(reason) = reason {
            let rule = describe(kind, rules, position);
            let message = format!("{rule} is never used: {reason}");
            let mut found = finding("IST0130", Level::Warning, resource, path, message);
            found.hint = Some("move it up, or remove it".to_owned());
            findings.push(found);
        }
        if rule.conditions.is_empty() {
            catch_all = catch_all.or(Some(position));
        }
    }
}

/// A condition on a prefix of the path, with what else it asks for as Istio compares it.
struct Prefix {
    rule: usize,
    at: usize,
    prefix: String,
    port: u32,
    method: String,
    authority: String,
    headers: BTreeMap<String, String>,
    query: BTreeMap<String, String>,
    without: BTreeMap<String, String>,
}

/// Conditions on prefixes that begin with a prefix which an earlier condition takes.
fn check_covered<'v>(
    rules: impl Iterator<Item = &'v [HttpMatchRequest]>,
    summaries: &[Summary],
    resource: &Resource,
    findings: &mut Vec<Diagnostic>,
) {
    let mut seen: BTreeMap<&str, ()> = BTreeMap::new();
    let mut prefixes: Vec<Prefix> = Vec::new();
    for (rule, conditions) in rules.enumerate() {
        for (at, condition) in conditions.iter().enumerate() {
            let text = summaries.get(rule).and_then(|rule| rule.conditions.get(at));
            let is_new = text.is_some_and(|text| seen.insert(text, ()).is_none());
            if is_new {
                prefixes.extend(Prefix::of(rule, at, condition));
            }
        }
    }
    // Earlier conditions by their prefixes: a later one is compared with those whose prefix it begins with.
    let mut earlier: BTreeMap<&str, Vec<&Prefix>> = BTreeMap::new();
    let mut told = 0;
    for later in &prefixes {
        let shorter = later
            .prefix
            .char_indices()
            .map(|(end, _)| &later.prefix[..end]);
        let wider = shorter.filter_map(|start| earlier.get(start)).flatten();
        for wider in wider.filter(|wider| wider.covers(later)) {
            if told == MOST {
                return;
            }
            told += 1;
            let path = FieldPath::parse("spec.http").index(later.rule);
            let mut found = finding(
                "IST0131",
                Level::Info,
                resource,
                path.key("match").index(later.at),
                format!(
                    "condition {} of {}, prefix {:?}, adds nothing: condition {} of {} takes prefix {:?}",
                    later.at,
                    describe("http", summaries, later.rule),
                    later.prefix,
                    wider.at,
                    describe("http", summaries, wider.rule),
                    wider.prefix
                ),
            );
            found.hint = Some("move the longer prefix up".to_owned());
            findings.push(found);
        }
        earlier.entry(&later.prefix).or_default().push(later);
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

// === impl Prefix ===

impl Prefix {
    fn of(rule: usize, at: usize, condition: &HttpMatchRequest) -> Option<Self> {
        let prefix = condition.uri.as_ref()?.prefix.clone()?;
        if prefix.is_empty() {
            return None;
        }
        let of = |text: &Option<StringMatch>| text.as_ref().map(compared).unwrap_or_default();
        let all = |texts: &BTreeMap<String, StringMatch>| {
            let texts = texts.iter();
            texts
                .map(|(key, text)| (key.clone(), compared(text)))
                .collect()
        };
        let method = of(&condition.method);
        Some(Self {
            rule,
            at,
            prefix,
            port: condition.port.unwrap_or_default(),
            // Istio takes no method for GET here.
            method: if method.is_empty() {
                "exact$GET".to_owned()
            } else {
                method
            },
            authority: of(&condition.authority),
            headers: all(&condition.headers),
            query: all(&condition.query_params),
            without: all(&condition.without_headers),
        })
    }

    /// Whether nothing is left for a later condition, the way Istio compares the rest of both.
    fn covers(&self, later: &Self) -> bool {
        let same = |own: &BTreeMap<String, String>, other: &BTreeMap<String, String>| {
            own.len() == other.len()
                && own.iter().all(|(key, text)| {
                    other
                        .get(key)
                        .is_some_and(|other| text.starts_with(other.as_str()))
                })
        };
        self.port == later.port
            && self.method.starts_with(&later.method)
            && self.authority.starts_with(&later.authority)
            && same(&self.headers, &later.headers)
            && same(&self.query, &later.query)
            && same(&self.without, &later.without)
    }
}

/// A text as Istio compares it; regular expressions count as nothing.
fn compared(text: &StringMatch) -> String {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    match (given(&text.exact), given(&text.prefix)) {
        (Some(exact), _) => format!("exact${exact}"),
        (None, Some(prefix)) => format!("prefix${prefix}"),
        (None, None) => String::new(),
    }
}
