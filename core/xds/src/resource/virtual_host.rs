//! Virtual hosts: parts of a route configuration (RDS), or resources of their own (VHDS).
//!
//! Envoy keeps discovered virtual hosts by the names in the messages and removes them by the names of the resources, so both are the
//! same, `ROUTE CONFIGURATION/VIRTUAL HOST`. A value holds the second part only: the name that it would have inside of its table.

#![expect(
    deprecated,
    reason = "messages are opened completely, deprecated fields included"
)]

use std::sync::Arc;

use envoy_types::pb::envoy::config::route::v3::{
    Route as RouteProto, VirtualHost as Proto, route::Action,
};
use mesh_ir::{RouteAction, VirtualHost};

use super::border::{At, InvalidResource};
use super::{rate_limit, route};

/// A virtual host that is a resource of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DiscoveredHost {
    /// Name of the resource, `ROUTE CONFIGURATION/VIRTUAL HOST`; see [`resource_name`](mesh_ir::names::virtual_host_resource).
    pub name: Arc<str>,
    /// The virtual host.
    pub host: Arc<VirtualHost>,
}

pub(super) fn to_proto(value: &VirtualHost) -> Proto {
    let VirtualHost {
        name,
        domains,
        routes,
    } = value;
    Proto {
        name: name.to_string(),
        domains: domains.iter().map(ToString::to_string).collect(),
        routes: routes.iter().map(route::route).collect(),
        ..Proto::default()
    }
}

/// The message of a resource.
pub(super) fn discovered_to_proto(value: &DiscoveredHost) -> Proto {
    let DiscoveredHost { name, host } = value;
    Proto {
        name: name.to_string(),
        ..to_proto(host)
    }
}

pub(super) fn from_proto(proto: Proto, at: &At<'_>) -> Result<VirtualHost, InvalidResource> {
    open!(at, proto => Proto {
        keep { name, domains, routes, rate_limits }
        refuse {
            matcher, require_tls, request_headers_to_add, request_headers_to_remove, response_headers_to_add,
            response_headers_to_remove, cors, typed_per_filter_config, include_attempt_count_in_response, retry_policy,
            retry_policy_typed_config, hedge_policy, per_request_buffer_limit_bytes, request_body_buffer_limit,
            request_mirror_policies, route_specifiers,
        }
        ignore {
            virtual_clusters, include_request_attempt_count, include_is_timeout_retry_header, metadata,
        }
    });
    let includes: Vec<bool> = routes.iter().map(includes_rate_limits).collect();
    let mut routes = at.list("routes", routes, route::from_route)?;
    let of_all = rate_limit::from_rules(rate_limits, at)?;
    // Those of all routes count where a route has none of its own, or says so.
    for (route, includes) in routes.iter_mut().zip(includes) {
        let own = &mut route.policy.rate_limits;
        let forwards = matches!(route.action, RouteAction::Forward(_));
        if forwards && (own.is_empty() || includes) {
            own.extend(of_all.iter().cloned());
        }
    }
    Ok(VirtualHost {
        name: name.into(),
        domains: domains
            .into_iter()
            .map(|domain| domain.to_ascii_lowercase().into())
            .collect(),
        routes,
    })
}

/// Whether a route has the rate limits of its virtual host beside its own.
fn includes_rate_limits(proto: &RouteProto) -> bool {
    let Some(Action::Route(action)) = &proto.action else {
        return false;
    };
    action.include_vh_rate_limits.is_some_and(|it| it.value)
}

/// The value of a resource.
pub(super) fn discovered_from_proto(
    proto: Proto,
    at: &At<'_>,
) -> Result<DiscoveredHost, InvalidResource> {
    let mut host = from_proto(proto, at)?;
    let name = host.name.clone();
    let Some((_, own)) = name.rsplit_once('/') else {
        return Err(at.field("name").value(format!(
            "{name:?} is not of the form ROUTE CONFIGURATION/VIRTUAL HOST"
        )));
    };
    host.name = own.into();
    let host = Arc::new(host);
    Ok(DiscoveredHost { name, host })
}
