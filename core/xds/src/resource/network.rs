//! Terminal network filters: the HTTP connection manager and the TCP proxy.

use envoy_types::pb::envoy::config::listener::v3::{Filter, filter};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
use mesh_ir::{Direction, MetricsPolicy, Network};

use super::border::{At, InvalidResource};
use super::{http_connection_manager, pack, tcp_proxy, unpack};

const HCM: &str = "envoy.filters.network.http_connection_manager";
const TCP: &str = "envoy.filters.network.tcp_proxy";

pub(super) fn to_proto(value: &Network) -> Filter {
    let (name, config) = match value {
        Network::Http(http) => (HCM, pack(&http_connection_manager::to_proto(http))),
        Network::Tcp(tcp) => (TCP, pack(&tcp_proxy::to_proto(tcp))),
    };
    Filter {
        name: name.to_owned(),
        config_type: Some(filter::ConfigType::TypedConfig(config)),
    }
}

/// `metrics` are the changes to metrics that the chain tells of.
pub(super) fn from_proto(
    proto: Filter,
    direction: Direction,
    metrics: MetricsPolicy,
    at: &At<'_>,
) -> Result<Network, InvalidResource> {
    let Filter { name, config_type } = proto;
    let Some(filter::ConfigType::TypedConfig(any)) = config_type else {
        return Err(at.field("typed_config").missing());
    };
    let config = at.field("typed_config");
    if let Some(proto) = unpack::<HttpConnectionManager>(&any, &config)? {
        return http_connection_manager::from_proto(proto, direction, &config).map(Network::Http);
    }
    if let Some(proto) = unpack::<TcpProxy>(&any, &config)? {
        return tcp_proxy::from_proto(proto, metrics, &config).map(Network::Tcp);
    }
    Err(at.value(format!(
        "the network filter {name:?} ({}) is not supported by this proxy",
        any.type_url
    )))
}
