//! HTTP towards a cluster: its version, and the limits of its connections.

use std::collections::HashMap;

use envoy_types::pb::envoy::config::core::v3::{
    Http1ProtocolOptions, Http2ProtocolOptions, HttpProtocolOptions as CommonHttpOptions,
    UpstreamHttpProtocolOptions,
};
use envoy_types::pb::envoy::extensions::upstreams::http::v3::{
    HttpProtocolOptions,
    http_protocol_options::{
        ExplicitHttpConfig, UpstreamProtocolOptions, UseDownstreamHttpConfig,
        explicit_http_config::ProtocolConfig,
    },
};
use envoy_types::pb::google::protobuf;
use mesh_ir::{HttpProtocol, Limits};

use super::border::{At, InvalidResource};
use super::{pack, unpack, values};

const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// What the options say beside limits.
pub(super) struct Http {
    pub(super) protocol: HttpProtocol,
    /// Set if servers are asked for the host of each request: whether their certificates must name it.
    pub(super) name_of_request: Option<bool>,
}

pub(super) fn to_proto(
    protocol: HttpProtocol,
    limits: &Limits,
    name_of_request: Option<bool>,
) -> HashMap<String, protobuf::Any> {
    let common = CommonHttpOptions {
        idle_timeout: limits.idle_timeout.and_then(values::duration),
        max_connection_duration: limits.max_connection_duration.and_then(values::duration),
        max_requests_per_connection: limits
            .max_requests_per_connection
            .and_then(values::u32_value),
        ..CommonHttpOptions::default()
    };
    let http2 = Http2ProtocolOptions {
        max_concurrent_streams: limits.max_concurrent_streams.and_then(values::u32_value),
        ..Http2ProtocolOptions::default()
    };
    let plain = common == CommonHttpOptions::default() && name_of_request.is_none();
    let protocol = match protocol {
        HttpProtocol::Http1 if plain => return HashMap::new(),
        HttpProtocol::Http1 => explicit(ProtocolConfig::HttpProtocolOptions(
            Http1ProtocolOptions::default(),
        )),
        HttpProtocol::Http2 => explicit(ProtocolConfig::Http2ProtocolOptions(http2)),
        HttpProtocol::AsClient => {
            UpstreamProtocolOptions::UseDownstreamProtocolConfig(UseDownstreamHttpConfig {
                http_protocol_options: Some(Http1ProtocolOptions::default()),
                http2_protocol_options: Some(http2),
                http3_protocol_options: None,
            })
        }
    };
    let options = HttpProtocolOptions {
        common_http_protocol_options: (common != CommonHttpOptions::default()).then_some(common),
        upstream_protocol_options: Some(protocol),
        upstream_http_protocol_options: name_of_request.map(|is_validated| {
            UpstreamHttpProtocolOptions {
                auto_sni: true,
                auto_san_validation: is_validated,
                ..UpstreamHttpProtocolOptions::default()
            }
        }),
        ..HttpProtocolOptions::default()
    };
    HashMap::from([(HTTP_OPTIONS.to_owned(), pack(&options))])
}

fn explicit(protocol: ProtocolConfig) -> UpstreamProtocolOptions {
    UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig {
        protocol_config: Some(protocol),
    })
}

pub(super) fn from_proto(
    options: HashMap<String, protobuf::Any>,
    limits: &mut Limits,
    at: &At<'_>,
) -> Result<Http, InvalidResource> {
    let mut http = Http {
        protocol: HttpProtocol::Http1,
        name_of_request: None,
    };
    for (name, any) in options {
        let Some(options) = unpack::<HttpProtocolOptions>(&any, at)? else {
            return Err(at.value(format!("{name:?} is not supported by this proxy")));
        };
        open!(at, options => HttpProtocolOptions {
            keep { common_http_protocol_options, upstream_protocol_options, upstream_http_protocol_options }
            refuse { http_filters, outlier_detection, request_mirror_policies, hash_policy, retry_policy }
            ignore { header_validation_config }
        });
        from_common(common_http_protocol_options.unwrap_or_default(), limits, at)?;
        if let Some(options) = upstream_http_protocol_options {
            http.name_of_request =
                from_upstream(options, &at.field("upstream_http_protocol_options"))?;
        }
        http.protocol = match upstream_protocol_options {
            Some(UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig {
                protocol_config,
            })) => match protocol_config {
                None | Some(ProtocolConfig::HttpProtocolOptions(_)) => HttpProtocol::Http1,
                Some(ProtocolConfig::Http2ProtocolOptions(options)) => {
                    limits.max_concurrent_streams = streams(&options);
                    HttpProtocol::Http2
                }
                Some(ProtocolConfig::Http3ProtocolOptions(_)) => {
                    return Err(at.field("http3_protocol_options").unsupported());
                }
            },
            Some(UpstreamProtocolOptions::UseDownstreamProtocolConfig(config)) => {
                let at = at.field("use_downstream_protocol_config");
                open!(&at, config => UseDownstreamHttpConfig {
                    keep { http2_protocol_options }
                    refuse { http3_protocol_options }
                    ignore { http_protocol_options }
                });
                limits.max_concurrent_streams = http2_protocol_options.as_ref().and_then(streams);
                HttpProtocol::AsClient
            }
            Some(UpstreamProtocolOptions::AutoConfig(_)) | None => {
                return Err(at.value(
                    "only explicit_http_config and use_downstream_protocol_config can name the protocol",
                ));
            }
        };
    }
    Ok(http)
}

fn streams(options: &Http2ProtocolOptions) -> Option<u32> {
    options.max_concurrent_streams.map(|limit| limit.value)
}

/// Whether the certificate must name the host of each request, if that is the server name.
fn from_upstream(
    options: UpstreamHttpProtocolOptions,
    at: &At<'_>,
) -> Result<Option<bool>, InvalidResource> {
    open!(at, options => UpstreamHttpProtocolOptions {
        keep { auto_sni, auto_san_validation }
        refuse { override_auto_sni_header }
        ignore {}
    });
    match (auto_sni, auto_san_validation) {
        (true, validated) => Ok(Some(validated)),
        (false, false) => Ok(None),
        (false, true) => Err(at.value("auto_san_validation needs auto_sni")),
    }
}

fn from_common(
    options: CommonHttpOptions,
    limits: &mut Limits,
    at: &At<'_>,
) -> Result<(), InvalidResource> {
    let at = at.field("common_http_protocol_options");
    open!(&at, options => CommonHttpOptions {
        keep { idle_timeout, max_connection_duration, max_requests_per_connection }
        refuse { max_connection_duration_jitter, max_stream_duration }
        ignore { max_headers_count, max_response_headers_kb, headers_with_underscores_action }
    });
    let span = |field, value: Option<protobuf::Duration>| {
        value
            .map(|value| values::from_duration(value, &at.field(field)))
            .transpose()
    };
    limits.idle_timeout = span("idle_timeout", idle_timeout)?;
    limits.max_connection_duration = span("max_connection_duration", max_connection_duration)?;
    limits.max_requests_per_connection = max_requests_per_connection.map(|value| value.value);
    Ok(())
}
