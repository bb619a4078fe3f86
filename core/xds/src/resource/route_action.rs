//! How routes send requests upstream.

#![expect(
    deprecated,
    reason = "messages are opened completely, deprecated fields included"
)]

use std::time::Duration;

use envoy_types::pb::envoy::config::route::v3::{
    RouteAction as Proto, WeightedCluster as WeightedProto,
    route_action::{ClusterSpecifier, HostRewriteSpecifier, MaxStreamDuration},
    weighted_cluster::ClusterWeight,
};
use mesh_ir::{Forward, PathRewrite, Target, WeightedCluster};

use super::border::{At, InvalidResource};
use super::{hash_policy, header_ops, mirror, redirect, retry, values};

/// Envoy's limit for requests whose route names none.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);

/// What a whole path is replaced by is written as a substitution of everything, as Istio does.
const WHOLE_PATH: &str = "/.*";

pub(super) fn to_proto(value: &Forward) -> Proto {
    let Forward {
        target,
        timeout,
        retry,
        path_rewrite,
        host_rewrite,
        mirrors,
        hash,
        idle_timeout,
        max_stream_duration,
    } = value;
    let mut proto = Proto {
        timeout: values::limit(*timeout),
        idle_timeout: idle_timeout.and_then(values::duration),
        max_stream_duration: max_stream_duration.map(|limit| MaxStreamDuration {
            max_stream_duration: values::duration(limit),
            ..MaxStreamDuration::default()
        }),
        retry_policy: retry.as_ref().map(retry::to_proto),
        request_mirror_policies: mirrors.iter().map(mirror::to_proto).collect(),
        hash_policy: hash.iter().map(hash_policy::to_proto).collect(),
        host_rewrite_specifier: host_rewrite
            .as_ref()
            .map(|host| HostRewriteSpecifier::HostRewriteLiteral(host.to_string())),
        cluster_specifier: Some(match target {
            Target::Cluster(cluster) => ClusterSpecifier::Cluster(cluster.to_string()),
            Target::Weighted(clusters) => ClusterSpecifier::WeightedClusters(WeightedProto {
                clusters: clusters.iter().map(weighted).collect(),
                ..WeightedProto::default()
            }),
        }),
        ..Proto::default()
    };
    match path_rewrite {
        None => {}
        Some(PathRewrite::Prefix(prefix)) => proto.prefix_rewrite = prefix.to_string(),
        Some(PathRewrite::Full(path)) => {
            let literal = path.replace('\\', "\\\\");
            proto.regex_rewrite = Some(redirect::substitute(WHOLE_PATH, &literal));
        }
        Some(PathRewrite::Regex {
            pattern,
            substitution,
        }) => proto.regex_rewrite = Some(redirect::substitute(pattern, substitution)),
    }
    proto
}

fn weighted(value: &WeightedCluster) -> ClusterWeight {
    let WeightedCluster {
        cluster,
        weight,
        request_headers,
        response_headers,
    } = value;
    let (request_headers_to_add, request_headers_to_remove) = header_ops::to_proto(request_headers);
    let (response_headers_to_add, response_headers_to_remove) =
        header_ops::to_proto(response_headers);
    ClusterWeight {
        name: cluster.to_string(),
        weight: values::u32_value(*weight),
        request_headers_to_add,
        request_headers_to_remove,
        response_headers_to_add,
        response_headers_to_remove,
        ..ClusterWeight::default()
    }
}

pub(super) fn from_proto(proto: Proto, at: &At<'_>) -> Result<Forward, InvalidResource> {
    open!(at, proto => Proto {
        keep {
            cluster_specifier, timeout, idle_timeout, max_stream_duration, retry_policy, prefix_rewrite, regex_rewrite,
            host_rewrite_specifier, request_mirror_policies, hash_policy,
        }
        refuse {
            cluster_not_found_response_code, metadata_match, path_rewrite_policy, path_rewrite, append_x_forwarded_host,
            flush_timeout, early_data_policy, retry_policy_typed_config, priority, rate_limits, cors,
            grpc_timeout_offset, upgrade_configs, internal_redirect_policy, internal_redirect_action,
            max_internal_redirects, hedge_policy,
        }
        // The virtual host looks at it.
        ignore { max_grpc_timeout, include_vh_rate_limits }
    });
    let path_rewrite = match (prefix_rewrite.is_empty(), regex_rewrite) {
        (true, None) => None,
        (false, None) => Some(PathRewrite::Prefix(prefix_rewrite.into())),
        (true, Some(regex)) => Some(whole_path(redirect::from_substitute(
            regex,
            &at.field("regex_rewrite"),
        )?)),
        (false, Some(_)) => {
            return Err(at.value("prefix_rewrite and regex_rewrite exclude each other"));
        }
    };
    let host_rewrite = match host_rewrite_specifier {
        None => None,
        Some(HostRewriteSpecifier::HostRewriteLiteral(host)) => Some(host.into()),
        Some(_) => return Err(at.value("only host_rewrite_literal can rewrite hosts")),
    };
    Ok(Forward {
        target: from_specifier(cluster_specifier, at)?,
        timeout: values::from_limit(timeout, Some(DEFAULT_TIMEOUT), &at.field("timeout"))?,
        retry: retry_policy
            .map(|policy| retry::from_proto(policy, &at.field("retry_policy")))
            .transpose()?,
        path_rewrite,
        host_rewrite,
        mirrors: at.list(
            "request_mirror_policies",
            request_mirror_policies,
            mirror::from_proto,
        )?,
        hash: at.list("hash_policy", hash_policy, hash_policy::from_proto)?,
        idle_timeout: idle_timeout
            .map(|idle| values::from_duration(idle, &at.field("idle_timeout")))
            .transpose()?,
        max_stream_duration: match max_stream_duration {
            None => None,
            Some(limits) => from_max_stream(limits, &at.field("max_stream_duration"))?,
        },
    })
}

fn from_max_stream(
    proto: MaxStreamDuration,
    at: &At<'_>,
) -> Result<Option<Duration>, InvalidResource> {
    open!(at, proto => MaxStreamDuration {
        keep { max_stream_duration }
        refuse { grpc_timeout_header_max, grpc_timeout_header_offset }
        ignore {}
    });
    max_stream_duration
        .map(|limit| values::from_duration(limit, &at.field("max_stream_duration")))
        .transpose()
}

/// Recognises the form in which [`PathRewrite::Full`] is written.
fn whole_path(rewrite: PathRewrite) -> PathRewrite {
    match &rewrite {
        PathRewrite::Regex {
            pattern,
            substitution,
        } if &**pattern == WHOLE_PATH => {
            let refers = substitution.replace("\\\\", "").contains('\\');
            if refers {
                rewrite
            } else {
                PathRewrite::Full(substitution.replace("\\\\", "\\").into())
            }
        }
        _ => rewrite,
    }
}

fn from_specifier(
    specifier: Option<ClusterSpecifier>,
    at: &At<'_>,
) -> Result<Target, InvalidResource> {
    match specifier {
        Some(ClusterSpecifier::Cluster(cluster)) => Ok(Target::Cluster(cluster.into())),
        Some(ClusterSpecifier::WeightedClusters(clusters)) => {
            from_clusters(clusters, &at.field("weighted_clusters"))
        }
        Some(ClusterSpecifier::ClusterHeader(_)) => Err(at.field("cluster_header").unsupported()),
        Some(
            ClusterSpecifier::ClusterSpecifierPlugin(_)
            | ClusterSpecifier::InlineClusterSpecifierPlugin(_),
        ) => Err(at.field("cluster_specifier_plugin").unsupported()),
        None => Err(at.field("cluster").missing()),
    }
}

fn from_clusters(proto: WeightedProto, at: &At<'_>) -> Result<Target, InvalidResource> {
    open!(at, proto => WeightedProto {
        keep { clusters }
        refuse { random_value_specifier }
        ignore { total_weight, runtime_key_prefix }
    });
    let clusters: Vec<WeightedCluster> = at.list("clusters", clusters, from_weighted)?;
    let total: u64 = clusters.iter().map(|entry| u64::from(entry.weight)).sum();
    if total == 0 || total > u64::from(u32::MAX) {
        return Err(at.value(format!(
            "the sum of the weights is {total}, must be from 1 to 4294967295"
        )));
    }
    Ok(Target::Weighted(clusters))
}

fn from_weighted(proto: ClusterWeight, at: &At<'_>) -> Result<WeightedCluster, InvalidResource> {
    open!(at, proto => ClusterWeight {
        keep {
            name, weight, request_headers_to_add, request_headers_to_remove, response_headers_to_add,
            response_headers_to_remove,
        }
        refuse { cluster_header, metadata_match, typed_per_filter_config, host_rewrite_specifier }
        ignore {}
    });
    Ok(WeightedCluster {
        cluster: name.into(),
        weight: weight.map_or(0, |weight| weight.value),
        request_headers: header_ops::from_proto(
            request_headers_to_add,
            request_headers_to_remove,
            "request_headers_to_add",
            at,
        )?,
        response_headers: header_ops::from_proto(
            response_headers_to_add,
            response_headers_to_remove,
            "response_headers_to_add",
            at,
        )?,
    })
}
