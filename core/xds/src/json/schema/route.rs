//! Route configurations.

use super::Kind::{
    Any, Bool, Duration, Enum, Map, Nested, Repeated, Signed64, Text, Unsigned, Wrapped,
};
use super::Message;

pub(super) const MESSAGES: &[Message] = &[
    (
        "envoy.config.route.v3.RouteConfiguration",
        &[
            (1, "name", Text),
            (
                2,
                "virtual_hosts",
                Repeated(&Nested("envoy.config.route.v3.VirtualHost")),
            ),
            (7, "validate_clusters", Wrapped(&Bool)),
            (9, "vhds", Nested("envoy.config.route.v3.Vhds")),
            (
                11,
                "max_direct_response_body_size_bytes",
                Wrapped(&Unsigned),
            ),
            (14, "ignore_port_in_host_matching", Bool),
        ],
    ),
    (
        "envoy.config.route.v3.Vhds",
        &[(
            1,
            "config_source",
            Nested("envoy.config.core.v3.ConfigSource"),
        )],
    ),
    (
        "envoy.config.route.v3.VirtualHost",
        &[
            (1, "name", Text),
            (2, "domains", Repeated(&Text)),
            (
                3,
                "routes",
                Repeated(&Nested("envoy.config.route.v3.Route")),
            ),
        ],
    ),
    (
        "envoy.config.route.v3.Route",
        &[
            (13, "typed_per_filter_config", Map(&Any)),
            (1, "match", Nested("envoy.config.route.v3.RouteMatch")),
            (2, "route", Nested("envoy.config.route.v3.RouteAction")),
            (
                3,
                "redirect",
                Nested("envoy.config.route.v3.RedirectAction"),
            ),
            (4, "metadata", Nested("envoy.config.core.v3.Metadata")),
            (
                7,
                "direct_response",
                Nested("envoy.config.route.v3.DirectResponseAction"),
            ),
            (
                9,
                "request_headers_to_add",
                Repeated(&Nested("envoy.config.core.v3.HeaderValueOption")),
            ),
            (
                10,
                "response_headers_to_add",
                Repeated(&Nested("envoy.config.core.v3.HeaderValueOption")),
            ),
            (11, "response_headers_to_remove", Repeated(&Text)),
            (12, "request_headers_to_remove", Repeated(&Text)),
            (14, "name", Text),
        ],
    ),
    (
        "envoy.config.route.v3.RouteMatch",
        &[
            (1, "prefix", Text),
            (2, "path", Text),
            (4, "case_sensitive", Wrapped(&Bool)),
            (
                6,
                "headers",
                Repeated(&Nested("envoy.config.route.v3.HeaderMatcher")),
            ),
            (
                7,
                "query_parameters",
                Repeated(&Nested("envoy.config.route.v3.QueryParameterMatcher")),
            ),
            (
                10,
                "safe_regex",
                Nested("envoy.type.matcher.v3.RegexMatcher"),
            ),
            (14, "path_separated_prefix", Text),
        ],
    ),
    (
        "envoy.config.route.v3.HeaderMatcher",
        &[
            (1, "name", Text),
            (7, "present_match", Bool),
            (8, "invert_match", Bool),
            (
                13,
                "string_match",
                Nested("envoy.type.matcher.v3.StringMatcher"),
            ),
            (14, "treat_missing_header_as_empty", Bool),
        ],
    ),
    (
        "envoy.config.route.v3.QueryParameterMatcher",
        &[
            (1, "name", Text),
            (
                5,
                "string_match",
                Nested("envoy.type.matcher.v3.StringMatcher"),
            ),
            (6, "present_match", Bool),
        ],
    ),
    (
        "envoy.config.route.v3.RouteAction",
        &[
            (
                15,
                "hash_policy",
                Repeated(&Nested("envoy.config.route.v3.RouteAction.HashPolicy")),
            ),
            (24, "idle_timeout", Duration),
            (
                30,
                "request_mirror_policies",
                Repeated(&Nested(
                    "envoy.config.route.v3.RouteAction.RequestMirrorPolicy",
                )),
            ),
            (
                36,
                "max_stream_duration",
                Nested("envoy.config.route.v3.RouteAction.MaxStreamDuration"),
            ),
            (1, "cluster", Text),
            (
                3,
                "weighted_clusters",
                Nested("envoy.config.route.v3.WeightedCluster"),
            ),
            (5, "prefix_rewrite", Text),
            (6, "host_rewrite_literal", Text),
            (8, "timeout", Duration),
            (
                9,
                "retry_policy",
                Nested("envoy.config.route.v3.RetryPolicy"),
            ),
            (
                32,
                "regex_rewrite",
                Nested("envoy.type.matcher.v3.RegexMatchAndSubstitute"),
            ),
        ],
    ),
    (
        "envoy.config.route.v3.WeightedCluster",
        &[(
            1,
            "clusters",
            Repeated(&Nested(
                "envoy.config.route.v3.WeightedCluster.ClusterWeight",
            )),
        )],
    ),
    (
        "envoy.config.route.v3.WeightedCluster.ClusterWeight",
        &[
            (1, "name", Text),
            (2, "weight", Wrapped(&Unsigned)),
            (
                4,
                "request_headers_to_add",
                Repeated(&Nested("envoy.config.core.v3.HeaderValueOption")),
            ),
            (
                5,
                "response_headers_to_add",
                Repeated(&Nested("envoy.config.core.v3.HeaderValueOption")),
            ),
            (6, "response_headers_to_remove", Repeated(&Text)),
            (9, "request_headers_to_remove", Repeated(&Text)),
        ],
    ),
    (
        "envoy.config.route.v3.RetryPolicy",
        &[
            (1, "retry_on", Text),
            (2, "num_retries", Wrapped(&Unsigned)),
            (3, "per_try_timeout", Duration),
            (
                5,
                "retry_host_predicate",
                Repeated(&Nested(
                    "envoy.config.route.v3.RetryPolicy.RetryHostPredicate",
                )),
            ),
            (6, "host_selection_retry_max_attempts", Signed64),
            (7, "retriable_status_codes", Repeated(&Unsigned)),
            (
                8,
                "retry_back_off",
                Nested("envoy.config.route.v3.RetryPolicy.RetryBackOff"),
            ),
        ],
    ),
    (
        "envoy.config.route.v3.RetryPolicy.RetryHostPredicate",
        &[(1, "name", Text), (3, "typed_config", Any)],
    ),
    (
        "envoy.config.route.v3.RetryPolicy.RetryBackOff",
        &[
            (1, "base_interval", Duration),
            (2, "max_interval", Duration),
        ],
    ),
    (
        "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
        &[],
    ),
    (
        "envoy.config.route.v3.RedirectAction",
        &[
            (1, "host_redirect", Text),
            (2, "path_redirect", Text),
            (
                3,
                "response_code",
                Enum(&[
                    (0, "MOVED_PERMANENTLY"),
                    (1, "FOUND"),
                    (2, "SEE_OTHER"),
                    (3, "TEMPORARY_REDIRECT"),
                    (4, "PERMANENT_REDIRECT"),
                ]),
            ),
            (5, "prefix_rewrite", Text),
            (6, "strip_query", Bool),
            (7, "scheme_redirect", Text),
            (8, "port_redirect", Unsigned),
            (
                9,
                "regex_rewrite",
                Nested("envoy.type.matcher.v3.RegexMatchAndSubstitute"),
            ),
        ],
    ),
    (
        "envoy.config.route.v3.DirectResponseAction",
        &[
            (1, "status", Unsigned),
            (2, "body", Nested("envoy.config.core.v3.DataSource")),
        ],
    ),
    (
        "envoy.config.route.v3.RouteAction.HashPolicy",
        &[
            (
                1,
                "header",
                Nested("envoy.config.route.v3.RouteAction.HashPolicy.Header"),
            ),
            (
                2,
                "cookie",
                Nested("envoy.config.route.v3.RouteAction.HashPolicy.Cookie"),
            ),
            (
                3,
                "connection_properties",
                Nested("envoy.config.route.v3.RouteAction.HashPolicy.ConnectionProperties"),
            ),
            (
                5,
                "query_parameter",
                Nested("envoy.config.route.v3.RouteAction.HashPolicy.QueryParameter"),
            ),
        ],
    ),
    (
        "envoy.config.route.v3.RouteAction.HashPolicy.Header",
        &[(1, "header_name", Text)],
    ),
    (
        "envoy.config.route.v3.RouteAction.HashPolicy.Cookie",
        &[(1, "name", Text), (2, "ttl", Duration), (3, "path", Text)],
    ),
    (
        "envoy.config.route.v3.RouteAction.HashPolicy.ConnectionProperties",
        &[(1, "source_ip", Bool)],
    ),
    (
        "envoy.config.route.v3.RouteAction.HashPolicy.QueryParameter",
        &[(1, "name", Text)],
    ),
    (
        "envoy.config.route.v3.RouteAction.RequestMirrorPolicy",
        &[
            (1, "cluster", Text),
            (
                3,
                "runtime_fraction",
                Nested("envoy.config.core.v3.RuntimeFractionalPercent"),
            ),
            (4, "trace_sampled", Wrapped(&Bool)),
            (6, "disable_shadow_host_suffix_append", Bool),
        ],
    ),
    (
        "envoy.config.route.v3.RouteAction.MaxStreamDuration",
        &[(1, "max_stream_duration", Duration)],
    ),
    (
        "envoy.extensions.filters.http.cors.v3.CorsPolicy",
        &[
            (
                1,
                "allow_origin_string_match",
                Repeated(&Nested("envoy.type.matcher.v3.StringMatcher")),
            ),
            (2, "allow_methods", Text),
            (3, "allow_headers", Text),
            (4, "expose_headers", Text),
            (5, "max_age", Text),
            (6, "allow_credentials", Wrapped(&Bool)),
            (
                7,
                "filter_enabled",
                Nested("envoy.config.core.v3.RuntimeFractionalPercent"),
            ),
            (10, "forward_not_matching_preflights", Wrapped(&Bool)),
        ],
    ),
    ("envoy.extensions.filters.http.cors.v3.Cors", &[]),
    (
        "envoy.extensions.filters.http.fault.v3.HTTPFault",
        &[
            (
                1,
                "delay",
                Nested("envoy.extensions.filters.common.fault.v3.FaultDelay"),
            ),
            (
                2,
                "abort",
                Nested("envoy.extensions.filters.http.fault.v3.FaultAbort"),
            ),
        ],
    ),
    (
        "envoy.extensions.filters.common.fault.v3.FaultDelay",
        &[
            (3, "fixed_delay", Duration),
            (4, "percentage", Nested("envoy.type.v3.FractionalPercent")),
            (
                5,
                "header_delay",
                Nested("envoy.extensions.filters.common.fault.v3.FaultDelay.HeaderDelay"),
            ),
        ],
    ),
    (
        "envoy.extensions.filters.common.fault.v3.FaultDelay.HeaderDelay",
        &[],
    ),
    (
        "envoy.extensions.filters.http.fault.v3.FaultAbort",
        &[
            (2, "http_status", Unsigned),
            (3, "percentage", Nested("envoy.type.v3.FractionalPercent")),
            (
                4,
                "header_abort",
                Nested("envoy.extensions.filters.http.fault.v3.FaultAbort.HeaderAbort"),
            ),
            (5, "grpc_status", Unsigned),
        ],
    ),
    (
        "envoy.extensions.filters.http.fault.v3.FaultAbort.HeaderAbort",
        &[],
    ),
];
