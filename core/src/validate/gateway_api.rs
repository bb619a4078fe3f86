//! The kinds of the Gateway API. Their CRDs check almost everything; here is what would fail later in a proxy.

use super::common::{header_name, regex};
use super::{At, Violations};
use crate::model::gateway_api::{
    AllowedRoutes, BackendTlsPolicySpec, GatewayClassSpec, GatewaySpec, GrpcRouteFilter,
    GrpcRouteSpec, HttpHeaderFilter, HttpRouteFilter, HttpRouteFilterType, HttpRouteMatch,
    HttpRouteSpec, LabelSelector, Listener, ListenerSetSpec, PathMatchType, ReferenceGrantSpec,
    TcpRouteSpec, TextMatchType, TlsRouteSpec,
};

pub(crate) fn gateway_class(_: &GatewayClassSpec, _: &At<'_>, _: &mut Violations) {}

pub(crate) fn reference_grant(_: &ReferenceGrantSpec, _: &At<'_>, _: &mut Violations) {}

pub(crate) fn backend_tls_policy(_: &BackendTlsPolicySpec, _: &At<'_>, _: &mut Violations) {}

pub(crate) fn tcp_route(_: &TcpRouteSpec, _: &At<'_>, _: &mut Violations) {}

pub(crate) fn tls_route(_: &TlsRouteSpec, _: &At<'_>, _: &mut Violations) {}

pub(crate) fn gateway(object: &GatewaySpec, at: &At<'_>, violations: &mut Violations) {
    listeners(&object.listeners, at, violations);
    let infrastructure = object.infrastructure.as_ref();
    if infrastructure.is_some_and(|all| all.parameters_ref.is_some()) {
        let message = "what a Gateway runs on cannot be changed by parameters yet; the Gateway is not accepted";
        let at = at.key("infrastructure");
        violations.no_effect(&at.key("parametersRef"), message);
    }
    for (field, set) in [
        ("tls", object.tls.is_some()),
        ("defaultScope", object.default_scope.is_some()),
    ] {
        if set {
            let message = format!("{field} of a Gateway is not supported yet and has no effect");
            violations.no_effect(&at.key(field), message);
        }
    }
    let namespaces = object
        .allowed_listeners
        .as_ref()
        .and_then(|allowed| allowed.namespaces.as_ref());
    if let Some(selector) = namespaces.and_then(|namespaces| namespaces.selector.as_ref()) {
        let at = at.key("allowedListeners");
        let at = at.key("namespaces");
        label_selector(selector, &at.key("selector"), violations);
    }
}

pub(crate) fn listener_set(object: &ListenerSetSpec, at: &At<'_>, violations: &mut Violations) {
    listeners(&object.listeners, at, violations);
}

pub(crate) fn http_route(object: &HttpRouteSpec, at: &At<'_>, violations: &mut Violations) {
    let key = at.key("rules");
    for (position, rule) in object.rules.iter().enumerate() {
        let at = key.index(position);
        let matches_at = at.key("matches");
        for (position, matches) in rule.matches.iter().enumerate() {
            http_match(matches, &matches_at.index(position), violations);
        }
        http_filters(&rule.filters, &at.key("filters"), violations);
        if rule.session_persistence.is_some() {
            let message = "sessions are not kept at one backend yet";
            violations.no_effect(&at.key("sessionPersistence"), message);
        }
        for (position, filter) in rule.filters.iter().enumerate() {
            let is_unknown = matches!(
                filter.kind,
                Some(HttpRouteFilterType::ExternalAuth | HttpRouteFilterType::ExtensionRef)
            );
            if is_unknown {
                let message =
                    "this filter is not supported yet: requests of the rule are answered with 500";
                let at = at.key("filters");
                violations.no_effect(&at.index(position).key("type"), message);
            }
        }
        let backends_at = at.key("backendRefs");
        for (position, backend) in rule.backend_refs.iter().enumerate() {
            let at = backends_at.index(position);
            http_filters(&backend.filters, &at.key("filters"), violations);
            let mut filters = backend.filters.iter();
            let changes_headers = |filter: &HttpRouteFilter| {
                matches!(
                    filter.kind,
                    Some(
                        HttpRouteFilterType::RequestHeaderModifier
                            | HttpRouteFilterType::ResponseHeaderModifier
                    )
                )
            };
            if !filters.all(changes_headers) {
                let message = "of the filters of a backend only changes to headers are supported yet: the backend gets no requests";
                violations.no_effect(&at.key("filters"), message);
            }
        }
    }
}

pub(crate) fn grpc_route(object: &GrpcRouteSpec, at: &At<'_>, violations: &mut Violations) {
    let key = at.key("rules");
    for (position, rule) in object.rules.iter().enumerate() {
        let at = key.index(position);
        let matches_at = at.key("matches");
        for (position, matches) in rule.matches.iter().enumerate() {
            let at = matches_at.index(position);
            if let Some(method) = &matches.method {
                let at = at.key("method");
                let texts = [("service", &method.service), ("method", &method.method)];
                for (name, text) in texts {
                    let text = text.as_deref().unwrap_or_default();
                    pattern(method.kind, text, &at.key(name), violations);
                }
            }
            let headers_at = at.key("headers");
            for (position, header) in matches.headers.iter().enumerate() {
                let at = headers_at.index(position);
                pattern(header.kind, &header.value, &at.key("value"), violations);
            }
        }
        grpc_filters(&rule.filters, &at.key("filters"), violations);
        let backends_at = at.key("backendRefs");
        for (position, backend) in rule.backend_refs.iter().enumerate() {
            let at = backends_at.index(position);
            grpc_filters(&backend.filters, &at.key("filters"), violations);
        }
    }
}

fn http_match(matches: &HttpRouteMatch, at: &At<'_>, violations: &mut Violations) {
    let HttpRouteMatch {
        path,
        headers,
        query_params,
        method: _,
    } = matches;
    if let Some(path) = path
        && path.kind == Some(PathMatchType::RegularExpression)
    {
        let at = at.key("path");
        let value = path.value.as_deref().unwrap_or("/");
        violations.check(&at.key("value"), regex(value));
    }
    let key = at.key("headers");
    for (position, header) in headers.iter().enumerate() {
        let at = key.index(position);
        pattern(header.kind, &header.value, &at.key("value"), violations);
    }
    let key = at.key("queryParams");
    for (position, parameter) in query_params.iter().enumerate() {
        let at = key.index(position);
        pattern(
            parameter.kind,
            &parameter.value,
            &at.key("value"),
            violations,
        );
    }
}

fn pattern(kind: Option<TextMatchType>, text: &str, at: &At<'_>, violations: &mut Violations) {
    if kind == Some(TextMatchType::RegularExpression) {
        violations.check(at, regex(text));
    }
}

fn http_filters(filters: &[HttpRouteFilter], at: &At<'_>, violations: &mut Violations) {
    for (position, filter) in filters.iter().enumerate() {
        let blocks = [
            ("requestHeaderModifier", &filter.request_header_modifier),
            ("responseHeaderModifier", &filter.response_header_modifier),
        ];
        header_filters(blocks, &at.index(position), violations);
    }
}

fn grpc_filters(filters: &[GrpcRouteFilter], at: &At<'_>, violations: &mut Violations) {
    for (position, filter) in filters.iter().enumerate() {
        let blocks = [
            ("requestHeaderModifier", &filter.request_header_modifier),
            ("responseHeaderModifier", &filter.response_header_modifier),
        ];
        header_filters(blocks, &at.index(position), violations);
    }
}

/// Names of headers to remove; the CRD bounds the names of the others.
fn header_filters(
    blocks: [(&str, &Option<HttpHeaderFilter>); 2],
    at: &At<'_>,
    violations: &mut Violations,
) {
    for (name, block) in blocks {
        let Some(block) = block else { continue };
        let at = at.key(name);
        let at = at.key("remove");
        for (position, header) in block.remove.iter().enumerate() {
            violations.check(&at.index(position), header_name(header));
        }
    }
}

fn listeners(listeners: &[Listener], at: &At<'_>, violations: &mut Violations) {
    let key = at.key("listeners");
    for (position, listener) in listeners.iter().enumerate() {
        let at = key.index(position);
        if let Some(AllowedRoutes {
            namespaces: Some(namespaces),
            ..
        }) = &listener.allowed_routes
            && let Some(selector) = &namespaces.selector
        {
            let at = at.key("allowedRoutes");
            let at = at.key("namespaces");
            label_selector(selector, &at.key("selector"), violations);
        }
    }
}

fn label_selector(selector: &LabelSelector, at: &At<'_>, violations: &mut Violations) {
    let key = at.key("matchExpressions");
    for (position, requirement) in selector.match_expressions.iter().enumerate() {
        let at = key.index(position);
        let has_values = !requirement.values.is_empty();
        match requirement.operator.as_str() {
            "In" | "NotIn" if !has_values => {
                let message = format!("{} needs values", requirement.operator);
                violations.add(&at.key("values"), message);
            }
            "Exists" | "DoesNotExist" if has_values => {
                let message = format!("{} has no values", requirement.operator);
                violations.add(&at.key("values"), message);
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" | "" => {}
            operator => {
                let message = format!("{operator:?} is none of In, NotIn, Exists and DoesNotExist");
                violations.add(&at.key("operator"), message);
            }
        }
    }
}
