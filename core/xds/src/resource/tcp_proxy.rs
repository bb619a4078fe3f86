//! The TCP proxy, the end of chains whose bytes are copied.

#![expect(
    deprecated,
    reason = "messages are opened completely, deprecated fields included"
)]

use std::sync::Arc;

use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::{
    TcpProxy as Proto,
    tcp_proxy::{ClusterSpecifier, WeightedCluster, weighted_cluster::ClusterWeight},
};
use mesh_ir::{MetricsPolicy, TcpProxy, TelemetryPolicy};

use super::border::{At, InvalidResource};
use super::{access_log, values};

pub(super) fn to_proto(value: &TcpProxy) -> Proto {
    let TcpProxy {
        stat_prefix,
        clusters,
        idle_timeout,
        telemetry,
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
    Proto {
        stat_prefix: stat_prefix.to_string(),
        idle_timeout: values::limit(*idle_timeout),
        access_log: access_log::to_proto(&telemetry.access_logs),
        cluster_specifier: Some(specifier),
        ..Proto::default()
    }
}

/// Changes to metrics stand elsewhere.
pub(super) fn from_proto(
    proto: Proto,
    metrics: MetricsPolicy,
    at: &At<'_>,
) -> Result<TcpProxy, InvalidResource> {
    open!(at, proto => Proto {
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
        telemetry: Arc::new(TelemetryPolicy {
            access_logs: access_log::from_proto(access_log, at)?,
            tracing: None,
            metrics,
        }),
    })
}
