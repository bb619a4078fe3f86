//! Clusters (CDS).

#![expect(
    deprecated,
    reason = "messages are opened completely, deprecated fields included"
)]

use std::collections::HashMap;
use std::sync::Arc;

use envoy_types::pb::envoy::config::cluster::v3::{
    CircuitBreakers, Cluster as Proto,
    circuit_breakers::Thresholds,
    cluster::{ClusterDiscoveryType, DiscoveryType, DnsLookupFamily, EdsClusterConfig, LbPolicy},
};
use envoy_types::pb::envoy::config::core::v3::{
    BindConfig, Http1ProtocolOptions, Http2ProtocolOptions,
    HttpProtocolOptions as CommonHttpOptions, SocketAddress, socket_address::PortSpecifier,
};
use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, LbEndpoint, LocalityLbEndpoints,
};
use envoy_types::pb::envoy::extensions::upstreams::http::v3::{
    HttpProtocolOptions,
    http_protocol_options::{
        ExplicitHttpConfig, UpstreamProtocolOptions, explicit_http_config::ProtocolConfig,
    },
};
use envoy_types::pb::google::protobuf;
use mesh_ir::{Cluster, ClusterKind, HttpProtocol, Limits, LoadBalancing, names};

use super::border::{At, InvalidResource};
use super::metadata::IstioMetadata;
use super::{address, endpoints, pack, unpack, values};

const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// Source of connections to inbound destinations: Istio's iptables rules let it through, so that they are not captured again.
const INBOUND_SOURCE: &str = "127.0.0.6";

/// Envoy's circuit breakers where none are configured.
const DEFAULT_LIMIT: u32 = 1024;
const DEFAULT_RETRIES: u32 = 3;

pub(super) fn to_proto(value: &Cluster) -> Proto {
    let Cluster {
        name,
        kind,
        connect_timeout,
        load_balancing,
        protocol,
        limits,
        services,
        origin,
    } = value;
    let mut proto = Proto {
        name: name.to_string(),
        connect_timeout: values::duration(*connect_timeout),
        lb_policy: match load_balancing {
            LoadBalancing::RoundRobin => LbPolicy::RoundRobin,
            LoadBalancing::LeastRequest => LbPolicy::LeastRequest,
            LoadBalancing::Random => LbPolicy::Random,
            LoadBalancing::ClusterProvided => LbPolicy::ClusterProvided,
        }
        .into(),
        circuit_breakers: Some(circuit_breakers(limits)),
        typed_extension_protocol_options: http_options(*protocol, limits),
        metadata: IstioMetadata {
            config: origin.clone(),
            services: services.clone(),
            workload: None,
        }
        .to_proto(),
        ..Proto::default()
    };
    let discovery = match kind {
        ClusterKind::Eds => {
            proto.eds_cluster_config = Some(EdsClusterConfig {
                eds_config: values::ads(),
                service_name: name.to_string(),
            });
            DiscoveryType::Eds
        }
        ClusterKind::Static(endpoints) => {
            proto.load_assignment = Some(endpoints::to_proto(endpoints));
            DiscoveryType::Static
        }
        ClusterKind::StrictDns(hosts) => {
            proto.load_assignment = Some(host_names(name, hosts));
            proto.dns_lookup_family = DnsLookupFamily::V4Preferred.into();
            DiscoveryType::StrictDns
        }
        ClusterKind::OriginalDestination => {
            if &**name == names::INBOUND_PASSTHROUGH {
                proto.upstream_bind_config = Some(inbound_source());
            }
            DiscoveryType::OriginalDst
        }
    };
    proto.cluster_discovery_type = Some(ClusterDiscoveryType::Type(discovery.into()));
    proto
}

fn host_names(cluster: &str, hosts: &[(Arc<str>, u16)]) -> ClusterLoadAssignment {
    let lb_endpoints = hosts
        .iter()
        .map(|(host, port)| LbEndpoint {
            host_identifier: Some(endpoints::host(address::named(host, *port))),
            ..LbEndpoint::default()
        })
        .collect();
    ClusterLoadAssignment {
        cluster_name: cluster.to_owned(),
        endpoints: vec![LocalityLbEndpoints {
            lb_endpoints,
            ..LocalityLbEndpoints::default()
        }],
        ..ClusterLoadAssignment::default()
    }
}

fn inbound_source() -> BindConfig {
    BindConfig {
        source_address: Some(SocketAddress {
            address: INBOUND_SOURCE.to_owned(),
            port_specifier: Some(PortSpecifier::PortValue(0)),
            ..SocketAddress::default()
        }),
        ..BindConfig::default()
    }
}

fn circuit_breakers(limits: &Limits) -> CircuitBreakers {
    let Limits {
        max_connections,
        max_pending_requests,
        max_requests,
        max_requests_per_connection: _,
        max_retries,
        idle_timeout: _,
    } = limits;
    let limit = |value: &Option<u32>| values::u32_value(value.unwrap_or(u32::MAX));
    CircuitBreakers {
        thresholds: vec![Thresholds {
            max_connections: limit(max_connections),
            max_pending_requests: limit(max_pending_requests),
            max_requests: limit(max_requests),
            max_retries: limit(max_retries),
            track_remaining: true,
            ..Thresholds::default()
        }],
        per_host_thresholds: vec![],
    }
}

fn http_options(protocol: HttpProtocol, limits: &Limits) -> HashMap<String, protobuf::Any> {
    if protocol == HttpProtocol::Http1
        && limits.idle_timeout.is_none()
        && limits.max_requests_per_connection.is_none()
    {
        return HashMap::new();
    }
    let protocol = match protocol {
        HttpProtocol::Http1 => ProtocolConfig::HttpProtocolOptions(Http1ProtocolOptions::default()),
        HttpProtocol::Http2 => {
            ProtocolConfig::Http2ProtocolOptions(Http2ProtocolOptions::default())
        }
    };
    let options = HttpProtocolOptions {
        common_http_protocol_options: Some(CommonHttpOptions {
            idle_timeout: limits.idle_timeout.and_then(values::duration),
            max_requests_per_connection: limits
                .max_requests_per_connection
                .and_then(values::u32_value),
            ..CommonHttpOptions::default()
        }),
        upstream_protocol_options: Some(UpstreamProtocolOptions::ExplicitHttpConfig(
            ExplicitHttpConfig {
                protocol_config: Some(protocol),
            },
        )),
        ..HttpProtocolOptions::default()
    };
    HashMap::from([(HTTP_OPTIONS.to_owned(), pack(&options))])
}

pub(super) fn from_proto(proto: Proto, at: &At<'_>) -> Result<Cluster, InvalidResource> {
    open!(at, proto => Proto {
        keep {
            name, eds_cluster_config, connect_timeout, lb_policy, load_assignment, circuit_breakers,
            typed_extension_protocol_options, metadata, cluster_discovery_type, upstream_bind_config,
        }
        refuse {
            transport_socket_matches, transport_socket_matcher, health_checks, max_requests_per_connection,
            upstream_http_protocol_options, common_http_protocol_options, http_protocol_options, http2_protocol_options,
            outlier_detection, lb_subset_config, transport_socket, protocol_selection, filters, load_balancing_policy,
            upstream_config, connection_pool_per_downstream_connection, lb_config, queuing_policies,
        }
        ignore {
            alt_stat_name, stats_matcher, per_connection_buffer_limit_bytes, per_connection_buffer_high_watermark_timeout,
            dns_refresh_rate, dns_jitter, dns_failure_refresh_rate, respect_dns_ttl, dns_lookup_family, dns_resolvers,
            use_tcp_for_dns_lookups, dns_resolution_config, typed_dns_resolver_config, wait_for_warm_on_init,
            cleanup_interval, common_lb_config, upstream_connection_options, close_connections_on_host_health_failure,
            ignore_health_on_host_removal, lrs_server, lrs_report_endpoint_metrics, track_timeout_budgets,
            track_cluster_stats, preconnect_policy,
        }
    });
    if upstream_bind_config.is_some_and(|config| config != inbound_source()) {
        return Err(at.field("upstream_bind_config").unsupported());
    }
    let Some(ClusterDiscoveryType::Type(discovery)) = cluster_discovery_type else {
        return Err(at.field("type").missing());
    };
    let assignment = at.field("load_assignment");
    let kind = match DiscoveryType::try_from(discovery) {
        Ok(DiscoveryType::Eds) => {
            let config = at.require("eds_cluster_config", eds_cluster_config)?;
            check_eds(config, &name, &at.field("eds_cluster_config"))?;
            ClusterKind::Eds
        }
        Ok(DiscoveryType::Static) => {
            let proto = at.require("load_assignment", load_assignment)?;
            ClusterKind::Static(Arc::new(endpoints::from_proto(proto, &assignment)?))
        }
        Ok(DiscoveryType::StrictDns) => {
            let proto = at.require("load_assignment", load_assignment)?;
            ClusterKind::StrictDns(from_host_names(proto, &assignment)?)
        }
        Ok(DiscoveryType::OriginalDst) => ClusterKind::OriginalDestination,
        Ok(DiscoveryType::LogicalDns) | Err(_) => return Err(at.field("type").unsupported()),
    };
    let load_balancing = match LbPolicy::try_from(lb_policy) {
        Ok(LbPolicy::RoundRobin) => LoadBalancing::RoundRobin,
        Ok(LbPolicy::LeastRequest) => LoadBalancing::LeastRequest,
        Ok(LbPolicy::Random) => LoadBalancing::Random,
        Ok(LbPolicy::ClusterProvided) => LoadBalancing::ClusterProvided,
        Ok(LbPolicy::RingHash | LbPolicy::Maglev | LbPolicy::LoadBalancingPolicyConfig)
        | Err(_) => return Err(at.field("lb_policy").unsupported()),
    };
    let timeout = at.field("connect_timeout");
    // Envoy's default is 5 s.
    let connect_timeout = connect_timeout
        .map_or(Ok(std::time::Duration::from_secs(5)), |value| {
            values::from_duration(value, &timeout)
        })?;
    let mut limits = from_circuit_breakers(circuit_breakers, &at.field("circuit_breakers"))?;
    let protocol = from_http_options(
        typed_extension_protocol_options,
        &mut limits,
        &at.field("typed_extension_protocol_options"),
    )?;
    let metadata = IstioMetadata::from_proto(metadata.as_ref());
    Ok(Cluster {
        name: name.into(),
        kind,
        connect_timeout,
        load_balancing,
        protocol,
        limits,
        services: metadata.services,
        origin: metadata.config,
    })
}

fn check_eds(config: EdsClusterConfig, name: &str, at: &At<'_>) -> Result<(), InvalidResource> {
    let EdsClusterConfig {
        eds_config,
        service_name,
    } = config;
    values::from_ads(eds_config, &at.field("eds_config"))?;
    if service_name.is_empty() || service_name == name {
        Ok(())
    } else {
        Err(at.field("service_name").value("must be the cluster's name"))
    }
}

fn from_host_names(
    proto: ClusterLoadAssignment,
    at: &At<'_>,
) -> Result<Vec<(Arc<str>, u16)>, InvalidResource> {
    let (_, localities) = endpoints::open_assignment(proto, at)?;
    let lists: Vec<Vec<_>> = at.list("endpoints", localities, |locality, at| {
        open!(at, locality => LocalityLbEndpoints {
            keep { lb_endpoints }
            refuse { priority, lb_config }
            ignore { locality, metadata, load_balancing_weight, proximity }
        });
        at.list("lb_endpoints", lb_endpoints, |endpoint, at| {
            let host = endpoints::from_host(endpoint.host_identifier, at)?;
            let (host, port) = address::from_named(host, &at.field("endpoint").field("address"))?;
            Ok((host.into(), port))
        })
    })?;
    Ok(lists.into_iter().flatten().collect())
}

fn from_circuit_breakers(
    proto: Option<CircuitBreakers>,
    at: &At<'_>,
) -> Result<Limits, InvalidResource> {
    open!(at, proto.unwrap_or_default() => CircuitBreakers {
        keep { thresholds }
        refuse { per_host_thresholds }
        ignore {}
    });
    // Only traffic of the default priority exists here.
    let default = thresholds
        .into_iter()
        .find(|threshold| threshold.priority == 0)
        .unwrap_or_default();
    open!(&at.field("thresholds"), default => Thresholds {
        keep { max_connections, max_pending_requests, max_requests, max_retries }
        refuse { retry_budget }
        ignore { priority, track_remaining, max_connection_pools }
    });
    let limit = |value: Option<protobuf::UInt32Value>, default: u32| {
        Some(value.map_or(default, |value| value.value)).filter(|value| *value != u32::MAX)
    };
    Ok(Limits {
        max_connections: limit(max_connections, DEFAULT_LIMIT),
        max_pending_requests: limit(max_pending_requests, DEFAULT_LIMIT),
        max_requests: limit(max_requests, DEFAULT_LIMIT),
        max_requests_per_connection: None,
        max_retries: limit(max_retries, DEFAULT_RETRIES),
        idle_timeout: None,
    })
}

fn from_http_options(
    options: HashMap<String, protobuf::Any>,
    limits: &mut Limits,
    at: &At<'_>,
) -> Result<HttpProtocol, InvalidResource> {
    let mut protocol = HttpProtocol::Http1;
    for (name, any) in options {
        let Some(options) = unpack::<HttpProtocolOptions>(&any, at)? else {
            return Err(at.value(format!("{name:?} is not supported by this proxy")));
        };
        open!(at, options => HttpProtocolOptions {
            keep { common_http_protocol_options, upstream_protocol_options }
            refuse {
                upstream_http_protocol_options, http_filters, outlier_detection, request_mirror_policies, hash_policy,
                retry_policy,
            }
            ignore { header_validation_config }
        });
        from_common(common_http_protocol_options.unwrap_or_default(), limits, at)?;
        let Some(UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig {
            protocol_config,
        })) = upstream_protocol_options
        else {
            return Err(at.value("only explicit_http_config can name the protocol"));
        };
        protocol = match protocol_config {
            None | Some(ProtocolConfig::HttpProtocolOptions(_)) => HttpProtocol::Http1,
            Some(ProtocolConfig::Http2ProtocolOptions(_)) => HttpProtocol::Http2,
            Some(ProtocolConfig::Http3ProtocolOptions(_)) => {
                return Err(at.field("http3_protocol_options").unsupported());
            }
        };
    }
    Ok(protocol)
}

fn from_common(
    options: CommonHttpOptions,
    limits: &mut Limits,
    at: &At<'_>,
) -> Result<(), InvalidResource> {
    open!(at, options => CommonHttpOptions {
        keep { idle_timeout, max_requests_per_connection }
        refuse { max_connection_duration, max_connection_duration_jitter, max_stream_duration }
        ignore { max_headers_count, max_response_headers_kb, headers_with_underscores_action }
    });
    limits.idle_timeout = idle_timeout
        .map(|value| values::from_duration(value, &at.field("idle_timeout")))
        .transpose()?;
    limits.max_requests_per_connection = max_requests_per_connection.map(|value| value.value);
    Ok(())
}
