//! Listeners (LDS).

#![expect(
    deprecated,
    reason = "messages are opened completely, deprecated fields included"
)]

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::TrafficDirection;
use envoy_types::pb::envoy::config::listener::v3::{FilterChain as ChainProto, Listener as Proto};
use mesh_ir::{Direction, FilterChain, Listener, Network};

use super::border::{At, InvalidResource};
use super::{address, chain_match, inspect, metrics, network, network_filters, server_tls, values};

pub(super) fn to_proto(value: &Listener) -> Proto {
    let Listener {
        name,
        address,
        bind,
        use_original_destination,
        inspect,
        direction,
        chains,
        default_chain,
    } = value;
    let waits = inspect.tls || inspect.http;
    Proto {
        name: name.to_string(),
        address: address::to_proto(*address),
        filter_chains: chains.iter().map(chain).collect(),
        default_filter_chain: default_chain.as_ref().map(chain),
        use_original_dst: use_original_destination
            .then_some(true)
            .and_then(values::bool_value),
        bind_to_port: (!bind).then_some(false).and_then(values::bool_value),
        listener_filters: inspect::to_proto(inspect),
        // Clients that wait for the server's first bytes must not be cut off: Istio's default is to wait on.
        listener_filters_timeout: waits.then_some(Duration::ZERO).and_then(values::duration),
        continue_on_listener_filters_timeout: waits,
        traffic_direction: match direction {
            Direction::Inbound => TrafficDirection::Inbound,
            Direction::Outbound => TrafficDirection::Outbound,
        }
        .into(),
        ..Proto::default()
    }
}

fn chain(value: &FilterChain) -> ChainProto {
    let FilterChain {
        name,
        matcher,
        tls,
        filters,
        network,
    } = value;
    let before = network_filters::to_proto(filters).into_iter();
    ChainProto {
        filter_chain_match: chain_match::to_proto(matcher),
        filters: before.chain([network::to_proto(network)]).collect(),
        transport_socket: tls.as_deref().map(server_tls::to_proto),
        metadata: match network {
            Network::Tcp(tcp) => metrics::to_metadata(&tcp.telemetry.metrics),
            Network::Http(_) => None,
        },
        name: name.to_string(),
        ..ChainProto::default()
    }
}

pub(super) fn from_proto(proto: Proto, at: &At<'_>) -> Result<Listener, InvalidResource> {
    open!(at, proto => Proto {
        keep {
            name, address, filter_chains, use_original_dst, default_filter_chain, deprecated_v1, bind_to_port,
            listener_filters, traffic_direction,
        }
        refuse {
            additional_addresses, fcds_config, filter_chain_matcher, transparent, freebind, socket_options,
            udp_listener_config, api_listener, enable_mptcp, listener_specifier,
        }
        ignore {
            stat_prefix, stats_matcher, per_connection_buffer_limit_bytes, per_connection_buffer_high_watermark_timeout,
            metadata, drain_type, listener_filters_timeout, continue_on_listener_filters_timeout,
            tcp_fast_open_queue_length, connection_balance_config, reuse_port, enable_reuse_port, access_log,
            tcp_backlog_size, max_connections_to_accept_per_socket_event, ignore_global_conn_limit,
            bypass_overload_manager, tcp_keepalive,
        }
    });
    let direction = match TrafficDirection::try_from(traffic_direction) {
        Ok(TrafficDirection::Inbound) => Direction::Inbound,
        // Gateways' listeners have no direction or the outbound one.
        Ok(TrafficDirection::Outbound | TrafficDirection::Unspecified) => Direction::Outbound,
        Err(_) => return Err(at.field("traffic_direction").unsupported()),
    };
    let not_bound = [
        bind_to_port,
        deprecated_v1.and_then(|deprecated| deprecated.bind_to_port),
    ]
    .into_iter()
    .flatten()
    .any(|bind| !bind.value);
    let default_chain = default_filter_chain
        .map(|chain| from_chain(chain, direction, &at.field("default_filter_chain")))
        .transpose()?;
    Ok(Listener {
        name: name.into(),
        address: address::from_proto(address, &at.field("address"))?,
        bind: !not_bound,
        use_original_destination: values::is_true(use_original_dst),
        inspect: inspect::from_proto(listener_filters, at)?,
        direction,
        chains: at.list("filter_chains", filter_chains, |chain, at| {
            from_chain(chain, direction, at)
        })?,
        default_chain,
    })
}

fn from_chain(
    proto: ChainProto,
    direction: Direction,
    at: &At<'_>,
) -> Result<FilterChain, InvalidResource> {
    open!(at, proto => ChainProto {
        keep { filter_chain_match, filters, name, transport_socket, metadata }
        refuse { use_proxy_proto }
        ignore { transport_socket_connect_timeout }
    });
    let mut filters = filters;
    let list = at.field("filters");
    let Some(last) = filters.pop() else {
        return Err(
            list.value("the last network filter must be http_connection_manager or tcp_proxy")
        );
    };
    let end = list.index(filters.len());
    Ok(FilterChain {
        name: name.into(),
        matcher: chain_match::from_proto(filter_chain_match, &at.field("filter_chain_match"))?,
        tls: transport_socket
            .map(|socket| server_tls::from_proto(socket, &at.field("transport_socket")))
            .transpose()?
            .map(Arc::new),
        filters: network_filters::from_proto(filters, at)?,
        network: network::from_proto(
            last,
            direction,
            metrics::from_metadata(metadata.as_ref()),
            &end,
        )?,
    })
}
