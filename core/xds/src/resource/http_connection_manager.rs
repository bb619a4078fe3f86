//! The HTTP connection manager, the end of chains whose requests are routed.

#![expect(
    deprecated,
    reason = "messages are opened completely, deprecated fields included"
)]

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::HttpProtocolOptions;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager as Proto, Rds, RequestIdExtension, http_connection_manager,
};
use envoy_types::pb::envoy::extensions::request_id::uuid::v3::UuidRequestIdConfig;
use http_connection_manager::{
    CodecType, RouteSpecifier, ServerHeaderTransformation, UpgradeConfig,
};
use mesh_ir::{Direction, HttpCodec, HttpConnectionManager, Routes, TelemetryPolicy};

use super::border::{At, InvalidResource};
use super::trust::{self, TrustFields};
use super::{access_log, http_filters, normalization, pack, route, tracing, unpack, values};

const WEBSOCKET: &str = "websocket";
/// What the header `server` of responses says.
const SERVER: &str = "istio-envoy";

pub(super) fn to_proto(value: &HttpConnectionManager) -> Proto {
    let HttpConnectionManager {
        stat_prefix,
        routes,
        direction,
        codec,
        normalization,
        trust,
        filters,
        websocket,
        idle_timeout,
        telemetry,
    } = value;
    let TelemetryPolicy {
        access_logs,
        tracing,
        metrics,
    } = &**telemetry;
    let request_id = tracing.as_ref().filter(|tracing| !tracing.by_request_id);
    // As Istio: the mesh names itself at the edge and in front of workloads only.
    let names_itself = trust.use_remote_address || *direction == Direction::Inbound;
    let (server_name, server_header) = if names_itself {
        (SERVER.to_owned(), ServerHeaderTransformation::Overwrite)
    } else {
        (String::new(), ServerHeaderTransformation::PassThrough)
    };
    let upgrade = websocket.then(|| UpgradeConfig {
        upgrade_type: WEBSOCKET.to_owned(),
        ..UpgradeConfig::default()
    });
    let mut proto = Proto {
        codec_type: match codec {
            HttpCodec::Auto => CodecType::Auto,
            HttpCodec::Http1 => CodecType::Http1,
            HttpCodec::Http2 => CodecType::Http2,
        }
        .into(),
        stat_prefix: stat_prefix.to_string(),
        route_specifier: Some(match routes {
            Routes::Discovered(name) => RouteSpecifier::Rds(Rds {
                config_source: values::ads(),
                route_config_name: name.to_string(),
            }),
            Routes::Inline(config) => RouteSpecifier::RouteConfig(route::to_proto(config)),
        }),
        http_filters: http_filters::to_proto(filters, metrics),
        upgrade_configs: upgrade.into_iter().collect(),
        common_http_protocol_options: Some(HttpProtocolOptions {
            idle_timeout: values::limit(*idle_timeout),
            ..HttpProtocolOptions::default()
        }),
        // As Istio: routes limit requests, streams may rest.
        stream_idle_timeout: values::duration(Duration::ZERO),
        server_name,
        server_header_transformation: server_header.into(),
        access_log: access_log::to_proto(access_logs),
        tracing: tracing.as_ref().map(tracing::to_proto),
        request_id_extension: request_id.map(|_| without_decisions()),
        ..Proto::default()
    };
    normalization::put(&mut proto, *normalization);
    trust::put(&mut proto, trust);
    proto
}

pub(super) fn from_proto(
    proto: Proto,
    direction: Direction,
    at: &At<'_>,
) -> Result<HttpConnectionManager, InvalidResource> {
    open!(at, proto => Proto {
        keep {
            codec_type, stat_prefix, http_filters, common_http_protocol_options, access_log, use_remote_address,
            xff_num_trusted_hops, skip_xff_append, forward_client_cert_details, set_current_client_cert_details,
            upgrade_configs, normalize_path, merge_slashes, path_with_escaped_slashes_action, strip_matching_host_port,
            strip_trailing_host_dot, strip_port_mode, route_specifier, tracing, request_id_extension,
        }
        refuse {
            original_ip_detection_extensions, early_header_mutation_extensions, internal_address_config,
            forward_client_cert_matcher, local_reply_config, append_x_forwarded_port, append_local_overload,
            add_proxy_protocol_connection_state, typed_header_validation_config, add_user_agent, forward_proto_config,
            scheme_header_transformation, path_normalization_options,
        }
        ignore {
            http1_safe_max_connection_duration, http_protocol_options, http2_protocol_options,
            http3_protocol_options, server_name, server_header_transformation, max_request_headers_kb,
            stream_idle_timeout, stream_flush_timeout, request_timeout, request_headers_timeout, drain_timeout,
            drain_timeout_jitter, delayed_close_timeout, access_log_flush_interval, flush_access_log_on_new_request,
            access_log_options, via, generate_request_id, preserve_external_request_id,
            always_set_request_id_in_response, proxy_100_continue, represent_ipv4_remote_address_as_ipv4_mapped_ipv6,
            stream_error_on_invalid_http_message, proxy_status_config,
        }
    });
    let by_request_id = decides(request_id_extension, &at.field("request_id_extension"))?;
    let tracing = match tracing {
        Some(tracing) => tracing::from_proto(tracing, by_request_id, &at.field("tracing"))?,
        None => None,
    };
    let (filters, metrics) = http_filters::from_proto(http_filters, at)?;
    let telemetry = TelemetryPolicy {
        access_logs: access_log::from_proto(access_log, at)?,
        tracing,
        metrics,
    };
    let upgrades: Vec<bool> = at.list("upgrade_configs", upgrade_configs, from_upgrade)?;
    let trust = TrustFields {
        use_remote_address,
        xff_num_trusted_hops,
        skip_xff_append,
        forward_client_cert_details,
        set_current_client_cert_details,
        strip_matching_host_port,
        strip_port_mode,
        strip_trailing_host_dot,
    };
    Ok(HttpConnectionManager {
        stat_prefix: stat_prefix.into(),
        routes: from_routes(route_specifier, at)?,
        direction,
        codec: match CodecType::try_from(codec_type) {
            Ok(CodecType::Auto) => HttpCodec::Auto,
            Ok(CodecType::Http1) => HttpCodec::Http1,
            Ok(CodecType::Http2) => HttpCodec::Http2,
            Ok(CodecType::Http3) | Err(_) => return Err(at.field("codec_type").unsupported()),
        },
        normalization: normalization::from_proto(
            normalize_path,
            merge_slashes,
            path_with_escaped_slashes_action,
            at,
        )?,
        trust: trust::from_proto(trust, at)?,
        filters,
        websocket: upgrades.contains(&true),
        idle_timeout: from_common(
            common_http_protocol_options.unwrap_or_default(),
            &at.field("common_http_protocol_options"),
        )?,
        telemetry: Arc::new(telemetry),
    })
}

/// Request ids say nothing about traces.
fn without_decisions() -> RequestIdExtension {
    let config = UuidRequestIdConfig {
        pack_trace_reason: values::bool_value(false),
        use_request_id_for_trace_sampling: values::bool_value(false),
    };
    RequestIdExtension {
        typed_config: Some(pack(&config)),
    }
}

/// Whether request ids decide what is traced.
fn decides(extension: Option<RequestIdExtension>, at: &At<'_>) -> Result<bool, InvalidResource> {
    let Some(any) = extension.and_then(|extension| extension.typed_config) else {
        return Ok(true);
    };
    let at = at.field("typed_config");
    match unpack::<UuidRequestIdConfig>(&any, &at)? {
        Some(config) => Ok(config
            .use_request_id_for_trace_sampling
            .is_none_or(|uses| uses.value)),
        None => Err(at.value(format!("{} is not supported by this proxy", any.type_url))),
    }
}

/// The idle timeout; what else is set there would drop requests or end connections.
fn from_common(
    options: HttpProtocolOptions,
    at: &At<'_>,
) -> Result<Option<Duration>, InvalidResource> {
    open!(at, options => HttpProtocolOptions {
        keep { idle_timeout }
        refuse {
            max_connection_duration, max_connection_duration_jitter, max_stream_duration,
            headers_with_underscores_action, max_requests_per_connection,
        }
        ignore { max_headers_count, max_response_headers_kb }
    });
    values::from_limit(
        idle_timeout,
        Some(values::DEFAULT_IDLE),
        &at.field("idle_timeout"),
    )
}

fn from_routes(specifier: Option<RouteSpecifier>, at: &At<'_>) -> Result<Routes, InvalidResource> {
    match specifier {
        Some(RouteSpecifier::Rds(rds)) => {
            let Rds {
                config_source,
                route_config_name,
            } = rds;
            let at = at.field("rds");
            values::from_ads(config_source, &at.field("config_source"))?;
            Ok(Routes::Discovered(route_config_name.into()))
        }
        Some(RouteSpecifier::RouteConfig(config)) => {
            let config = route::from_proto(config, &at.field("route_config"))?;
            Ok(Routes::Inline(Arc::new(config)))
        }
        Some(RouteSpecifier::ScopedRoutes(_)) => Err(at.field("scoped_routes").unsupported()),
        None => Err(at.field("rds").missing()),
    }
}

fn from_upgrade(proto: UpgradeConfig, at: &At<'_>) -> Result<bool, InvalidResource> {
    open!(at, proto => UpgradeConfig {
        keep { upgrade_type, enabled }
        refuse { filters }
        ignore {}
    });
    if upgrade_type.eq_ignore_ascii_case(WEBSOCKET) {
        Ok(enabled.is_none_or(|enabled| enabled.value))
    } else {
        Err(at.field("upgrade_type").unsupported())
    }
}
