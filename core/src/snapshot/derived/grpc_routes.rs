//! GRPCRoutes as VirtualServices: a method is a path.

use std::cmp::Reverse;
use std::sync::Arc;

use serde_json::{Value, json};

use super::backends::{Backend, Referrer};
use super::parents::{Parents, RouteKind};
use super::requests::{self, conditions, refused, texts};
use super::{Deriver, filters};
use crate::model::gateway_api::{
    GrpcMethodMatch, GrpcRouteFilterType, GrpcRouteMatch, GrpcRouteRule, TextMatchType,
};
use crate::resource::{Kind, Object, Resource};

/// What GRPCRoutes stand for.
pub(super) fn derive(deriver: &Deriver<'_>) -> Vec<Arc<Resource>> {
    let mut made = Vec::new();
    for resource in deriver.accepted(Kind::GrpcRoute) {
        let Object::GrpcRoute(spec) = &resource.object else {
            continue;
        };
        let route = RouteKind {
            key: &resource.key,
            kind: "GRPCRoute",
            protocols: &["HTTP", "HTTPS"],
            hosts: spec.hostnames.iter().map(|host| &**host).collect(),
        };
        let parents = Parents::of(deriver, &spec.parent_refs, &route);
        let targets = parents.targets(deriver, &route);
        let rules = rules(deriver, &spec.rules, route.referrer());
        made.extend(requests::virtual_services(resource, &targets, &rules));
    }
    made
}

fn rules(deriver: &Deriver<'_>, rules: &[GrpcRouteRule], from: Referrer<'_>) -> Vec<Value> {
    let everything = [GrpcRouteMatch::default()];
    let all = conditions(rules, |rule| &rule.matches, &everything, precedence);
    all.into_iter()
        .map(|(rule, condition)| one_rule(deriver, rule, condition, from))
        .collect()
}

/// The longest service, then the longest method, then most headers come first.
fn precedence(condition: &GrpcRouteMatch) -> impl Ord + use<> {
    let method = condition.method.as_ref();
    let length = |text: Option<&String>| Reverse(text.map_or(0, String::len));
    (
        length(method.and_then(|method| method.service.as_ref())),
        length(method.and_then(|method| method.method.as_ref())),
        Reverse(condition.headers.len()),
    )
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
