//! HTTP towards a cluster: its version, and the limits of its connections.

use std::collections::HashMap;

use envoy_types::pb::envoy::config::core::v3::{
    Http1ProtocolOptions, Http2ProtocolOptions, HttpProtocolOptions as CommonHttpOptions,
};
use envoy_types::pb::envoy::extensions::upstreams::http::v3::{
    HttpProtocolOptions,
    http_protocol_options::{
        ExplicitHttpConfig, UpstreamProtocolOptions, explicit_http_config::ProtocolConfig,
    },
};
use envoy_types::pb::google::protobuf;
use mesh_ir::{HttpProtocol, Limits};

use super::border::{At, InvalidResource};
use super::{pack, unpack, values};

const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

pub(super) fn to_proto(protocol: HttpProtocol, limits: &Limits) -> HashMap<String, protobuf::Any> {
    if protocol == HttpProtocol::Http1
        && limits.idle_timeout.is_none()
        && limits.max_requests_per_connection.is_none()
    {
        return HashMap::new();
    }
    let protocol = match protocol {
        HttpProtocol::Http1 => ProtocolConfig::HttpProtocolOptions(Http1ProtocolOptions::default()),
        HttpProtocol::Http2 => {
            ProtocolConfig::Http2ProtocolOptions(Http2ProtocolOptions::default())
        }
    };
    let options = HttpProtocolOptions {
        common_http_protocol_options: Some(CommonHttpOptions {
            idle_timeout: limits.idle_timeout.and_then(values::duration),
            max_requests_per_connection: limits
                .max_requests_per_connection
                .and_then(values::u32_value),
            ..CommonHttpOptions::default()
        }),
        upstream_protocol_options: Some(UpstreamProtocolOptions::ExplicitHttpConfig(
            ExplicitHttpConfig {
                protocol_config: Some(protocol),
            },
        )),
        ..HttpProtocolOptions::default()
    };
    HashMap::from([(HTTP_OPTIONS.to_owned(), pack(&options))])
}

pub(super) fn from_proto(
    options: HashMap<String, protobuf::Any>,
    limits: &mut Limits,
    at: &At<'_>,
) -> Result<HttpProtocol, InvalidResource> {
    let mut protocol = HttpProtocol::Http1;
    for (name, any) in options {
        let Some(options) = unpack::<HttpProtocolOptions>(&any, at)? else {
            return Err(at.value(format!("{name:?} is not supported by this proxy")));
        };
        open!(at, options => HttpProtocolOptions {
            keep { common_http_protocol_options, upstream_protocol_options }
            refuse {
                upstream_http_protocol_options, http_filters, outlier_detection, request_mirror_policies, hash_policy,
                retry_policy,
            }
            ignore { header_validation_config }
        });
        from_common(common_http_protocol_options.unwrap_or_default(), limits, at)?;
        let Some(UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig {
            protocol_config,
        })) = upstream_protocol_options
        else {
            return Err(at.value("only explicit_http_config can name the protocol"));
        };
        protocol = match protocol_config {
            None | Some(ProtocolConfig::HttpProtocolOptions(_)) => HttpProtocol::Http1,
            Some(ProtocolConfig::Http2ProtocolOptions(_)) => HttpProtocol::Http2,
            Some(ProtocolConfig::Http3ProtocolOptions(_)) => {
                return Err(at.field("http3_protocol_options").unsupported());
            }
        };
    }
    Ok(protocol)
}

fn from_common(
    options: CommonHttpOptions,
    limits: &mut Limits,
    at: &At<'_>,
) -> Result<(), InvalidResource> {
    open!(at, options => CommonHttpOptions {
        keep { idle_timeout, max_requests_per_connection }
        refuse { max_connection_duration, max_connection_duration_jitter, max_stream_duration }
        ignore { max_headers_count, max_response_headers_kb, headers_with_underscores_action }
    });
    limits.idle_timeout = idle_timeout
        .map(|value| values::from_duration(value, &at.field("idle_timeout")))
        .transpose()?;
    limits.max_requests_per_connection = max_requests_per_connection.map(|value| value.value);
    Ok(())
}
