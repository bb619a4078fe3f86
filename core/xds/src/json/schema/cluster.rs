//! Clusters and endpoints.

use super::Kind::{Any, Bool, Duration, Enum, Map, Nested, Repeated, Text, Unsigned, Wrapped};
use super::Message;

pub(super) const MESSAGES: &[Message] = &[
    (
        "envoy.config.cluster.v3.Cluster",
        &[
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
];
