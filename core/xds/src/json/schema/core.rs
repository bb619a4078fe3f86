//! What other messages are made of, and secrets.

use super::Kind::{
    Any, Bool, Double, Duration, Enum, Map, Nested, Redacted, Repeated, Struct, Text, Unsigned,
    Wrapped,
};
use super::Message;

const VERSIONS: super::Kind = Enum(&[
    (0, "TLS_AUTO"),
    (1, "TLSv1_0"),
    (2, "TLSv1_1"),
    (3, "TLSv1_2"),
    (4, "TLSv1_3"),
]);

pub(super) const MESSAGES: &[Message] = &[
    (
        "envoy.config.core.v3.Address",
        &[(
            1,
            "socket_address",
            Nested("envoy.config.core.v3.SocketAddress"),
        )],
    ),
    (
        "envoy.config.core.v3.SocketAddress",
        &[
            (1, "protocol", Enum(&[(0, "TCP"), (1, "UDP")])),
            (2, "address", Text),
            (3, "port_value", Unsigned),
        ],
    ),
    (
        "envoy.config.core.v3.CidrRange",
        &[
            (1, "address_prefix", Text),
            (2, "prefix_len", Wrapped(&Unsigned)),
        ],
    ),
    (
        "envoy.config.core.v3.BindConfig",
        &[(
            1,
            "source_address",
            Nested("envoy.config.core.v3.SocketAddress"),
        )],
    ),
    (
        "envoy.config.core.v3.ConfigSource",
        &[
            (
                3,
                "ads",
                Nested("envoy.config.core.v3.AggregatedConfigSource"),
            ),
            (4, "initial_fetch_timeout", Duration),
            (
                6,
                "resource_api_version",
                Enum(&[(0, "AUTO"), (1, "V2"), (2, "V3")]),
            ),
        ],
    ),
    ("envoy.config.core.v3.AggregatedConfigSource", &[]),
    (
        "envoy.config.core.v3.DataSource",
        &[(1, "filename", Text), (3, "inline_string", Text)],
    ),
    (
        "envoy.config.core.v3.Locality",
        &[
            (1, "region", Text),
            (2, "zone", Text),
            (3, "sub_zone", Text),
        ],
    ),
    (
        "envoy.config.core.v3.Metadata",
        &[(1, "filter_metadata", Map(&Struct))],
    ),
    (
        "envoy.config.core.v3.HeaderValueOption",
        &[
            (1, "header", Nested("envoy.config.core.v3.HeaderValue")),
            (
                3,
                "append_action",
                Enum(&[
                    (0, "APPEND_IF_EXISTS_OR_ADD"),
                    (1, "ADD_IF_ABSENT"),
                    (2, "OVERWRITE_IF_EXISTS_OR_ADD"),
                    (3, "OVERWRITE_IF_EXISTS"),
                ]),
            ),
            (4, "keep_empty_value", Bool),
        ],
    ),
    (
        "envoy.config.core.v3.HeaderValue",
        &[(1, "key", Text), (2, "value", Text)],
    ),
    (
        "envoy.config.core.v3.HttpProtocolOptions",
        &[
            (3, "max_connection_duration", Duration),
            (1, "idle_timeout", Duration),
            (6, "max_requests_per_connection", Wrapped(&Unsigned)),
        ],
    ),
    ("envoy.config.core.v3.Http1ProtocolOptions", &[]),
    (
        "envoy.config.core.v3.Http2ProtocolOptions",
        &[(2, "max_concurrent_streams", Wrapped(&Unsigned))],
    ),
    (
        "envoy.config.core.v3.SubstitutionFormatString",
        &[
            (2, "json_format", Struct),
            (
                5,
                "text_format_source",
                Nested("envoy.config.core.v3.DataSource"),
            ),
        ],
    ),
    ("envoy.type.matcher.v3.RegexMatcher", &[(2, "regex", Text)]),
    (
        "envoy.type.matcher.v3.RegexMatchAndSubstitute",
        &[
            (1, "pattern", Nested("envoy.type.matcher.v3.RegexMatcher")),
            (2, "substitution", Text),
        ],
    ),
    (
        "envoy.type.matcher.v3.StringMatcher",
        &[
            (1, "exact", Text),
            (2, "prefix", Text),
            (3, "suffix", Text),
            (
                5,
                "safe_regex",
                Nested("envoy.type.matcher.v3.RegexMatcher"),
            ),
            (6, "ignore_case", Bool),
            (7, "contains", Text),
        ],
    ),
    (
        "envoy.extensions.transport_sockets.tls.v3.Secret",
        &[
            (1, "name", Text),
            (
                2,
                "tls_certificate",
                Nested("envoy.extensions.transport_sockets.tls.v3.TlsCertificate"),
            ),
            (
                4,
                "validation_context",
                Nested("envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext"),
            ),
        ],
    ),
    (
        "envoy.extensions.transport_sockets.tls.v3.TlsCertificate",
        &[
            (
                1,
                "certificate_chain",
                Nested("envoy.config.core.v3.DataSource"),
            ),
            (2, "private_key", Redacted),
        ],
    ),
    (
        "envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext",
        &[
            (1, "trusted_ca", Nested("envoy.config.core.v3.DataSource")),
            (7, "crl", Nested("envoy.config.core.v3.DataSource")),
            (
                15,
                "match_typed_subject_alt_names",
                Repeated(&Nested(
                    "envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher",
                )),
            ),
        ],
    ),
    (
        "envoy.config.core.v3.RuntimeDouble",
        &[(1, "default_value", Double), (2, "runtime_key", Text)],
    ),
    ("envoy.type.v3.Percent", &[(1, "value", Double)]),
    (
        "envoy.type.v3.FractionalPercent",
        &[
            (1, "numerator", Unsigned),
            (
                2,
                "denominator",
                Enum(&[(0, "HUNDRED"), (1, "TEN_THOUSAND"), (2, "MILLION")]),
            ),
        ],
    ),
    (
        "envoy.config.core.v3.RuntimeFractionalPercent",
        &[(
            1,
            "default_value",
            Nested("envoy.type.v3.FractionalPercent"),
        )],
    ),
    (
        "envoy.config.core.v3.TcpKeepalive",
        &[
            (1, "keepalive_probes", Wrapped(&Unsigned)),
            (2, "keepalive_time", Wrapped(&Unsigned)),
            (3, "keepalive_interval", Wrapped(&Unsigned)),
        ],
    ),
    (
        "envoy.config.core.v3.UpstreamHttpProtocolOptions",
        &[(1, "auto_sni", Bool), (2, "auto_san_validation", Bool)],
    ),
    (
        "envoy.config.core.v3.HealthCheck",
        &[
            (1, "timeout", Duration),
            (2, "interval", Duration),
            (4, "unhealthy_threshold", Wrapped(&Unsigned)),
            (5, "healthy_threshold", Wrapped(&Unsigned)),
            (
                8,
                "http_health_check",
                Nested("envoy.config.core.v3.HealthCheck.HttpHealthCheck"),
            ),
            (
                9,
                "tcp_health_check",
                Nested("envoy.config.core.v3.HealthCheck.TcpHealthCheck"),
            ),
            (
                11,
                "grpc_health_check",
                Nested("envoy.config.core.v3.HealthCheck.GrpcHealthCheck"),
            ),
        ],
    ),
    (
        "envoy.config.core.v3.HealthCheck.HttpHealthCheck",
        &[(1, "host", Text), (2, "path", Text)],
    ),
    ("envoy.config.core.v3.HealthCheck.TcpHealthCheck", &[]),
    (
        "envoy.config.core.v3.HealthCheck.GrpcHealthCheck",
        &[(1, "service_name", Text)],
    ),
    (
        "envoy.config.core.v3.TransportSocket",
        &[(1, "name", Text), (3, "typed_config", Any)],
    ),
    (
        "envoy.config.core.v3.ProxyProtocolConfig",
        &[(1, "version", Enum(&[(0, "V1"), (1, "V2")]))],
    ),
    (
        "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
        &[
            (
                1,
                "config",
                Nested("envoy.config.core.v3.ProxyProtocolConfig"),
            ),
            (
                2,
                "transport_socket",
                Nested("envoy.config.core.v3.TransportSocket"),
            ),
        ],
    ),
    (
        "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer",
        &[],
    ),
    (
        "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        &[
            (
                1,
                "common_tls_context",
                Nested("envoy.extensions.transport_sockets.tls.v3.CommonTlsContext"),
            ),
            (2, "sni", Text),
        ],
    ),
    (
        "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        &[
            (
                1,
                "common_tls_context",
                Nested("envoy.extensions.transport_sockets.tls.v3.CommonTlsContext"),
            ),
            (2, "require_client_certificate", Wrapped(&Bool)),
        ],
    ),
    (
        "envoy.extensions.transport_sockets.tls.v3.CommonTlsContext",
        &[
            (
                1,
                "tls_params",
                Nested("envoy.extensions.transport_sockets.tls.v3.TlsParameters"),
            ),
            (
                2,
                "tls_certificates",
                Repeated(&Nested(
                    "envoy.extensions.transport_sockets.tls.v3.TlsCertificate",
                )),
            ),
            (
                3,
                "validation_context",
                Nested("envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext"),
            ),
            (4, "alpn_protocols", Repeated(&Text)),
            (
                6,
                "tls_certificate_sds_secret_configs",
                Repeated(&Nested(
                    "envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig",
                )),
            ),
            (
                8,
                "combined_validation_context",
                Nested(
                    "envoy.extensions.transport_sockets.tls.v3.CommonTlsContext.CombinedCertificateValidationContext",
                ),
            ),
        ],
    ),
    (
        "envoy.extensions.transport_sockets.tls.v3.CommonTlsContext.CombinedCertificateValidationContext",
        &[
            (
                1,
                "default_validation_context",
                Nested("envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext"),
            ),
            (
                2,
                "validation_context_sds_secret_config",
                Nested("envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig"),
            ),
        ],
    ),
    (
        "envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig",
        &[
            (1, "name", Text),
            (2, "sds_config", Nested("envoy.config.core.v3.ConfigSource")),
        ],
    ),
    (
        "envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher",
        &[
            (
                1,
                "san_type",
                Enum(&[
                    (0, "SAN_TYPE_UNSPECIFIED"),
                    (1, "EMAIL"),
                    (2, "DNS"),
                    (3, "URI"),
                    (4, "IP_ADDRESS"),
                    (5, "OTHER_NAME"),
                ]),
            ),
            (2, "matcher", Nested("envoy.type.matcher.v3.StringMatcher")),
        ],
    ),
    (
        "envoy.extensions.transport_sockets.tls.v3.TlsParameters",
        &[
            (1, "tls_minimum_protocol_version", VERSIONS),
            (2, "tls_maximum_protocol_version", VERSIONS),
            (3, "cipher_suites", Repeated(&Text)),
            (4, "ecdh_curves", Repeated(&Text)),
        ],
    ),
];
