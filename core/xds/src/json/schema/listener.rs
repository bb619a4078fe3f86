//! Listeners, their filters and access logs.

use super::Kind::{Any, Bool, Duration, Enum, Nested, Repeated, Text, Unsigned, Wrapped};
use super::Message;

pub(super) const MESSAGES: &[Message] = &[
    (
        "envoy.config.listener.v3.Listener",
        &[
            (1, "name", Text),
            (2, "address", Nested("envoy.config.core.v3.Address")),
            (
                3,
                "filter_chains",
                Repeated(&Nested("envoy.config.listener.v3.FilterChain")),
            ),
            (4, "use_original_dst", Wrapped(&Bool)),
            (
                9,
                "listener_filters",
                Repeated(&Nested("envoy.config.listener.v3.ListenerFilter")),
            ),
            (15, "listener_filters_timeout", Duration),
            (
                16,
                "traffic_direction",
                Enum(&[(0, "UNSPECIFIED"), (1, "INBOUND"), (2, "OUTBOUND")]),
            ),
            (17, "continue_on_listener_filters_timeout", Bool),
            (
                25,
                "default_filter_chain",
                Nested("envoy.config.listener.v3.FilterChain"),
            ),
            (26, "bind_to_port", Wrapped(&Bool)),
        ],
    ),
    (
        "envoy.config.listener.v3.FilterChain",
        &[
            (
                6,
                "transport_socket",
                Nested("envoy.config.core.v3.TransportSocket"),
            ),
            (
                1,
                "filter_chain_match",
                Nested("envoy.config.listener.v3.FilterChainMatch"),
            ),
            (
                3,
                "filters",
                Repeated(&Nested("envoy.config.listener.v3.Filter")),
            ),
            (7, "name", Text),
        ],
    ),
    (
        "envoy.config.listener.v3.FilterChainMatch",
        &[
            (
                3,
                "prefix_ranges",
                Repeated(&Nested("envoy.config.core.v3.CidrRange")),
            ),
            (
                6,
                "source_prefix_ranges",
                Repeated(&Nested("envoy.config.core.v3.CidrRange")),
            ),
            (7, "source_ports", Repeated(&Unsigned)),
            (8, "destination_port", Wrapped(&Unsigned)),
            (9, "transport_protocol", Text),
            (10, "application_protocols", Repeated(&Text)),
            (11, "server_names", Repeated(&Text)),
        ],
    ),
    (
        "envoy.config.listener.v3.Filter",
        &[(1, "name", Text), (4, "typed_config", Any)],
    ),
    (
        "envoy.config.listener.v3.ListenerFilter",
        &[(1, "name", Text), (3, "typed_config", Any)],
    ),
    (
        "envoy.extensions.filters.listener.original_dst.v3.OriginalDst",
        &[],
    ),
    (
        "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector",
        &[],
    ),
    (
        "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
        &[],
    ),
    (
        "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
        &[],
    ),
    (
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        &[
            (
                1,
                "codec_type",
                Enum(&[(0, "AUTO"), (1, "HTTP1"), (2, "HTTP2"), (3, "HTTP3")]),
            ),
            (2, "stat_prefix", Text),
            (
                3,
                "rds",
                Nested("envoy.extensions.filters.network.http_connection_manager.v3.Rds"),
            ),
            (
                4,
                "route_config",
                Nested("envoy.config.route.v3.RouteConfiguration"),
            ),
            (
                5,
                "http_filters",
                Repeated(&Nested(
                    "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
                )),
            ),
            (10, "server_name", Text),
            (
                13,
                "access_log",
                Repeated(&Nested("envoy.config.accesslog.v3.AccessLog")),
            ),
            (14, "use_remote_address", Wrapped(&Bool)),
            (
                16,
                "forward_client_cert_details",
                Enum(&[
                    (0, "SANITIZE"),
                    (1, "FORWARD_ONLY"),
                    (2, "APPEND_FORWARD"),
                    (3, "SANITIZE_SET"),
                    (4, "ALWAYS_FORWARD_ONLY"),
                ]),
            ),
            (
                17,
                "set_current_client_cert_details",
                Nested(
                    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.SetCurrentClientCertDetails",
                ),
            ),
            (19, "xff_num_trusted_hops", Unsigned),
            (21, "skip_xff_append", Bool),
            (
                23,
                "upgrade_configs",
                Repeated(&Nested(
                    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.UpgradeConfig",
                )),
            ),
            (24, "stream_idle_timeout", Duration),
            (30, "normalize_path", Wrapped(&Bool)),
            (33, "merge_slashes", Bool),
            (
                34,
                "server_header_transformation",
                Enum(&[
                    (0, "OVERWRITE"),
                    (1, "APPEND_IF_ABSENT"),
                    (2, "PASS_THROUGH"),
                ]),
            ),
            (
                35,
                "common_http_protocol_options",
                Nested("envoy.config.core.v3.HttpProtocolOptions"),
            ),
            (39, "strip_matching_host_port", Bool),
            (42, "strip_any_host_port", Bool),
            (
                45,
                "path_with_escaped_slashes_action",
                Enum(&[
                    (0, "IMPLEMENTATION_SPECIFIC_DEFAULT"),
                    (1, "KEEP_UNCHANGED"),
                    (2, "REJECT_REQUEST"),
                    (3, "UNESCAPE_AND_REDIRECT"),
                    (4, "UNESCAPE_AND_FORWARD"),
                ]),
            ),
            (47, "strip_trailing_host_dot", Bool),
        ],
    ),
    (
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.SetCurrentClientCertDetails",
        &[
            (1, "subject", Wrapped(&Bool)),
            (3, "cert", Bool),
            (4, "dns", Bool),
            (5, "uri", Bool),
            (6, "chain", Bool),
            (8, "issuer", Bool),
        ],
    ),
    (
        "envoy.extensions.filters.network.http_connection_manager.v3.Rds",
        &[
            (
                1,
                "config_source",
                Nested("envoy.config.core.v3.ConfigSource"),
            ),
            (2, "route_config_name", Text),
        ],
    ),
    (
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
        &[(1, "name", Text), (4, "typed_config", Any)],
    ),
    (
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.UpgradeConfig",
        &[(1, "upgrade_type", Text)],
    ),
    ("envoy.extensions.filters.http.router.v3.Router", &[]),
    (
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        &[
            (1, "stat_prefix", Text),
            (2, "cluster", Text),
            (
                5,
                "access_log",
                Repeated(&Nested("envoy.config.accesslog.v3.AccessLog")),
            ),
            (8, "idle_timeout", Duration),
            (
                10,
                "weighted_clusters",
                Nested("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster"),
            ),
        ],
    ),
    (
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster",
        &[(
            1,
            "clusters",
            Repeated(&Nested(
                "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight",
            )),
        )],
    ),
    (
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight",
        &[(1, "name", Text), (2, "weight", Unsigned)],
    ),
    (
        "envoy.config.accesslog.v3.AccessLog",
        &[(1, "name", Text), (4, "typed_config", Any)],
    ),
    (
        "envoy.extensions.access_loggers.file.v3.FileAccessLog",
        &[
            (1, "path", Text),
            (
                5,
                "log_format",
                Nested("envoy.config.core.v3.SubstitutionFormatString"),
            ),
        ],
    ),
];
