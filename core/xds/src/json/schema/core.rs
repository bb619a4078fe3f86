//! What other messages are made of, and secrets.

use super::Kind::{Bool, Duration, Enum, Map, Nested, Redacted, Struct, Text, Unsigned, Wrapped};
use super::Message;

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
            (1, "idle_timeout", Duration),
            (6, "max_requests_per_connection", Wrapped(&Unsigned)),
        ],
    ),
    ("envoy.config.core.v3.Http1ProtocolOptions", &[]),
    ("envoy.config.core.v3.Http2ProtocolOptions", &[]),
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
        &[(1, "trusted_ca", Nested("envoy.config.core.v3.DataSource"))],
    ),
];
