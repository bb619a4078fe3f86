//! Terminal network filters: the HTTP connection manager and the TCP proxy.

#![expect(
    deprecated,
    reason = "messages are opened completely, deprecated fields included"
)]

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::HttpProtocolOptions;
use envoy_types::pb::envoy::config::listener::v3::{Filter, filter};
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager as HcmProto, HttpFilter, Rds, http_connection_manager, http_filter,
};
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::{
    TcpProxy as TcpProto,
    tcp_proxy::{ClusterSpecifier, WeightedCluster, weighted_cluster::ClusterWeight},
};
use http_connection_manager::{RouteSpecifier, ServerHeaderTransformation, UpgradeConfig};
use mesh_ir::{Direction, HttpConnectionManager, Network, Routes, TcpProxy};

use super::border::{At, InvalidResource};
use super::{access_log, pack, route, unpack, values};

const HCM: &str = "envoy.filters.network.http_connection_manager";
const TCP: &str = "envoy.filters.network.tcp_proxy";
const ROUTER: &str = "envoy.filters.http.router";
const WEBSOCKET: &str = "websocket";
/// What the header `server` of responses says.
const SERVER: &str = "istio-envoy";

pub(super) fn to_proto(value: &Network) -> Filter {
    let (name, config) = match value {
        Network::Http(http) => (HCM, pack(&hcm(http))),
        Network::Tcp(tcp) => (TCP, pack(&tcp_proxy(tcp))),
    };
    Filter {
        name: name.to_owned(),
        config_type: Some(filter::ConfigType::TypedConfig(config)),
    }
}

pub(super) fn from_proto(
    proto: Filter,
    direction: Direction,
    at: &At<'_>,
) -> Result<Network, InvalidResource> {
    let Filter { name, config_type } = proto;
    let Some(filter::ConfigType::TypedConfig(any)) = config_type else {
        return Err(at.field("typed_config").missing());
    };
    let config = at.field("typed_config");
    if let Some(proto) = unpack::<HcmProto>(&any, &config)? {
        return from_hcm(proto, direction, &config).map(Network::Http);
    }
    if let Some(proto) = unpack::<TcpProto>(&any, &config)? {
        return from_tcp_proxy(proto, &config).map(Network::Tcp);
    }
    Err(at.value(format!(
        "the network filter {name:?} ({}) is not supported by this proxy",
        any.type_url
    )))
}

fn hcm(value: &HttpConnectionManager) -> HcmProto {
    let HttpConnectionManager {
        stat_prefix,
        routes,
        direction,
        use_remote_address,
        websocket,
        idle_timeout,
        access_log,
    } = value;
    // As Istio: the mesh names itself at the edge and in front of workloads only.
    let names_itself = *use_remote_address || *direction == Direction::Inbound;
    let (server_name, server_header) = if names_itself {
        (SERVER.to_owned(), ServerHeaderTransformation::Overwrite)
    } else {
        (String::new(), ServerHeaderTransformation::PassThrough)
    };
    let upgrade = websocket.then(|| UpgradeConfig {
        upgrade_type: WEBSOCKET.to_owned(),
        ..UpgradeConfig::default()
    });
    HcmProto {
        stat_prefix: stat_prefix.to_string(),
        route_specifier: Some(match routes {
            Routes::Discovered(name) => RouteSpecifier::Rds(Rds {
                config_source: values::ads(),
                route_config_name: name.to_string(),
            }),
            Routes::Inline(config) => RouteSpecifier::RouteConfig(route::to_proto(config)),
        }),
        http_filters: vec![HttpFilter {
            name: ROUTER.to_owned(),
            config_type: Some(http_filter::ConfigType::TypedConfig(pack(
                &Router::default(),
            ))),
            ..HttpFilter::default()
        }],
        use_remote_address: values::bool_value(*use_remote_address),
        upgrade_configs: upgrade.into_iter().collect(),
        common_http_protocol_options: Some(HttpProtocolOptions {
            idle_timeout: values::limit(*idle_timeout),
            ..HttpProtocolOptions::default()
        }),
        // As Istio: routes limit requests, streams may rest.
        stream_idle_timeout: values::duration(Duration::ZERO),
        normalize_path: values::bool_value(true),
        server_name,
        server_header_transformation: server_header.into(),
        access_log: access_log::to_proto(access_log.as_ref()),
        ..HcmProto::default()
    }
}

fn from_hcm(
    proto: HcmProto,
    direction: Direction,
    at: &At<'_>,
) -> Result<HttpConnectionManager, InvalidResource> {
    open!(at, proto => HcmProto {
        keep {
            stat_prefix, http_filters, common_http_protocol_options, access_log, use_remote_address, upgrade_configs,
            route_specifier,
        }
        refuse {
            original_ip_detection_extensions, early_header_mutation_extensions, internal_address_config, skip_xff_append,
            forward_client_cert_matcher, local_reply_config, strip_matching_host_port, strip_trailing_host_dot,
            strip_port_mode, append_x_forwarded_port, append_local_overload, add_proxy_protocol_connection_state,
            typed_header_validation_config, xff_num_trusted_hops, add_user_agent, forward_proto_config,
            scheme_header_transformation,
        }
        ignore {
            codec_type, tracing, http1_safe_max_connection_duration, http_protocol_options, http2_protocol_options,
            http3_protocol_options, server_name, server_header_transformation, max_request_headers_kb,
            stream_idle_timeout, stream_flush_timeout, request_timeout, request_headers_timeout, drain_timeout,
            drain_timeout_jitter, delayed_close_timeout, access_log_flush_interval, flush_access_log_on_new_request,
            access_log_options, via, generate_request_id, preserve_external_request_id,
            always_set_request_id_in_response, forward_client_cert_details, set_current_client_cert_details,
            proxy_100_continue, represent_ipv4_remote_address_as_ipv4_mapped_ipv6, normalize_path, merge_slashes,
            path_with_escaped_slashes_action, request_id_extension, stream_error_on_invalid_http_message,
            path_normalization_options, proxy_status_config,
        }
    });
    check_http_filters(http_filters, at)?;
    let idle = common_http_protocol_options.and_then(|options| options.idle_timeout);
    let upgrades: Vec<bool> = at.list("upgrade_configs", upgrade_configs, from_upgrade)?;
    Ok(HttpConnectionManager {
        stat_prefix: stat_prefix.into(),
        routes: from_routes(route_specifier, at)?,
        direction,
        use_remote_address: values::is_true(use_remote_address),
        websocket: upgrades.contains(&true),
        idle_timeout: values::from_limit(
            idle,
            Some(values::DEFAULT_IDLE),
            &at.field("common_http_protocol_options")
                .field("idle_timeout"),
        )?,
        access_log: access_log::from_proto(access_log, at)?,
    })
}

fn from_routes(specifier: Option<RouteSpecifier>, at: &At<'_>) -> Result<Routes, InvalidResource> {
    match specifier {
        Some(RouteSpecifier::Rds(rds)) => {
            let Rds {
                config_source,
                route_config_name,
            } = rds;
            let at = at.field("rds");
            values::from_ads(config_source, &at.field("config_source"))?;
            Ok(Routes::Discovered(route_config_name.into()))
        }
        Some(RouteSpecifier::RouteConfig(config)) => {
            let config = route::from_proto(config, &at.field("route_config"))?;
            Ok(Routes::Inline(Arc::new(config)))
        }
        Some(RouteSpecifier::ScopedRoutes(_)) => Err(at.field("scoped_routes").unsupported()),
        None => Err(at.field("rds").missing()),
    }
}

/// The router must be the last filter; no other has an effect here.
fn check_http_filters(filters: Vec<HttpFilter>, at: &At<'_>) -> Result<(), InvalidResource> {
    let routers: Vec<bool> = at.list("http_filters", filters, |filter, at| {
        let HttpFilter {
            name,
            is_optional,
            disabled,
            config_type,
        } = filter;
        let known = match &config_type {
            Some(http_filter::ConfigType::TypedConfig(any)) => {
                unpack::<Router>(any, &at.field("typed_config"))?.is_some()
            }
            Some(http_filter::ConfigType::ConfigDiscovery(_)) => false,
            None => name == ROUTER,
        };
        if known || is_optional || disabled {
            Ok(known && !disabled)
        } else {
            Err(at.value(format!(
                "the HTTP filter {name:?} is not supported by this proxy"
            )))
        }
    })?;
    match routers.last() {
        Some(true) => Ok(()),
        _ => Err(at
            .field("http_filters")
            .value("the last filter must be the router")),
    }
}

fn from_upgrade(proto: UpgradeConfig, at: &At<'_>) -> Result<bool, InvalidResource> {
    open!(at, proto => UpgradeConfig {
        keep { upgrade_type, enabled }
        refuse { filters }
        ignore {}
    });
    if upgrade_type.eq_ignore_ascii_case(WEBSOCKET) {
        Ok(enabled.is_none_or(|enabled| enabled.value))
    } else {
        Err(at.field("upgrade_type").unsupported())
    }
}

fn tcp_proxy(value: &TcpProxy) -> TcpProto {
    let TcpProxy {
        stat_prefix,
        clusters,
        idle_timeout,
        access_log,
    } = value;
    let specifier = match clusters.as_slice() {
        [(cluster, 1)] => ClusterSpecifier::Cluster(cluster.to_string()),
        clusters => ClusterSpecifier::WeightedClusters(WeightedCluster {
            clusters: clusters
                .iter()
                .map(|(name, weight)| ClusterWeight {
                    name: name.to_string(),
                    weight: *weight,
                    metadata_match: None,
                })
                .collect(),
        }),
    };
    TcpProto {
        stat_prefix: stat_prefix.to_string(),
        idle_timeout: values::limit(*idle_timeout),
        access_log: access_log::to_proto(access_log.as_ref()),
        cluster_specifier: Some(specifier),
        ..TcpProto::default()
    }
}

fn from_tcp_proxy(proto: TcpProto, at: &At<'_>) -> Result<TcpProxy, InvalidResource> {
    open!(at, proto => TcpProto {
        keep { stat_prefix, idle_timeout, access_log, cluster_specifier }
        refuse {
            on_demand, metadata_match, downstream_idle_timeout, upstream_idle_timeout, hash_policy, tunneling_config,
            max_downstream_connection_duration, max_downstream_connection_duration_jitter_percentage,
            proxy_protocol_tlvs, proxy_protocol_tlv_merge_policy, upstream_connect_mode,
        }
        ignore {
            max_connect_attempts, backoff_options, access_log_flush_interval, flush_access_log_on_connected,
            access_log_options, max_early_data_bytes, check_drain_close,
        }
    });
    let clusters = match cluster_specifier {
        Some(ClusterSpecifier::Cluster(cluster)) => vec![(cluster.into(), 1)],
        Some(ClusterSpecifier::WeightedClusters(WeightedCluster { clusters })) => {
            let at = at.field("weighted_clusters");
            let clusters = at.list("clusters", clusters, |cluster, at| {
                open!(at, cluster => ClusterWeight {
                    keep { name, weight }
                    refuse { metadata_match }
                    ignore {}
                });
                if weight == 0 {
                    return Err(at.field("weight").value("must be at least 1"));
                }
                Ok((Arc::from(name), weight))
            })?;
            if clusters.is_empty() {
                return Err(at.field("clusters").missing());
            }
            clusters
        }
        None => return Err(at.field("cluster").missing()),
    };
    Ok(TcpProxy {
        stat_prefix: stat_prefix.into(),
        clusters,
        idle_timeout: values::from_limit(
            idle_timeout,
            Some(values::DEFAULT_IDLE),
            &at.field("idle_timeout"),
        )?,
        access_log: access_log::from_proto(access_log, at)?,
    })
}
