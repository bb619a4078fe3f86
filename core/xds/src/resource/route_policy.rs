//! What the filters of the HTTP server do to the requests of one route: `typed_per_filter_config`.

use std::collections::HashMap;
use std::sync::Arc;

use envoy_types::pb::envoy::extensions::filters::http::{
    cors::v3::CorsPolicy, fault::v3::HttpFault, local_ratelimit::v3::LocalRateLimit,
};
use envoy_types::pb::google::protobuf::Any;
use mesh_ir::RoutePolicy;

use super::border::{At, InvalidResource};
use super::{cors, fault, pack, rate_limit, unpack};

pub(super) fn to_proto(value: &RoutePolicy) -> HashMap<String, Any> {
    let RoutePolicy {
        fault: failures,
        cors: sharing,
        local_rate_limit,
        // It is part of the route's action.
        rate_limits: _,
    } = value;
    let failures = failures
        .as_ref()
        .map(|failures| (fault::NAME, pack(&fault::to_proto(failures))));
    let sharing = sharing
        .as_ref()
        .map(|sharing| (cors::NAME, pack(&cors::to_proto(sharing))));
    let limit = local_rate_limit
        .as_ref()
        .map(|limit| (rate_limit::LOCAL, pack(&rate_limit::local(limit))));
    failures
        .into_iter()
        .chain(sharing)
        .chain(limit)
        .map(|(name, config)| (name.to_owned(), config))
        .collect()
}

pub(super) fn from_proto(
    configs: HashMap<String, Any>,
    at: &At<'_>,
) -> Result<RoutePolicy, InvalidResource> {
    let at = at.field("typed_per_filter_config");
    let mut policy = RoutePolicy::default();
    for (name, any) in configs {
        if let Some(proto) = unpack::<HttpFault>(&any, &at)? {
            policy.fault = Some(Arc::new(fault::from_proto(proto, &at)?));
        } else if let Some(proto) = unpack::<CorsPolicy>(&any, &at)? {
            policy.cors = Some(Arc::new(cors::from_proto(proto, &at)?));
        } else if let Some(proto) = unpack::<LocalRateLimit>(&any, &at)? {
            policy.local_rate_limit = Some(Arc::new(rate_limit::from_local(proto, &at)?));
        } else {
            return Err(at.value(format!(
                "{name:?} ({}) is not supported by this proxy",
                any.type_url
            )));
        }
    }
    Ok(policy)
}
