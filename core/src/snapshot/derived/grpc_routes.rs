//! GRPCRoutes in the words of VirtualServices: a method is a path.

use std::cmp::Reverse;
use std::sync::Arc;

use serde_json::{Value, json};

use super::backends::{Backend, Referrer};
use super::merged::{PathKind, Precedence, RequestRoute, RequestRule};
use super::parents::{Parents, RouteKind};
use super::requests::{conditions, refused, texts};
use super::{Deriver, filters};
use crate::model::gateway_api::{
    GrpcMethodMatch, GrpcRouteFilterType, GrpcRouteMatch, GrpcRouteRule, GrpcRouteSpec,
    TextMatchType,
};
use crate::resource::{Kind, Object, Resource};

/// The GRPCRoutes.
pub(super) fn read<'a>(deriver: &Deriver<'a>) -> Vec<RequestRoute<'a>> {
    let routes = deriver.accepted(Kind::GrpcRoute);
    routes
        .filter_map(|resource| match &resource.object {
            Object::GrpcRoute(spec) => Some(read_one(deriver, resource, spec)),
            _ => None,
        })
        .collect()
}

fn read_one<'a>(
    deriver: &Deriver<'_>,
    resource: &'a Arc<Resource>,
    spec: &GrpcRouteSpec,
) -> RequestRoute<'a> {
    let route = RouteKind {
        key: &resource.key,
        kind: "GRPCRoute",
        hosts: spec.hostnames.iter().map(|host| &**host).collect(),
    };
    RequestRoute {
        resource,
        parents: Parents::of(deriver, &spec.parent_refs, &route),
        hosts: route.hosts.iter().map(|host| (*host).to_owned()).collect(),
        rules: rules(deriver, &spec.rules, route.referrer()),
    }
}

fn rules(deriver: &Deriver<'_>, rules: &[GrpcRouteRule], from: Referrer<'_>) -> Vec<RequestRule> {
    let everything = [GrpcRouteMatch::default()];
    conditions(rules, |rule| &rule.matches, &everything)
        .map(|(rule, condition)| RequestRule {
            precedence: precedence(condition),
            rule: one_rule(deriver, rule, condition, from),
        })
        .collect()
}

/// The longest service, then the longest method, then most headers come first. A method of any service stands behind all services.
fn precedence(condition: &GrpcRouteMatch) -> Precedence {
    let method = condition.method.as_ref();
    let service = method.and_then(|method| method.service.as_deref());
    let name = method.and_then(|method| method.method.as_deref());
    let is_regex = method.is_some_and(|one| one.kind == Some(TextMatchType::RegularExpression));
    let service = service.map_or(0, str::len);
    let path = match (is_regex, service, name) {
        (true, ..) => PathKind::Regex,
        (false, 1.., Some(_)) => PathKind::Exact,
        (false, ..) => PathKind::Prefix,
    };
    let length = match path {
        PathKind::Prefix => service + 1,
        PathKind::Exact | PathKind::Regex => service + name.map_or(0, str::len) + 2,
    };
    Precedence {
        path,
        length: Reverse(length),
        is_for_any_method: name.is_none(),
        headers: Reverse(condition.headers.len()),
        parameters: Reverse(0),
    }
}

fn one_rule(
    deriver: &Deriver<'_>,
    rule: &GrpcRouteRule,
    condition: &GrpcRouteMatch,
    from: Referrer<'_>,
) -> Value {
    let mut matched = json!({});
    if let Some(method) = &condition.method {
        matched["uri"] = path(method);
    }
    let headers = condition.headers.iter();
    matched["headers"] =
        texts(headers.map(|one| (one.name.to_ascii_lowercase(), one.kind, one.value.as_str())));
    let mut made = json!({"match": [matched]});
    for filter in &rule.filters {
        match filter.kind {
            Some(GrpcRouteFilterType::RequestHeaderModifier) => {
                let changes = filter.request_header_modifier.as_ref();
                made["headers"]["request"] = changes.map(filters::headers).unwrap_or_default();
            }
            Some(GrpcRouteFilterType::ResponseHeaderModifier) => {
                let changes = filter.response_header_modifier.as_ref();
                made["headers"]["response"] = changes.map(filters::headers).unwrap_or_default();
            }
            Some(GrpcRouteFilterType::RequestMirror) => {
                let mirror = filter.request_mirror.as_ref();
                let mirror = mirror.and_then(|mirror| filters::mirror(deriver, mirror, from));
                made["mirrors"] = mirror.into_iter().collect();
            }
            Some(GrpcRouteFilterType::ExtensionRef) | None => return refused(&made),
        }
    }
    let destinations = rule.backend_refs.iter().filter_map(|backend| {
        let usable = backend.filters.is_empty().then(|| Backend::from(backend));
        usable?.weighted(backend.weight, deriver, from)
    });
    let destinations: Vec<Value> = destinations.collect();
    if destinations.is_empty() {
        return refused(&made);
    }
    made["route"] = destinations.into();
    made
}

/// The paths of methods.
fn path(method: &GrpcMethodMatch) -> Value {
    let (service, name) = (method.service.as_deref(), method.method.as_deref());
    if method.kind == Some(TextMatchType::RegularExpression) {
        let (service, name) = (service.unwrap_or("[^/]+"), name.unwrap_or("[^/]+"));
        return json!({"regex": format!("/{service}/{name}")});
    }
    match (service, name) {
        (Some(service), Some(name)) => json!({"exact": format!("/{service}/{name}")}),
        (Some(service), None) => json!({"prefix": format!("/{service}")}),
        (None, Some(name)) => json!({"regex": format!("/[^/]+/{}", regex::escape(name))}),
        (None, None) => json!({"prefix": "/"}),
    }
}
