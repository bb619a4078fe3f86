//! GRPCRoutes as VirtualServices: a method is a path.

use std::cmp::Reverse;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::backends::{Backend, Referrer};
use super::http_routes::virtual_services_of;
use super::parents::{Parents, RouteKind};
use super::{Deriver, filters};
use crate::model::gateway_api::{
    GrpcMethodMatch, GrpcRouteFilterType, GrpcRouteMatch, GrpcRouteRule, TextMatchType,
};
use crate::resource::{Kind, Object, Resource};

/// What GRPCRoutes stand for.
pub(super) fn derive(deriver: &Deriver<'_>) -> Vec<Arc<Resource>> {
    let mut made = Vec::new();
    for resource in deriver.objects.of(Kind::GrpcRoute).iter() {
        let Object::GrpcRoute(spec) = &resource.object else {
            continue;
        };
        let route = RouteKind {
            key: &resource.key,
            kind: "GRPCRoute",
            protocols: &["HTTP", "HTTPS"],
            hosts: spec.hostnames.iter().map(|host| &**host).collect(),
        };
        let from = Referrer {
            namespace: &resource.key.namespace,
            kind: route.kind,
        };
        let parents = Parents::of(deriver, &spec.parent_refs, &route);
        let targets = parents.targets(deriver, &route);
        let rules = rules(deriver, &spec.rules, from);
        made.extend(virtual_services_of(resource, targets, &rules));
    }
    made
}

fn rules(deriver: &Deriver<'_>, rules: &[GrpcRouteRule], from: Referrer<'_>) -> Vec<Value> {
    let everything = [GrpcRouteMatch::default()];
    let mut all: Vec<(&GrpcRouteRule, &GrpcRouteMatch)> = rules
        .iter()
        .flat_map(|rule| {
            let matches = match rule.matches.as_slice() {
                [] => &everything[..],
                matches => matches,
            };
            matches.iter().map(move |condition| (rule, condition))
        })
        .collect();
    // The longest service, then the longest method, then most headers come first.
    all.sort_by_key(|(_, condition)| {
        let method = condition.method.as_ref();
        let length = |text: Option<&String>| Reverse(text.map_or(0, String::len));
        (
            length(method.and_then(|method| method.service.as_ref())),
            length(method.and_then(|method| method.method.as_ref())),
            Reverse(condition.headers.len()),
        )
    });
    all.into_iter()
        .map(|(rule, condition)| one_rule(deriver, rule, condition, from))
        .collect()
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
    let mut headers = Map::new();
    for header in &condition.headers {
        let value = match header.kind {
            Some(TextMatchType::RegularExpression) => json!({"regex": header.value}),
            Some(TextMatchType::Exact) | None => json!({"exact": header.value}),
        };
        headers
            .entry(header.name.to_ascii_lowercase())
            .or_insert(value);
    }
    matched["headers"] = headers.into();
    let mut made = json!({"match": [matched]});
    let refused = |made: &Value| json!({"match": made["match"], "directResponse": {"status": 500}});
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
        let weight = backend.weight.unwrap_or(1);
        let reference = Backend::from(backend);
        let usable = weight > 0 && backend.filters.is_empty();
        let destination = usable.then(|| reference.destination(deriver, from))??;
        Some(json!({"destination": destination, "weight": weight}))
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
