//! Clusters (CDS).

#![expect(
    deprecated,
    reason = "messages are opened completely, deprecated fields included"
)]

use std::sync::Arc;

use envoy_types::pb::envoy::config::cluster::v3::{
    Cluster as Proto,
    cluster::{ClusterDiscoveryType, DiscoveryType, DnsLookupFamily, EdsClusterConfig},
};
use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, LbEndpoint, LocalityLbEndpoints,
};
use mesh_ir::{ClientPolicy, Cluster, ClusterKind, ServerName, UpstreamTls};

use super::border::{At, InvalidResource};
use super::metadata::IstioMetadata;
use super::{
    address, balancing, bind, circuit_breakers, client_tls, endpoints, health_check,
    http_protocol_options, keepalive, outlier_detection, values,
};

pub(super) fn to_proto(value: &Cluster) -> Proto {
    let Cluster {
        name,
        kind,
        client,
        services,
        origin,
    } = value;
    let ClientPolicy {
        connect_timeout,
        tls,
        balancing,
        slow_start,
        weighted_localities,
        panic_threshold,
        protocol,
        limits,
        keepalive,
        outliers,
        health_checks,
        proxy_protocol,
        source_address,
    } = client;
    let (lb_policy, lb_config) = balancing::to_proto(*balancing, *slow_start);
    let (transport_socket, transport_socket_matches) = client_tls::to_proto(tls, *proxy_protocol);
    let name_of_request = name_of_request(tls);
    let mut proto = Proto {
        name: name.to_string(),
        connect_timeout: values::duration(*connect_timeout),
        lb_policy: lb_policy.into(),
        lb_config,
        common_lb_config: balancing::common(*weighted_localities, *panic_threshold),
        transport_socket,
        transport_socket_matches,
        upstream_connection_options: keepalive.as_ref().map(keepalive::to_proto),
        outlier_detection: outliers.as_ref().map(outlier_detection::to_proto),
        health_checks: health_checks.iter().map(health_check::to_proto).collect(),
        circuit_breakers: Some(circuit_breakers::to_proto(limits)),
        typed_extension_protocol_options: http_protocol_options::to_proto(
            *protocol,
            limits,
            name_of_request,
        ),
        upstream_bind_config: source_address.map(bind::to_proto),
        metadata: IstioMetadata {
            config: origin.clone(),
            services: services.clone(),
            ..IstioMetadata::default()
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
        ClusterKind::OriginalDestination => DiscoveryType::OriginalDst,
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

pub(super) fn from_proto(proto: Proto, at: &At<'_>) -> Result<Cluster, InvalidResource> {
    open!(at, proto => Proto {
        keep {
            name, eds_cluster_config, connect_timeout, lb_policy, load_assignment, circuit_breakers,
            typed_extension_protocol_options, metadata, cluster_discovery_type, upstream_bind_config, lb_config,
            common_lb_config, outlier_detection, health_checks, upstream_connection_options, transport_socket,
            transport_socket_matches,
        }
        refuse {
            transport_socket_matcher, max_requests_per_connection, upstream_http_protocol_options,
            common_http_protocol_options, http_protocol_options, http2_protocol_options, lb_subset_config,
            protocol_selection, filters, load_balancing_policy, upstream_config,
            connection_pool_per_downstream_connection, queuing_policies,
        }
        ignore {
            alt_stat_name, stats_matcher, per_connection_buffer_limit_bytes, per_connection_buffer_high_watermark_timeout,
            dns_refresh_rate, dns_jitter, dns_failure_refresh_rate, respect_dns_ttl, dns_lookup_family, dns_resolvers,
            use_tcp_for_dns_lookups, dns_resolution_config, typed_dns_resolver_config, wait_for_warm_on_init,
            cleanup_interval, close_connections_on_host_health_failure,
            ignore_health_on_host_removal, lrs_server, lrs_report_endpoint_metrics, track_timeout_budgets,
            track_cluster_stats, preconnect_policy,
        }
    });
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
    let (balancing, slow_start) = balancing::from_proto(lb_policy, lb_config, at)?;
    let (weighted_localities, panic_threshold) =
        balancing::from_common(common_lb_config, &at.field("common_lb_config"))?;
    let timeout = at.field("connect_timeout");
    // Envoy's default is 5 s.
    let connect_timeout = connect_timeout
        .map_or(Ok(std::time::Duration::from_secs(5)), |value| {
            values::from_duration(value, &timeout)
        })?;
    let mut limits = circuit_breakers::from_proto(circuit_breakers, &at.field("circuit_breakers"))?;
    let http = http_protocol_options::from_proto(
        typed_extension_protocol_options,
        &mut limits,
        &at.field("typed_extension_protocol_options"),
    )?;
    let sockets = (transport_socket, transport_socket_matches);
    let (tls, proxy_protocol) =
        client_tls::from_proto(sockets, http.name_of_request.is_some(), at)?;
    if http.name_of_request != name_of_request(&tls) {
        return Err(at.field("typed_extension_protocol_options").value(
            "auto_sni needs TLS without a server name, and auto_san_validation goes with it unless names are listed or nothing is verified",
        ));
    }
    let metadata = IstioMetadata::from_proto(metadata.as_ref());
    Ok(Cluster {
        name: name.into(),
        kind,
        client: ClientPolicy {
            connect_timeout,
            tls,
            balancing,
            slow_start,
            weighted_localities,
            panic_threshold,
            protocol: http.protocol,
            limits,
            keepalive: upstream_connection_options.and_then(keepalive::from_proto),
            outliers: outlier_detection
                .map(|proto| outlier_detection::from_proto(proto, &at.field("outlier_detection")))
                .transpose()?,
            health_checks: at.list("health_checks", health_checks, health_check::from_proto)?,
            proxy_protocol,
            source_address: upstream_bind_config
                .map(|config| bind::from_proto(config, &at.field("upstream_bind_config")))
                .transpose()?,
        },
        services: metadata.services,
        origin: metadata.config,
    })
}

/// Whether servers are asked for the host of each request, and then whether their certificates must name it: unless the names are listed
/// that they may have, or nothing is verified.
fn name_of_request(tls: &UpstreamTls) -> Option<bool> {
    match tls {
        UpstreamTls::Plaintext => None,
        UpstreamTls::Always(client) | UpstreamTls::WhereOffered(client) => {
            let validated = client.server.trust.is_some() && client.server.names.is_empty();
            (client.server_name == ServerName::OfRequest).then_some(validated)
        }
    }
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
