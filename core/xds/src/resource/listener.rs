//! Listeners (LDS).

#![expect(
    deprecated,
    reason = "messages are opened completely, deprecated fields included"
)]

use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::TrafficDirection;
use envoy_types::pb::envoy::config::listener::v3::{
    FilterChain as ChainProto, FilterChainMatch, Listener as Proto, ListenerFilter, listener_filter,
};
use envoy_types::pb::envoy::extensions::filters::listener::{
    http_inspector::v3::HttpInspector, original_dst::v3::OriginalDst,
    tls_inspector::v3::TlsInspector,
};
use mesh_ir::{ChainMatch, Direction, FilterChain, Listener, names};
use prost::{Message, Name};

use super::border::{At, InvalidResource};
use super::{address, network, pack, values};

pub(super) fn to_proto(value: &Listener) -> Proto {
    let Listener {
        name,
        address,
        bind,
        use_original_destination,
        detect_http,
        direction,
        chains,
        default_chain,
    } = value;
    let mut listener_filters = vec![];
    if needs_original_destination(value) {
        listener_filters.push(filter(
            "envoy.filters.listener.original_dst",
            &OriginalDst {},
        ));
    }
    if *detect_http {
        listener_filters.push(filter(
            "envoy.filters.listener.http_inspector",
            &HttpInspector::default(),
        ));
    }
    Proto {
        name: name.to_string(),
        address: address::to_proto(*address),
        filter_chains: chains.iter().map(chain).collect(),
        default_filter_chain: default_chain.as_ref().map(chain),
        use_original_dst: use_original_destination
            .then_some(true)
            .and_then(values::bool_value),
        bind_to_port: (!bind).then_some(false).and_then(values::bool_value),
        listener_filters,
        // Clients that wait for the server's first bytes must not be cut off: Istio's default is to wait on.
        listener_filters_timeout: detect_http
            .then_some(Duration::ZERO)
            .and_then(values::duration),
        continue_on_listener_filters_timeout: *detect_http,
        traffic_direction: match direction {
            Direction::Inbound => TrafficDirection::Inbound,
            Direction::Outbound => TrafficDirection::Outbound,
        }
        .into(),
        ..Proto::default()
    }
}

/// Whether the destination before the redirection must be known: to hand connections over, to match chains by port, or to forward
/// to it.
fn needs_original_destination(listener: &Listener) -> bool {
    listener.use_original_destination
        || &*listener.name == names::VIRTUAL_INBOUND
        || listener
            .chains
            .iter()
            .any(|chain| chain.matcher.destination_port.is_some())
}

fn filter<T: Message + Name>(name: &str, config: &T) -> ListenerFilter {
    ListenerFilter {
        name: name.to_owned(),
        filter_disabled: None,
        config_type: Some(listener_filter::ConfigType::TypedConfig(pack(config))),
    }
}

fn chain(value: &FilterChain) -> ChainProto {
    let FilterChain {
        name,
        matcher,
        network,
    } = value;
    let ChainMatch {
        destination_port,
        application_protocols,
    } = matcher;
    let matcher = (*matcher != ChainMatch::default()).then(|| FilterChainMatch {
        destination_port: destination_port.and_then(|port| values::u32_value(port.into())),
        application_protocols: application_protocols
            .iter()
            .map(ToString::to_string)
            .collect(),
        ..FilterChainMatch::default()
    });
    ChainProto {
        filter_chain_match: matcher,
        filters: vec![network::to_proto(network)],
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
    let filters: Vec<bool> = at.list("listener_filters", listener_filters, is_http_inspector)?;
    let default_chain = default_filter_chain
        .map(|chain| from_chain(chain, direction, &at.field("default_filter_chain")))
        .transpose()?;
    Ok(Listener {
        name: name.into(),
        address: address::from_proto(address, &at.field("address"))?,
        bind: !not_bound,
        use_original_destination: values::is_true(use_original_dst),
        detect_http: filters.contains(&true),
        direction,
        chains: at.list("filter_chains", filter_chains, |chain, at| {
            from_chain(chain, direction, at)
        })?,
        default_chain,
    })
}

/// Checks a listener filter. The destination's and TLS's need no telling: the proxy looks for them where chains ask.
fn is_http_inspector(filter: ListenerFilter, at: &At<'_>) -> Result<bool, InvalidResource> {
    open!(at, filter => ListenerFilter {
        keep { name, config_type }
        refuse { filter_disabled }
        ignore {}
    });
    let Some(listener_filter::ConfigType::TypedConfig(any)) = config_type else {
        return Err(at.field("typed_config").missing());
    };
    if any.type_url == HttpInspector::type_url() {
        Ok(true)
    } else if [OriginalDst::type_url(), TlsInspector::type_url()].contains(&any.type_url) {
        Ok(false)
    } else {
        Err(at.value(format!(
            "the listener filter {name:?} ({}) is not supported by this proxy",
            any.type_url
        )))
    }
}

fn from_chain(
    proto: ChainProto,
    direction: Direction,
    at: &At<'_>,
) -> Result<FilterChain, InvalidResource> {
    open!(at, proto => ChainProto {
        keep { filter_chain_match, filters, name }
        refuse { use_proxy_proto, transport_socket }
        ignore { metadata, transport_socket_connect_timeout }
    });
    open!(&at.field("filter_chain_match"), filter_chain_match.unwrap_or_default() => FilterChainMatch {
        keep { destination_port, application_protocols }
        refuse {
            prefix_ranges, address_suffix, suffix_len, direct_source_prefix_ranges, source_type, source_prefix_ranges,
            source_ports, server_names, transport_protocol,
        }
        ignore {}
    });
    let port_at = at.field("filter_chain_match");
    let destination_port = destination_port
        .map(|port| values::port(port.value, &port_at.field("destination_port")))
        .transpose()?;
    let list = at.field("filters");
    let mut filters = filters.into_iter();
    let (Some(filter), None) = (filters.next(), filters.next()) else {
        return Err(list.value(
            "there must be exactly one network filter, http_connection_manager or tcp_proxy",
        ));
    };
    Ok(FilterChain {
        name: name.into(),
        matcher: ChainMatch {
            destination_port,
            application_protocols: application_protocols.into_iter().map(Into::into).collect(),
        },
        network: network::from_proto(filter, direction, &list.index(0))?,
    })
}
