//! HTTPRoutes in the words of VirtualServices. Each condition of a rule becomes a rule of its own, and the most specific come first, as
//! the Gateway API orders them: exact paths, the longest prefixes, conditions with a method, those with most headers, those with most
//! parameters.

use std::cmp::Reverse;
use std::sync::Arc;

use serde_json::{Value, json};

use super::backends::{Backend, Referrer};
use super::merged::{PathKind, Precedence, RequestRoute, RequestRule};
use super::parents::{Parents, RouteKind};
use super::requests::{conditions, refused, texts};
use super::{Deriver, filters};
use crate::model::gateway_api::{
    HttpBackendRef, HttpPathMatch, HttpRouteFilter, HttpRouteFilterType, HttpRouteMatch,
    HttpRouteRule, HttpRouteSpec, PathMatchType,
};
use crate::resource::{Kind, Object, Resource};

/// The HTTPRoutes.
pub(super) fn read<'a>(deriver: &Deriver<'a>) -> Vec<RequestRoute<'a>> {
    let routes = deriver.accepted(Kind::HttpRoute);
    routes
        .filter_map(|resource| match &resource.object {
            Object::HttpRoute(spec) => Some(read_one(deriver, resource, spec)),
            _ => None,
        })
        .collect()
}

fn read_one<'a>(
    deriver: &Deriver<'_>,
    resource: &'a Arc<Resource>,
    spec: &HttpRouteSpec,
) -> RequestRoute<'a> {
    let route = RouteKind {
        key: &resource.key,
        kind: "HTTPRoute",
        hosts: spec.hostnames.iter().map(|host| &**host).collect(),
    };
    RequestRoute {
        resource,
        parents: Parents::of(deriver, &spec.parent_refs, &route),
        hosts: route.hosts.iter().map(|host| (*host).to_owned()).collect(),
        rules: rules(deriver, &spec.rules, route.referrer()),
    }
}

fn rules(deriver: &Deriver<'_>, rules: &[HttpRouteRule], from: Referrer<'_>) -> Vec<RequestRule> {
    let everything = [HttpRouteMatch::default()];
    conditions(rules, |rule| &rule.matches, &everything)
        .map(|(rule, condition)| RequestRule {
            precedence: precedence(condition),
            rule: one_rule(deriver, rule, condition, from),
        })
        .collect()
}

fn precedence(condition: &HttpRouteMatch) -> Precedence {
    let path = condition.path.as_ref();
    let length = path.and_then(|path| path.value.as_deref());
    Precedence {
        path: match path.and_then(|path| path.kind) {
            Some(PathMatchType::Exact) => PathKind::Exact,
            Some(PathMatchType::RegularExpression) => PathKind::Regex,
            Some(PathMatchType::PathPrefix) | None => PathKind::Prefix,
        },
        length: Reverse(length.map_or(1, str::len)),
        is_for_any_method: condition.method.is_none(),
        headers: Reverse(condition.headers.len()),
        parameters: Reverse(condition.query_params.len()),
    }
}

fn one_rule(
    deriver: &Deriver<'_>,
    rule: &HttpRouteRule,
    condition: &HttpRouteMatch,
    from: Referrer<'_>,
) -> Value {
    let mut made = json!({"match": [matched(condition)]});
    if let Some(name) = &rule.name {
        made["name"] = name.to_string().into();
    }
    let prefix = condition
        .path
        .as_ref()
        .and_then(|path| path.value.as_deref());
    let prefix = prefix.unwrap_or("/").trim_end_matches('/');
    for filter in &rule.filters {
        if !apply(deriver, &mut made, filter, (prefix, from)) {
            return refused(&made);
        }
    }
    if made.get("redirect").is_some() {
        return made;
    }
    let destinations = destinations(deriver, &rule.backend_refs, from);
    if destinations.is_empty() {
        // Without a backend that may be used, as the Gateway API asks.
        return refused(&made);
    }
    made["route"] = destinations.into();
    let timeouts = rule.timeouts.as_ref();
    let text = |duration: Option<&crate::model::DurationText>| -> Option<Value> {
        serde_json::to_value(duration?).ok()
    };
    let whole = text(timeouts.and_then(|timeouts| timeouts.request.as_ref()));
    let each = text(timeouts.and_then(|timeouts| timeouts.backend_request.as_ref()));
    if let Some(limit) = whole.or(each.clone().filter(|_| rule.retry.is_none())) {
        made["timeout"] = limit;
    }
    if let Some(retry) = &rule.retry {
        let codes: Vec<String> = retry.codes.iter().map(ToString::to_string).collect();
        let when = match codes.as_slice() {
            [] => "connect-failure,refused-stream,unavailable,cancelled,503".to_owned(),
            codes => format!("connect-failure,refused-stream,{}", codes.join(",")),
        };
        let mut policy = json!({"attempts": retry.attempts.unwrap_or(2), "retryOn": when});
        if let Some(limit) = each {
            policy["perTryTimeout"] = limit;
        }
        if let Some(backoff) = text(retry.backoff.as_ref()) {
            policy["backoff"] = backoff;
        }
        made["retries"] = policy;
    }
    made
}

fn matched(condition: &HttpRouteMatch) -> Value {
    let mut made = json!({});
    if let Some(uri) = condition.path.as_ref().and_then(path) {
        made["uri"] = uri;
    }
    if let Some(method) = condition.method {
        made["method"] = json!({"exact": method});
    }
    let headers = condition.headers.iter();
    made["headers"] =
        texts(headers.map(|one| (one.name.to_ascii_lowercase(), one.kind, one.value.as_str())));
    let parameters = condition.query_params.iter();
    made["queryParams"] =
        texts(parameters.map(|one| (one.name.to_string(), one.kind, one.value.as_str())));
    made
}

/// The condition on the path; none for all paths.
fn path(path: &HttpPathMatch) -> Option<Value> {
    let value = path.value.as_deref().unwrap_or("/");
    Some(match path.kind {
        Some(PathMatchType::Exact) => json!({"exact": value}),
        Some(PathMatchType::RegularExpression) => json!({"regex": value}),
        Some(PathMatchType::PathPrefix) | None => match value.trim_end_matches('/') {
            "" => return None,
            prefix => json!({"prefix": prefix}),
        },
    })
}

/// Applies a filter to a rule. Whether it can be: what is not supported must not be passed over.
fn apply(
    deriver: &Deriver<'_>,
    made: &mut Value,
    filter: &HttpRouteFilter,
    (prefix, from): (&str, Referrer<'_>),
) -> bool {
    match filter.kind {
        Some(HttpRouteFilterType::RequestHeaderModifier) => {
            let changes = filter.request_header_modifier.as_ref();
            made["headers"]["request"] = changes.map(filters::headers).unwrap_or_default();
        }
        Some(HttpRouteFilterType::ResponseHeaderModifier) => {
            let changes = filter.response_header_modifier.as_ref();
            made["headers"]["response"] = changes.map(filters::headers).unwrap_or_default();
        }
        Some(HttpRouteFilterType::RequestMirror) => {
            let mirror = filter.request_mirror.as_ref();
            let mirror = mirror.and_then(|mirror| filters::mirror(deriver, mirror, from));
            if let Some(mirror) = mirror {
                match made.get_mut("mirrors").and_then(Value::as_array_mut) {
                    Some(known) => known.push(mirror),
                    None => made["mirrors"] = json!([mirror]),
                }
            }
        }
        Some(HttpRouteFilterType::RequestRedirect) => {
            let redirect = filter.request_redirect.as_ref();
            made["redirect"] = redirect.map(filters::redirect).unwrap_or_default();
        }
        Some(HttpRouteFilterType::UrlRewrite) => {
            let rewrite = filter.url_rewrite.as_ref();
            made["rewrite"] = rewrite
                .map(|rewrite| filters::rewrite(rewrite, prefix))
                .unwrap_or_default();
        }
        Some(HttpRouteFilterType::Cors) => {
            made["corsPolicy"] = filter.cors.as_ref().map(filters::cors).unwrap_or_default();
        }
        Some(HttpRouteFilterType::ExternalAuth | HttpRouteFilterType::ExtensionRef) | None => {
            return false;
        }
    }
    true
}

fn destinations(
    deriver: &Deriver<'_>,
    backends: &[HttpBackendRef],
    from: Referrer<'_>,
) -> Vec<Value> {
    let made = backends.iter().filter_map(|backend| {
        let reference = Backend::from(backend);
        let mut made = reference.weighted(backend.weight, deriver, from)?;
        for filter in &backend.filters {
            match filter.kind {
                Some(HttpRouteFilterType::RequestHeaderModifier) => {
                    let changes = filter.request_header_modifier.as_ref()?;
                    made["headers"]["request"] = filters::headers(changes);
                }
                Some(HttpRouteFilterType::ResponseHeaderModifier) => {
                    let changes = filter.response_header_modifier.as_ref()?;
                    made["headers"]["response"] = filters::headers(changes);
                }
                _ => return None,
            }
        }
        Some(made)
    });
    made.collect()
}
