//! HTTP filters, in their order; the router, which must be the last one, is understood.

use envoy_types::pb::envoy::extensions::filters::http::{
    cors::v3::Cors, fault::v3::HttpFault, router::v3::Router,
};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpFilter as Proto, http_filter,
};
use envoy_types::pb::google::protobuf::Any;
use mesh_ir::HttpFilter;

use super::border::{At, InvalidResource};
use super::{cors, fault, pack, unpack};

const ROUTER: &str = "envoy.filters.http.router";

pub(super) fn to_proto(filters: &[HttpFilter]) -> Vec<Proto> {
    let router = filter(ROUTER, pack(&Router::default()));
    filters.iter().map(one).chain([router]).collect()
}

fn one(value: &HttpFilter) -> Proto {
    match value {
        HttpFilter::Fault => filter(fault::NAME, pack(&HttpFault::default())),
        HttpFilter::Cors => filter(cors::NAME, pack(&Cors {})),
    }
}

fn filter(name: &str, config: Any) -> Proto {
    Proto {
        name: name.to_owned(),
        config_type: Some(http_filter::ConfigType::TypedConfig(config)),
        ..Proto::default()
    }
}

/// What a filter of the list is.
enum Found {
    Filter(HttpFilter),
    Router,
    /// One that is switched off, or that nobody minds the absence of.
    Nothing,
}

pub(super) fn from_proto(
    filters: Vec<Proto>,
    at: &At<'_>,
) -> Result<Vec<HttpFilter>, InvalidResource> {
    let found: Vec<Found> = at.list("http_filters", filters, from_one)?;
    if !matches!(found.last(), Some(Found::Router)) {
        return Err(at
            .field("http_filters")
            .value("the last filter must be the router"));
    }
    let filters = found.into_iter().filter_map(|found| match found {
        Found::Filter(filter) => Some(filter),
        Found::Router | Found::Nothing => None,
    });
    Ok(filters.collect())
}

fn from_one(proto: Proto, at: &At<'_>) -> Result<Found, InvalidResource> {
    let Proto {
        name,
        is_optional,
        disabled,
        config_type,
    } = proto;
    let found = match config_type {
        Some(http_filter::ConfigType::TypedConfig(any)) => {
            from_config(&any, &at.field("typed_config"))?
        }
        Some(http_filter::ConfigType::ConfigDiscovery(_)) => None,
        None => (name == ROUTER).then_some(Found::Router),
    };
    match found {
        _ if disabled => Ok(Found::Nothing),
        Some(found) => Ok(found),
        None if is_optional => Ok(Found::Nothing),
        None => Err(at.value(format!(
            "the HTTP filter {name:?} is not supported by this proxy"
        ))),
    }
}

/// None if the filter is unknown.
fn from_config(any: &Any, at: &At<'_>) -> Result<Option<Found>, InvalidResource> {
    if unpack::<Router>(any, at)?.is_some() {
        return Ok(Some(Found::Router));
    }
    if let Some(proto) = unpack::<HttpFault>(any, at)? {
        // Failures of all routes would be failures of none in particular.
        return if proto == HttpFault::default() {
            Ok(Some(Found::Filter(HttpFilter::Fault)))
        } else {
            Err(at.value("only routes can inject faults"))
        };
    }
    if unpack::<Cors>(any, at)?.is_some() {
        return Ok(Some(Found::Filter(HttpFilter::Cors)));
    }
    Ok(None)
}
