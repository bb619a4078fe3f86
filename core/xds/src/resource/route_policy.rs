//! What the filters of the HTTP server do to the requests of one route: `typed_per_filter_config`.

use std::collections::HashMap;
use std::sync::Arc;

use envoy_types::pb::envoy::extensions::filters::http::{
    cors::v3::CorsPolicy, fault::v3::HttpFault,
};
use envoy_types::pb::google::protobuf::Any;
use mesh_ir::RoutePolicy;

use super::border::{At, InvalidResource};
use super::{cors, fault, pack, unpack};

pub(super) fn to_proto(value: &RoutePolicy) -> HashMap<String, Any> {
    let RoutePolicy {
        fault: failures,
        cors: sharing,
    } = value;
    let failures = failures
        .as_ref()
        .map(|failures| (fault::NAME, pack(&fault::to_proto(failures))));
    let sharing = sharing
        .as_ref()
        .map(|sharing| (cors::NAME, pack(&cors::to_proto(sharing))));
    failures
        .into_iter()
        .chain(sharing)
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
        } else {
            return Err(at.value(format!(
                "{name:?} ({}) is not supported by this proxy",
                any.type_url
            )));
        }
    }
    Ok(policy)
}
