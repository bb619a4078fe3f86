//! Rules that delegate: each rule of the delegate takes the place of the root's, joined with it as Istio joins them.
//!
//! A request must meet a condition of the root and one of the delegate. Which requests meet both is only known where the one is inside of
//! the other, so that a rule of the delegate with a condition that is inside of none of the root's is left out. What the delegate does not
//! say is as the root says.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::{CompiledRoute, Compiler};
use crate::diag::FieldPath;
use crate::model::{Delegate, Destination, HttpMatchRequest, HttpRoute, StringMatch};
use crate::resource::Resource;
use crate::snapshot::{MeshVirtualService, delegate_key, expand_host, report, resolve_gateways};

// === impl Compiler ===

impl Compiler<'_> {
    /// The routes of a rule that delegates; none, with the reason, where there is nobody to delegate to.
    pub(super) fn delegating(
        &mut self,
        source: &MeshVirtualService,
        rule: &HttpRoute,
        delegate: &Delegate,
        path: &FieldPath,
    ) -> Vec<CompiledRoute> {
        self.tell_of_root(rule, path);
        let namespace = &self.resource.key.namespace;
        let key = delegate_key(delegate, namespace);
        let found = match source.delegates.get(&key) {
            None => Err("is no object without hosts"),
            Some(found) if !found.visibility.sees(namespace) => Err("is not exported here"),
            Some(found) => Ok(found),
        };
        let found = match found {
            Ok(found) => found,
            Err(reason) => {
                let message =
                    format!("the rule is left out: the {key}, to which it delegates, {reason}");
                let _ = self.unsupported(path.key("delegate"), message);
                return Vec::new();
            }
        };
        let root = HttpRoute {
            delegate: None,
            ..accepted(self.resource, rule, path, self.domain)
        };
        if root.matches.is_empty() && !rule.matches.is_empty() {
            return Vec::new();
        }
        let mut routes = Vec::new();
        for (index, inner) in found.spec.http.iter().enumerate() {
            let inner_path = FieldPath::parse("spec.http").index(index);
            let except = inner_path.key("match");
            if found.resource.refuses_beyond(&inner_path, &except) || inner.delegate.is_some() {
                continue;
            }
            let accepted = accepted(&found.resource, inner, &inner_path, self.domain);
            if accepted.matches.is_empty() && !inner.matches.is_empty() {
                continue;
            }
            let Some(joined) = joined(&root, accepted) else {
                let message = format!(
                    "the rule is left out for the {}: one of its conditions is inside of none of the conditions that delegate to it",
                    self.resource.key
                );
                self.diagnostics
                    .push(report::unsupported(&found.resource, except, message));
                continue;
            };
            // What is wrong with its parts is told of the objects that have them.
            let told = std::mem::take(&mut self.diagnostics);
            let made = self.http(&joined, &path.key("delegate"));
            self.diagnostics = told;
            routes.extend(made.unwrap_or_default());
        }
        routes
    }

    /// Tells what of a delegating rule itself has no effect.
    fn tell_of_root(&mut self, rule: &HttpRoute, path: &FieldPath) {
        let _ = self.policy(rule, path);
        for (index, condition) in rule.matches.iter().enumerate() {
            let path = path.key("match").index(index);
            if !self.resource.refuses(&path) {
                let _ = self.condition(condition, &path);
            }
        }
    }
}

/// A rule without the conditions that were refused, and with all names resolved, so that it means the same in another namespace.
fn accepted(resource: &Resource, rule: &HttpRoute, path: &FieldPath, domain: &str) -> HttpRoute {
    let namespace = &resource.key.namespace;
    let mut rule = rule.clone();
    let mut index = 0;
    rule.matches.retain(|_| {
        index += 1;
        !resource.refuses(&path.key("match").index(index - 1))
    });
    for condition in &mut rule.matches {
        if !condition.gateways.is_empty() {
            condition.gateways = resolve_gateways(&condition.gateways, namespace)
                .iter()
                .map(|name| name.to_string())
                .collect();
        }
    }
    let resolve = |destination: &mut Destination| {
        destination.host = expand_host(&destination.host, namespace, domain);
    };
    let mirrors = rule
        .mirrors
        .iter_mut()
        .filter_map(|mirror| mirror.destination.as_mut());
    rule.route
        .iter_mut()
        .map(|entry| &mut entry.destination)
        .chain(&mut rule.mirror)
        .chain(mirrors)
        .for_each(resolve);
    rule
}

/// The delegate's rule with what the root's adds; nothing if their conditions conflict.
fn joined(root: &HttpRoute, delegate: HttpRoute) -> Option<HttpRoute> {
    let root = root.clone();
    Some(HttpRoute {
        name: joined_name(root.name, delegate.name),
        matches: joined_matches(&root.matches, delegate.matches)?,
        route: delegate.route,
        redirect: delegate.redirect,
        direct_response: delegate.direct_response,
        delegate: None,
        rewrite: delegate.rewrite.or(root.rewrite),
        timeout: delegate.timeout.or(root.timeout),
        retries: delegate.retries.or(root.retries),
        fault: delegate.fault.or(root.fault),
        mirror: delegate.mirror.or(root.mirror),
        mirrors: if delegate.mirrors.is_empty() {
            root.mirrors
        } else {
            delegate.mirrors
        },
        mirror_percentage: delegate.mirror_percentage.or(root.mirror_percentage),
        mirror_percent: delegate.mirror_percent.or(root.mirror_percent),
        mirror_percent_snake: delegate.mirror_percent_snake.or(root.mirror_percent_snake),
        cors_policy: delegate.cors_policy.or(root.cors_policy),
        headers: delegate.headers.or(root.headers),
    })
}

fn joined_name(root: Option<String>, delegate: Option<String>) -> Option<String> {
    let given = |name: Option<String>| name.filter(|name| !name.is_empty());
    match (given(root), given(delegate)) {
        (Some(root), Some(delegate)) => Some([root, delegate].join("-")),
        (root, delegate) => delegate.or(root),
    }
}

/// All pairs that do not conflict; nothing if some condition of the delegate is in none.
fn joined_matches(
    root: &[HttpMatchRequest],
    delegate: Vec<HttpMatchRequest>,
) -> Option<Vec<HttpMatchRequest>> {
    if root.is_empty() {
        return Some(delegate);
    }
    if delegate.is_empty() {
        return Some(root.to_vec());
    }
    let mut all = Vec::new();
    for inner in &delegate {
        let before = all.len();
        let outer = root.iter().filter(|outer| !conflict(outer, inner));
        all.extend(outer.map(|outer| joined_match(outer, inner)));
        if all.len() == before {
            return None;
        }
    }
    Some(all)
}

fn joined_match(root: &HttpMatchRequest, delegate: &HttpMatchRequest) -> HttpMatchRequest {
    let (root, delegate) = (root.clone(), delegate.clone());
    HttpMatchRequest {
        name: joined_name(root.name, delegate.name),
        uri: delegate.uri.or(root.uri),
        scheme: delegate.scheme.or(root.scheme),
        method: delegate.method.or(root.method),
        authority: delegate.authority.or(root.authority),
        headers: both(root.headers, delegate.headers),
        without_headers: both(root.without_headers, delegate.without_headers),
        query_params: both(root.query_params, delegate.query_params),
        ignore_uri_case: delegate.ignore_uri_case,
        port: delegate.port.or(root.port),
        source_labels: both(root.source_labels, delegate.source_labels),
        source_namespace: delegate
            .source_namespace
            .filter(|name| !name.is_empty())
            .or(root.source_namespace),
        gateways: if delegate.gateways.is_empty() {
            root.gateways
        } else {
            delegate.gateways
        },
        stat_prefix: delegate.stat_prefix.or(root.stat_prefix),
    }
}

fn both<T>(mut root: BTreeMap<String, T>, delegate: BTreeMap<String, T>) -> BTreeMap<String, T> {
    root.extend(delegate);
    root
}

/// Whether the delegate's condition is not inside of the root's.
fn conflict(root: &HttpMatchRequest, delegate: &HttpMatchRequest) -> bool {
    let texts = [
        (&root.uri, &delegate.uri),
        (&root.scheme, &delegate.scheme),
        (&root.method, &delegate.method),
        (&root.authority, &delegate.authority),
    ];
    let maps = [
        (&root.headers, &delegate.headers),
        (&root.without_headers, &delegate.without_headers),
        (&root.query_params, &delegate.query_params),
    ];
    let named = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let namespaces = named(&root.source_namespace).zip(named(&delegate.source_namespace));
    let outer: BTreeSet<&String> = root.gateways.iter().collect();
    texts
        .into_iter()
        .any(|(root, delegate)| texts_conflict(root.as_ref(), delegate.as_ref()))
        || maps.into_iter().any(|(root, delegate)| {
            let mut all = delegate.iter();
            all.any(|(name, text)| texts_conflict(root.get(name), Some(text)))
        })
        || root.ignore_uri_case != delegate.ignore_uri_case
        || root.port.zip(delegate.port).is_some_and(|(a, b)| a != b)
        || namespaces.is_some_and(|(root, delegate)| root != delegate)
        || delegate.source_labels.iter().any(|(key, value)| {
            let outer = root.source_labels.get(key);
            outer.is_some_and(|outer| outer != value)
        })
        || !outer.is_empty() && delegate.gateways.iter().any(|name| !outer.contains(name))
}

/// Whether the delegate's text is not inside of the root's. Of expressions that cannot be told, and a text that only has to be there
/// conflicts with every other.
fn texts_conflict(root: Option<&StringMatch>, delegate: Option<&StringMatch>) -> bool {
    let (Some(root), Some(delegate)) = (root, delegate) else {
        return false;
    };
    let of = |text: &StringMatch| {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let StringMatch {
            exact,
            prefix,
            regex,
        } = text;
        (given(exact), given(prefix), given(regex))
    };
    match (of(root), of(delegate)) {
        ((Some(outer), None, None), (Some(inner), None, None)) => outer != inner,
        ((None, Some(outer), None), (Some(inner), None, None))
        | ((None, Some(outer), None), (None, Some(inner), None)) => !inner.starts_with(&outer),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(root: &str, delegate: &str, expect: Option<&str>) {
        let parse = |text: &str| -> Vec<HttpMatchRequest> { serde_yaml::from_str(text).unwrap() };
        let expect = expect.map(parse);
        assert_eq!(joined_matches(&parse(root), parse(delegate)), expect);
    }

    #[test]
    fn conditions_are_joined_where_one_is_inside_of_the_other() {
        check("[]", "[{uri: {exact: /a}}]", Some("[{uri: {exact: /a}}]"));
        check("[{uri: {prefix: /a}}]", "[]", Some("[{uri: {prefix: /a}}]"));
        check(
            "[{uri: {prefix: /a}, headers: {x: {exact: '1'}}}]",
            "[{uri: {prefix: /a/b}, method: {exact: GET}}, {port: 80}]",
            Some(
                "[{uri: {prefix: /a/b}, method: {exact: GET}, headers: {x: {exact: '1'}}}, \
                 {uri: {prefix: /a}, port: 80, headers: {x: {exact: '1'}}}]",
            ),
        );
        check(
            "[{uri: {prefix: /a}}, {uri: {prefix: /b}}]",
            "[{uri: {exact: /b/c}}]",
            Some("[{uri: {exact: /b/c}}]"),
        );
    }

    #[test]
    fn conditions_that_may_not_be_inside_conflict() {
        for (root, delegate) in [
            ("[{uri: {prefix: /a/b}}]", "[{uri: {prefix: /a}}]"),
            ("[{uri: {exact: /a}}]", "[{uri: {prefix: /a}}]"),
            ("[{uri: {regex: /a}}]", "[{uri: {exact: /a}}]"),
            ("[{headers: {x: {}}}]", "[{headers: {x: {exact: '1'}}}]"),
            ("[{port: 80}]", "[{port: 81}]"),
            ("[{sourceLabels: {a: b}}]", "[{sourceLabels: {a: c}}]"),
            ("[{sourceNamespace: a}]", "[{sourceNamespace: b}]"),
            ("[{gateways: [a]}]", "[{gateways: [a, b]}]"),
            ("[{ignoreUriCase: true}]", "[{uri: {exact: /a}}]"),
            (
                "[{uri: {prefix: /a}}]",
                "[{uri: {prefix: /a}}, {uri: {prefix: /b}}]",
            ),
        ] {
            check(root, delegate, None);
        }
    }

    #[test]
    fn names_are_joined() {
        let name = |text: &str| Some(text.to_owned());
        assert_eq!(joined_name(name("a"), name("b")), name("a-b"));
        assert_eq!(joined_name(name(""), name("b")), name("b"));
        assert_eq!(joined_name(name("a"), None), name("a"));
    }
}
