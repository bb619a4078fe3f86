//! Route tables (RDS).

#![expect(
    deprecated,
    reason = "messages are opened completely, deprecated fields included"
)]

use std::collections::BTreeSet;
use std::sync::Arc;

use envoy_types::pb::envoy::config::route::v3::{
    Route as RouteProto, RouteAction as RouteActionProto, RouteConfiguration as Proto,
    RouteMatch as MatchProto, Vhds, route::Action, route_match::PathSpecifier,
};
use mesh_ir::matching::Rewriter;
use mesh_ir::{Forward, PathMatch, Route, RouteAction, RouteConfig, RouteMatch, VirtualHost};

use super::border::{At, InvalidResource};
use super::metadata::IstioMetadata;
use super::{
    header_match, header_ops, rate_limit, redirect, route_action, route_policy, token_match,
    values, virtual_host,
};

/// The longest direct response that Envoy accepts without being told.
const DEFAULT_BODY_LIMIT: usize = 4096;
/// The longest direct response that Istio's API allows. Where virtual hosts are discovered, no table says which is the longest.
const MAX_BODY_LIMIT: u32 = 1 << 20;

pub(super) fn to_proto(value: &RouteConfig) -> Proto {
    let RouteConfig {
        name,
        virtual_hosts,
        discovers_virtual_hosts,
        ignore_port_in_host,
    } = value;
    let body_limit = if *discovers_virtual_hosts {
        Some(MAX_BODY_LIMIT)
    } else {
        body_limit(virtual_hosts)
    };
    Proto {
        name: name.to_string(),
        virtual_hosts: virtual_hosts
            .iter()
            .map(|host| virtual_host::to_proto(host))
            .collect(),
        vhds: discovers_virtual_hosts.then(|| Vhds {
            config_source: values::ads(),
        }),
        ignore_port_in_host_matching: *ignore_port_in_host,
        // Clusters may arrive after the routes that name them.
        validate_clusters: values::bool_value(false),
        max_direct_response_body_size_bytes: body_limit.and_then(values::u32_value),
        ..Proto::default()
    }
}

/// What Envoy must be told for it to accept the longest direct response of a table.
fn body_limit(virtual_hosts: &[Arc<VirtualHost>]) -> Option<u32> {
    let bodies = virtual_hosts
        .iter()
        .flat_map(|host| &host.routes)
        .filter_map(|route| match &route.action {
            RouteAction::Direct(direct) => Some(direct.body.len()),
            RouteAction::Forward(_) | RouteAction::Redirect(_) => None,
        });
    let longest = bodies
        .max()
        .filter(|longest| *longest > DEFAULT_BODY_LIMIT)?;
    Some(u32::try_from(longest).unwrap_or(u32::MAX))
}

pub(super) fn route(value: &Route) -> RouteProto {
    let Route {
        name,
        matcher,
        action,
        policy,
        request_headers,
        response_headers,
        origin,
    } = value;
    let (request_headers_to_add, request_headers_to_remove) = header_ops::to_proto(request_headers);
    let (response_headers_to_add, response_headers_to_remove) =
        header_ops::to_proto(response_headers);
    RouteProto {
        name: name.to_string(),
        r#match: Some(matcher_proto(matcher)),
        metadata: IstioMetadata {
            config: origin.clone(),
            ..IstioMetadata::default()
        }
        .to_proto(),
        request_headers_to_add,
        request_headers_to_remove,
        response_headers_to_add,
        response_headers_to_remove,
        typed_per_filter_config: route_policy::to_proto(policy),
        action: Some(match action {
            RouteAction::Forward(forward) => Action::Route(RouteActionProto {
                rate_limits: rate_limit::rules(&policy.rate_limits),
                ..route_action::to_proto(forward)
            }),
            RouteAction::Redirect(redirect) => Action::Redirect(redirect::to_proto(redirect)),
            RouteAction::Direct(direct) => Action::DirectResponse(redirect::direct(direct)),
        }),
        ..RouteProto::default()
    }
}

fn matcher_proto(value: &RouteMatch) -> MatchProto {
    let RouteMatch {
        path,
        case_sensitive,
        headers,
        query,
        claims,
    } = value;
    MatchProto {
        path_specifier: Some(match path {
            PathMatch::Prefix(text) => PathSpecifier::Prefix(text.to_string()),
            PathMatch::SegmentPrefix(text) => PathSpecifier::PathSeparatedPrefix(text.to_string()),
            PathMatch::Exact(text) => PathSpecifier::Path(text.to_string()),
            PathMatch::Regex(pattern) => PathSpecifier::SafeRegex(header_match::regex(pattern)),
        }),
        case_sensitive: values::bool_value(*case_sensitive),
        headers: headers.iter().map(header_match::header).collect(),
        query_parameters: query.iter().map(header_match::query).collect(),
        dynamic_metadata: claims.iter().map(token_match::of_route).collect(),
        ..MatchProto::default()
    }
}

pub(super) fn from_proto(proto: Proto, at: &At<'_>) -> Result<RouteConfig, InvalidResource> {
    open!(at, proto => Proto {
        keep { name, virtual_hosts, vhds, ignore_port_in_host_matching }
        refuse {
            internal_only_headers, response_headers_to_add, response_headers_to_remove, request_headers_to_add,
            request_headers_to_remove, cluster_specifier_plugins, request_mirror_policies, vhost_header,
            ignore_path_parameters_in_path_matching, typed_per_filter_config, route_specifiers,
        }
        ignore {
            most_specific_header_mutations_wins, validate_clusters, max_direct_response_body_size_bytes, metadata,
        }
    });
    if let Some(Vhds { config_source }) = &vhds {
        let at = at.field("vhds");
        values::from_ads(config_source.clone(), &at.field("config_source"))?;
    }
    let virtual_hosts: Vec<Arc<VirtualHost>> =
        at.list("virtual_hosts", virtual_hosts, |host, at| {
            virtual_host::from_proto(host, at).map(Arc::new)
        })?;
    let mut taken = BTreeSet::new();
    for (index, host) in virtual_hosts.iter().enumerate() {
        for domain in &host.domains {
            if !taken.insert(domain) {
                return Err(at
                    .field("virtual_hosts")
                    .index(index)
                    .field("domains")
                    .value(format!("the domain {domain:?} is there twice")));
            }
        }
    }
    Ok(RouteConfig {
        name: name.into(),
        virtual_hosts,
        discovers_virtual_hosts: vhds.is_some(),
        ignore_port_in_host: ignore_port_in_host_matching,
    })
}

pub(super) fn from_route(proto: RouteProto, at: &At<'_>) -> Result<Route, InvalidResource> {
    open!(at, proto => RouteProto {
        keep {
            name, r#match, metadata, request_headers_to_add, request_headers_to_remove, response_headers_to_add,
            response_headers_to_remove, action, typed_per_filter_config,
        }
        refuse {
            per_request_buffer_limit_bytes, request_body_buffer_limit, route_specifiers,
        }
        ignore { decorator, tracing, stat_prefix }
    });
    let matcher = from_match(at.require("match", r#match)?, &at.field("match"))?;
    let mut policy = route_policy::from_proto(typed_per_filter_config, at)?;
    let action = match at.require("action", action)? {
        Action::Route(mut action) => {
            let at = at.field("route");
            policy.rate_limits =
                rate_limit::from_rules(std::mem::take(&mut action.rate_limits), &at)?;
            RouteAction::Forward(route_action::from_proto(action, &at)?)
        }
        Action::Redirect(action) => {
            RouteAction::Redirect(redirect::from_proto(action, &at.field("redirect"))?)
        }
        Action::DirectResponse(action) => {
            RouteAction::Direct(redirect::from_direct(action, &at.field("direct_response"))?)
        }
        Action::FilterAction(_) => return Err(at.field("filter_action").unsupported()),
        Action::NonForwardingAction(_) => {
            return Err(at.field("non_forwarding_action").unsupported());
        }
    };
    check_rewrite(&action, &matcher.path, at)?;
    Ok(Route {
        name: name.into(),
        matcher,
        action,
        policy,
        request_headers: header_ops::from_proto(
            request_headers_to_add,
            request_headers_to_remove,
            "request_headers_to_add",
            at,
        )?,
        response_headers: header_ops::from_proto(
            response_headers_to_add,
            response_headers_to_remove,
            "response_headers_to_add",
            at,
        )?,
        origin: IstioMetadata::from_proto(metadata.as_ref()).config,
    })
}

/// Substitutions must refer to groups that exist; Envoy refuses them too.
fn check_rewrite(
    action: &RouteAction,
    path: &PathMatch,
    at: &At<'_>,
) -> Result<(), InvalidResource> {
    let rewrite = match action {
        RouteAction::Forward(Forward { path_rewrite, .. }) => path_rewrite.as_ref(),
        RouteAction::Redirect(redirect) => redirect.path.as_ref(),
        RouteAction::Direct(_) => None,
    };
    match rewrite {
        None => Ok(()),
        Some(rewrite) => Rewriter::new(rewrite, path)
            .map(drop)
            .map_err(|invalid| at.field("regex_rewrite").value(invalid.to_string())),
    }
}

fn from_match(proto: MatchProto, at: &At<'_>) -> Result<RouteMatch, InvalidResource> {
    open!(at, proto => MatchProto {
        keep { case_sensitive, headers, query_parameters, path_specifier, dynamic_metadata }
        refuse { runtime_fraction, cookies, grpc, tls_context, filter_state }
        ignore {}
    });
    let path = match at.require("prefix", path_specifier)? {
        PathSpecifier::Prefix(text) => PathMatch::Prefix(text.into()),
        PathSpecifier::Path(text) => PathMatch::Exact(text.into()),
        PathSpecifier::PathSeparatedPrefix(text) => PathMatch::SegmentPrefix(text.into()),
        PathSpecifier::SafeRegex(matcher) => {
            PathMatch::Regex(header_match::from_regex(matcher, &at.field("safe_regex"))?.into())
        }
        PathSpecifier::ConnectMatcher(_) => return Err(at.field("connect_matcher").unsupported()),
        PathSpecifier::PathMatchPolicy(_) => {
            return Err(at.field("path_match_policy").unsupported());
        }
    };
    Ok(RouteMatch {
        path,
        case_sensitive: case_sensitive.is_none_or(|value| value.value),
        headers: at.list("headers", headers, header_match::from_header)?,
        query: at.list(
            "query_parameters",
            query_parameters,
            header_match::from_query,
        )?,
        claims: at.list(
            "dynamic_metadata",
            dynamic_metadata,
            token_match::from_route,
        )?,
    })
}
