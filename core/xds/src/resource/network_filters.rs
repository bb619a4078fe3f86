//! Network filters before the end of a chain, in their order.

use std::sync::Arc;

use envoy_types::pb::envoy::config::listener::v3::{Filter, filter::ConfigType};
use envoy_types::pb::envoy::extensions::filters::network::{
    connection_limit::v3::ConnectionLimit, ext_authz::v3::ExtAuthz,
    local_ratelimit::v3::LocalRateLimit, rbac::v3::Rbac, sni_cluster::v3::SniCluster,
};
use envoy_types::pb::google::protobuf::Any;
use mesh_ir::NetworkFilter;
use mesh_ir::policy::ExternalAuthorization;

use super::border::{At, InvalidResource};
use super::{
    authorization, extension, external_authorization, filter_list, pack, rate_limit, unpack,
};

const SNI_CLUSTER: &str = "envoy.filters.network.sni_cluster";

pub(super) fn to_proto(filters: &[NetworkFilter]) -> Vec<Filter> {
    filters.iter().flat_map(of).collect()
}

fn of(value: &NetworkFilter) -> Vec<Filter> {
    let one = |name, config| vec![filter(name, config)];
    match value {
        NetworkFilter::Authorize(policies) => authorization::filters(policies)
            .iter()
            .map(|rules| filter(authorization::NETWORK, pack(&rules.to_network())))
            .collect(),
        NetworkFilter::ExternalAuthorize(external) => external_filters(external),
        NetworkFilter::RateLimit(limit) => one(
            rate_limit::CONNECTION_RATE,
            pack(&rate_limit::connection_rate(limit)),
        ),
        NetworkFilter::ConnectionLimit(limit) => one(
            rate_limit::CONNECTION,
            pack(&rate_limit::connection_limit(limit)),
        ),
        NetworkFilter::SniCluster => one(SNI_CLUSTER, pack(&SniCluster {})),
    }
}

/// An authorizer that can be asked over HTTP only cannot be asked about connections: they are denied, as Istio documents.
fn external_filters(value: &ExternalAuthorization) -> Vec<Filter> {
    let ExternalAuthorization { provider, policies } = value;
    let rules =
        |rules: authorization::Filter| filter(authorization::NETWORK, pack(&rules.to_network()));
    let gated = !external_authorization::is_about_everything(policies);
    let asks = provider.as_ref().and_then(|provider| {
        let asks = external_authorization::to_network(provider, gated)?;
        Some((provider, asks))
    });
    let Some((provider, asks)) = asks else {
        return vec![rules(authorization::denies(policies))];
    };
    let prefix = [&external_authorization::rule_prefix(&provider.name), "-"].concat();
    let before = gated.then(|| rules(authorization::asks(policies, &prefix)));
    before
        .into_iter()
        .chain([filter(external_authorization::NETWORK, pack(&asks))])
        .collect()
}

fn filter(name: &str, config: Any) -> Filter {
    Filter {
        name: name.to_owned(),
        config_type: Some(ConfigType::TypedConfig(config)),
    }
}

type Found = filter_list::Found<NetworkFilter>;

/// The filters of a chain but the last.
pub(super) fn from_proto(
    filters: Vec<Filter>,
    at: &At<'_>,
) -> Result<Vec<NetworkFilter>, InvalidResource> {
    let found: Vec<Found> = at.list("filters", filters, from_one)?;
    filter_list::join(found, &at.field("filters"))
}

fn from_one(proto: Filter, at: &At<'_>) -> Result<Found, InvalidResource> {
    let Filter { name, config_type } = proto;
    let Some(ConfigType::TypedConfig(any)) = config_type else {
        return Err(at.field("typed_config").missing());
    };
    let config = at.field("typed_config");
    if let Some(proto) = unpack::<Rbac>(&any, &config)? {
        return authorization::Filter::from_network(proto, &config).map(Found::Rules);
    }
    if let Some(proto) = unpack::<ExtAuthz>(&any, &config)? {
        let asks = external_authorization::from_network(proto, &config)?;
        return Ok(Found::Asks(Box::new(asks)));
    }
    let filter = if let Some(proto) = unpack::<LocalRateLimit>(&any, &config)? {
        let limit = rate_limit::from_connection_rate(proto, &config)?;
        NetworkFilter::RateLimit(Arc::new(limit))
    } else if let Some(proto) = unpack::<ConnectionLimit>(&any, &config)? {
        let limit = rate_limit::from_connection_limit(proto, &config)?;
        NetworkFilter::ConnectionLimit(Arc::new(limit))
    } else if unpack::<SniCluster>(&any, &config)?.is_some() {
        NetworkFilter::SniCluster
    } else if extension::is_without_effect(&any) {
        return Ok(Found::Nothing);
    } else {
        return Err(at.value(format!(
            "the network filter {name:?} ({}) is not supported by this proxy",
            any.type_url
        )));
    };
    Ok(Found::Filter(filter))
}
