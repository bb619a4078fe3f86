//! Clusters and endpoints.

use super::Kind::{
    Any, Bool, Duration, Enum, Map, Nested, Repeated, Struct, Text, Unsigned, Wrapped,
};
use super::Message;

pub(super) const MESSAGES: &[Message] = &[
    (
        "envoy.config.cluster.v3.Cluster",
        &[
            (
                8,
                "health_checks",
                Repeated(&Nested("envoy.config.core.v3.HealthCheck")),
            ),
            (
                19,
                "outlier_detection",
                Nested("envoy.config.cluster.v3.OutlierDetection"),
            ),
            (
                27,
                "common_lb_config",
                Nested("envoy.config.cluster.v3.Cluster.CommonLbConfig"),
            ),
            (
                23,
                "ring_hash_lb_config",
                Nested("envoy.config.cluster.v3.Cluster.RingHashLbConfig"),
            ),
            (
                52,
                "maglev_lb_config",
                Nested("envoy.config.cluster.v3.Cluster.MaglevLbConfig"),
            ),
            (
                37,
                "least_request_lb_config",
                Nested("envoy.config.cluster.v3.Cluster.LeastRequestLbConfig"),
            ),
            (
                56,
                "round_robin_lb_config",
                Nested("envoy.config.cluster.v3.Cluster.RoundRobinLbConfig"),
            ),
            (
                24,
                "transport_socket",
                Nested("envoy.config.core.v3.TransportSocket"),
            ),
            (
                43,
                "transport_socket_matches",
                Repeated(&Nested(
                    "envoy.config.cluster.v3.Cluster.TransportSocketMatch",
                )),
            ),
            (
                30,
                "upstream_connection_options",
                Nested("envoy.config.cluster.v3.UpstreamConnectionOptions"),
            ),
            (1, "name", Text),
            (
                2,
                "type",
                Enum(&[
                    (0, "STATIC"),
                    (1, "STRICT_DNS"),
                    (2, "LOGICAL_DNS"),
                    (3, "EDS"),
                    (4, "ORIGINAL_DST"),
                ]),
            ),
            (
                3,
                "eds_cluster_config",
                Nested("envoy.config.cluster.v3.Cluster.EdsClusterConfig"),
            ),
            (4, "connect_timeout", Duration),
            (
                6,
                "lb_policy",
                Enum(&[
                    (0, "ROUND_ROBIN"),
                    (1, "LEAST_REQUEST"),
                    (2, "RING_HASH"),
                    (3, "RANDOM"),
                    (5, "MAGLEV"),
                    (6, "CLUSTER_PROVIDED"),
                    (7, "LOAD_BALANCING_POLICY_CONFIG"),
                ]),
            ),
            (
                10,
                "circuit_breakers",
                Nested("envoy.config.cluster.v3.CircuitBreakers"),
            ),
            (
                17,
                "dns_lookup_family",
                Enum(&[
                    (0, "AUTO"),
                    (1, "V4_ONLY"),
                    (2, "V6_ONLY"),
                    (3, "V4_PREFERRED"),
                    (4, "ALL"),
                ]),
            ),
            (
                21,
                "upstream_bind_config",
                Nested("envoy.config.core.v3.BindConfig"),
            ),
            (25, "metadata", Nested("envoy.config.core.v3.Metadata")),
            (
                33,
                "load_assignment",
                Nested("envoy.config.endpoint.v3.ClusterLoadAssignment"),
            ),
            (36, "typed_extension_protocol_options", Map(&Any)),
        ],
    ),
    (
        "envoy.config.cluster.v3.Cluster.EdsClusterConfig",
        &[
            (1, "eds_config", Nested("envoy.config.core.v3.ConfigSource")),
            (2, "service_name", Text),
        ],
    ),
    (
        "envoy.config.cluster.v3.CircuitBreakers",
        &[(
            1,
            "thresholds",
            Repeated(&Nested(
                "envoy.config.cluster.v3.CircuitBreakers.Thresholds",
            )),
        )],
    ),
    (
        "envoy.config.cluster.v3.CircuitBreakers.Thresholds",
        &[
            (
                8,
                "retry_budget",
                Nested("envoy.config.cluster.v3.CircuitBreakers.Thresholds.RetryBudget"),
            ),
            (1, "priority", Enum(&[(0, "DEFAULT"), (1, "HIGH")])),
            (2, "max_connections", Wrapped(&Unsigned)),
            (3, "max_pending_requests", Wrapped(&Unsigned)),
            (4, "max_requests", Wrapped(&Unsigned)),
            (5, "max_retries", Wrapped(&Unsigned)),
            (6, "track_remaining", Bool),
        ],
    ),
    (
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        &[
            (
                2,
                "upstream_http_protocol_options",
                Nested("envoy.config.core.v3.UpstreamHttpProtocolOptions"),
            ),
            (
                4,
                "use_downstream_protocol_config",
                Nested(
                    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.UseDownstreamHttpConfig",
                ),
            ),
            (
                1,
                "common_http_protocol_options",
                Nested("envoy.config.core.v3.HttpProtocolOptions"),
            ),
            (
                3,
                "explicit_http_config",
                Nested("envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig"),
            ),
        ],
    ),
    (
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig",
        &[
            (
                1,
                "http_protocol_options",
                Nested("envoy.config.core.v3.Http1ProtocolOptions"),
            ),
            (
                2,
                "http2_protocol_options",
                Nested("envoy.config.core.v3.Http2ProtocolOptions"),
            ),
        ],
    ),
    (
        "envoy.config.endpoint.v3.ClusterLoadAssignment",
        &[
            (1, "cluster_name", Text),
            (
                2,
                "endpoints",
                Repeated(&Nested("envoy.config.endpoint.v3.LocalityLbEndpoints")),
            ),
        ],
    ),
    (
        "envoy.config.endpoint.v3.LocalityLbEndpoints",
        &[
            (1, "locality", Nested("envoy.config.core.v3.Locality")),
            (
                2,
                "lb_endpoints",
                Repeated(&Nested("envoy.config.endpoint.v3.LbEndpoint")),
            ),
            (3, "load_balancing_weight", Wrapped(&Unsigned)),
            (5, "priority", Unsigned),
        ],
    ),
    (
        "envoy.config.endpoint.v3.LbEndpoint",
        &[
            (1, "endpoint", Nested("envoy.config.endpoint.v3.Endpoint")),
            (
                2,
                "health_status",
                Enum(&[
                    (0, "UNKNOWN"),
                    (1, "HEALTHY"),
                    (2, "UNHEALTHY"),
                    (3, "DRAINING"),
                    (4, "TIMEOUT"),
                    (5, "DEGRADED"),
                ]),
            ),
            (3, "metadata", Nested("envoy.config.core.v3.Metadata")),
            (4, "load_balancing_weight", Wrapped(&Unsigned)),
        ],
    ),
    (
        "envoy.config.endpoint.v3.Endpoint",
        &[(1, "address", Nested("envoy.config.core.v3.Address"))],
    ),
    (
        "envoy.config.cluster.v3.OutlierDetection",
        &[
            (1, "consecutive_5xx", Wrapped(&Unsigned)),
            (2, "interval", Duration),
            (3, "base_ejection_time", Duration),
            (4, "max_ejection_percent", Wrapped(&Unsigned)),
            (5, "enforcing_consecutive_5xx", Wrapped(&Unsigned)),
            (6, "enforcing_success_rate", Wrapped(&Unsigned)),
            (10, "consecutive_gateway_failure", Wrapped(&Unsigned)),
            (
                11,
                "enforcing_consecutive_gateway_failure",
                Wrapped(&Unsigned),
            ),
            (12, "split_external_local_origin_errors", Bool),
            (13, "consecutive_local_origin_failure", Wrapped(&Unsigned)),
            (
                14,
                "enforcing_consecutive_local_origin_failure",
                Wrapped(&Unsigned),
            ),
            (
                15,
                "enforcing_local_origin_success_rate",
                Wrapped(&Unsigned),
            ),
        ],
    ),
    (
        "envoy.config.cluster.v3.Cluster.CommonLbConfig",
        &[
            (
                1,
                "healthy_panic_threshold",
                Nested("envoy.type.v3.Percent"),
            ),
            (
                3,
                "locality_weighted_lb_config",
                Nested("envoy.config.cluster.v3.Cluster.CommonLbConfig.LocalityWeightedLbConfig"),
            ),
        ],
    ),
    (
        "envoy.config.cluster.v3.Cluster.CommonLbConfig.LocalityWeightedLbConfig",
        &[],
    ),
    (
        "envoy.config.cluster.v3.Cluster.RingHashLbConfig",
        &[(1, "minimum_ring_size", Wrapped(&Unsigned))],
    ),
    (
        "envoy.config.cluster.v3.Cluster.MaglevLbConfig",
        &[(1, "table_size", Wrapped(&Unsigned))],
    ),
    (
        "envoy.config.cluster.v3.Cluster.LeastRequestLbConfig",
        &[(
            3,
            "slow_start_config",
            Nested("envoy.config.cluster.v3.Cluster.SlowStartConfig"),
        )],
    ),
    (
        "envoy.config.cluster.v3.Cluster.RoundRobinLbConfig",
        &[(
            1,
            "slow_start_config",
            Nested("envoy.config.cluster.v3.Cluster.SlowStartConfig"),
        )],
    ),
    (
        "envoy.config.cluster.v3.Cluster.SlowStartConfig",
        &[
            (1, "slow_start_window", Duration),
            (
                2,
                "aggression",
                Nested("envoy.config.core.v3.RuntimeDouble"),
            ),
            (3, "min_weight_percent", Nested("envoy.type.v3.Percent")),
        ],
    ),
    (
        "envoy.config.cluster.v3.Cluster.TransportSocketMatch",
        &[
            (1, "name", Text),
            (2, "match", Struct),
            (
                3,
                "transport_socket",
                Nested("envoy.config.core.v3.TransportSocket"),
            ),
        ],
    ),
    (
        "envoy.config.cluster.v3.UpstreamConnectionOptions",
        &[(
            1,
            "tcp_keepalive",
            Nested("envoy.config.core.v3.TcpKeepalive"),
        )],
    ),
    (
        "envoy.config.cluster.v3.CircuitBreakers.Thresholds.RetryBudget",
        &[
            (1, "budget_percent", Nested("envoy.type.v3.Percent")),
            (2, "min_retry_concurrency", Wrapped(&Unsigned)),
        ],
    ),
    (
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.UseDownstreamHttpConfig",
        &[
            (
                1,
                "http_protocol_options",
                Nested("envoy.config.core.v3.Http1ProtocolOptions"),
            ),
            (
                2,
                "http2_protocol_options",
                Nested("envoy.config.core.v3.Http2ProtocolOptions"),
            ),
        ],
    ),
];
