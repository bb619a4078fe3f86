//! Which requests leave spans, and who gets them.

#![expect(
    deprecated,
    reason = "messages are opened completely, deprecated fields included"
)]

use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::{
    HeaderValue, HeaderValueOption, HttpService, HttpUri, http_uri::HttpUpstreamType,
};
use envoy_types::pb::envoy::config::trace::v3::{
    OpenTelemetryConfig, ZipkinConfig,
    tracing::{Http as Provider, http::ConfigType},
    zipkin_config::{CollectorEndpointVersion, TraceContextOption},
};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::Tracing as Proto;
use envoy_types::pb::envoy::r#type::tracing::v3::{CustomTag, custom_tag};
use envoy_types::pb::envoy::r#type::v3::Percent;
use mesh_ir::{Denominator, Fraction, SpanTag, TagSource, TraceProvider, Tracing};

use super::border::{At, InvalidResource};
use super::{grpc_service, pack, unpack, values};

const ZIPKIN: &str = "envoy.tracers.zipkin";
const OPEN_TELEMETRY: &str = "envoy.tracers.opentelemetry";
/// Envoy wants a URI; the cluster says where.
const SCHEME: &str = "http://";

pub(super) fn to_proto(value: &Tracing) -> Proto {
    let Tracing {
        provider,
        client_sampling,
        random_sampling,
        overall_sampling,
        by_request_id: _,
        propagates,
        max_path_length,
        tags,
    } = value;
    Proto {
        client_sampling: Some(percent(*client_sampling)),
        random_sampling: Some(percent(*random_sampling)),
        overall_sampling: Some(percent(*overall_sampling)),
        max_path_tag_length: values::u32_value(*max_path_length),
        custom_tags: tags
            .iter()
            .map(|(name, tag)| custom_tag(name, tag))
            .collect(),
        provider: Some(to_provider(provider)),
        no_context_propagation: !propagates,
        ..Proto::default()
    }
}

/// `by_request_id` is said elsewhere.
pub(super) fn from_proto(
    proto: Proto,
    by_request_id: bool,
    at: &At<'_>,
) -> Result<Option<Tracing>, InvalidResource> {
    open!(at, proto => Proto {
        keep {
            client_sampling, random_sampling, overall_sampling, max_path_tag_length, custom_tags, provider,
            no_context_propagation,
        }
        refuse {}
        ignore { verbose, spawn_upstream_span, operation, upstream_operation }
    });
    // Without a tracer of its own Envoy has that of its bootstrap, of which we have none.
    let Some(provider) = provider else {
        return Ok(None);
    };
    let tags: Vec<_> = at.list("custom_tags", custom_tags, from_custom_tag)?;
    Ok(Some(Tracing {
        provider: from_provider(provider, &at.field("provider"))?,
        client_sampling: from_percent(client_sampling),
        random_sampling: from_percent(random_sampling),
        overall_sampling: from_percent(overall_sampling),
        by_request_id,
        propagates: !no_context_propagation,
        max_path_length: max_path_tag_length
            .map_or(Tracing::DEFAULT_PATH_LENGTH, |length| length.value),
        tags: tags.into_iter().flatten().collect(),
    }))
}

fn percent(share: Fraction) -> Percent {
    Percent {
        value: f64::from(share.numerator) * 100.0 / share.per.value() as f64,
    }
}

/// Everything by default.
fn from_percent(percent: Option<Percent>) -> Fraction {
    let value = percent.map_or(100.0, |percent| percent.value);
    Fraction {
        numerator: (value.clamp(0.0, 100.0) * 10_000.0).round() as u32,
        per: Denominator::Million,
    }
}

fn to_provider(value: &TraceProvider) -> Provider {
    let (name, config) = match value {
        TraceProvider::Zipkin {
            cluster,
            path,
            host,
            long_ids,
            w3c,
        } => {
            let option = if *w3c {
                TraceContextOption::UseB3WithW3cPropagation
            } else {
                TraceContextOption::UseB3
            };
            let config = ZipkinConfig {
                collector_cluster: cluster.to_string(),
                collector_endpoint: path.to_string(),
                collector_hostname: host.to_string(),
                trace_id_128bit: *long_ids,
                shared_span_context: values::bool_value(false),
                collector_endpoint_version: CollectorEndpointVersion::HttpJson.into(),
                trace_context_option: option.into(),
                ..ZipkinConfig::default()
            };
            (ZIPKIN, pack(&config))
        }
        TraceProvider::OtlpGrpc {
            cluster,
            timeout,
            metadata,
            service,
        } => {
            let config = OpenTelemetryConfig {
                grpc_service: Some(grpc_service::to_proto(cluster, Some(*timeout), metadata)),
                service_name: service.to_string(),
                ..OpenTelemetryConfig::default()
            };
            (OPEN_TELEMETRY, pack(&config))
        }
        TraceProvider::OtlpHttp {
            cluster,
            uri,
            timeout,
            headers,
            service,
        } => {
            let header = |(key, value): &(Arc<str>, Arc<str>)| HeaderValueOption {
                header: Some(HeaderValue {
                    key: key.to_string(),
                    value: value.to_string(),
                    ..HeaderValue::default()
                }),
                ..HeaderValueOption::default()
            };
            let config = OpenTelemetryConfig {
                http_service: Some(HttpService {
                    http_uri: Some(HttpUri {
                        uri: uri.to_string(),
                        timeout: values::duration(*timeout),
                        http_upstream_type: Some(HttpUpstreamType::Cluster(cluster.to_string())),
                    }),
                    request_headers_to_add: headers.iter().map(header).collect(),
                    ..HttpService::default()
                }),
                service_name: service.to_string(),
                ..OpenTelemetryConfig::default()
            };
            (OPEN_TELEMETRY, pack(&config))
        }
    };
    Provider {
        name: name.to_owned(),
        config_type: Some(ConfigType::TypedConfig(config)),
    }
}

fn from_provider(proto: Provider, at: &At<'_>) -> Result<TraceProvider, InvalidResource> {
    let Provider { name, config_type } = proto;
    let Some(ConfigType::TypedConfig(any)) = config_type else {
        return Err(at.field("typed_config").missing());
    };
    let at = at.field("typed_config");
    if let Some(proto) = unpack::<ZipkinConfig>(&any, &at)? {
        return from_zipkin(proto, &at);
    }
    if let Some(proto) = unpack::<OpenTelemetryConfig>(&any, &at)? {
        return from_open_telemetry(proto, &at);
    }
    Err(at.value(format!(
        "the tracer {name:?} is not supported by this proxy"
    )))
}

fn from_zipkin(proto: ZipkinConfig, at: &At<'_>) -> Result<TraceProvider, InvalidResource> {
    open!(at, proto => ZipkinConfig {
        keep {
            collector_cluster, collector_endpoint, trace_id_128bit, collector_endpoint_version, collector_hostname,
            trace_context_option,
        }
        refuse { collector_service }
        ignore { shared_span_context, split_spans_for_request, timestamp_trace_ids }
    });
    if collector_endpoint_version != i32::from(CollectorEndpointVersion::HttpJson) {
        return Err(at
            .field("collector_endpoint_version")
            .value("only HTTP_JSON can be used"));
    }
    let host = if collector_hostname.is_empty() {
        collector_cluster.clone()
    } else {
        collector_hostname
    };
    Ok(TraceProvider::Zipkin {
        cluster: collector_cluster.into(),
        path: collector_endpoint.into(),
        host: host.into(),
        long_ids: trace_id_128bit,
        w3c: trace_context_option == i32::from(TraceContextOption::UseB3WithW3cPropagation),
    })
}

fn from_open_telemetry(
    proto: OpenTelemetryConfig,
    at: &At<'_>,
) -> Result<TraceProvider, InvalidResource> {
    open!(at, proto => OpenTelemetryConfig {
        keep { grpc_service, http_service, service_name }
        refuse { exporter, sampler }
        ignore {
            resource_detectors, max_cache_size, set_telemetry_sdk_resource_attributes,
            set_service_name_resource_attribute, set_instrumentation_scope,
        }
    });
    let service = service_name.into();
    let Some(http) = http_service else {
        let called = grpc_service::from_proto(grpc_service, &at.field("grpc_service"))?;
        return Ok(TraceProvider::OtlpGrpc {
            cluster: called.cluster,
            timeout: called.timeout.unwrap_or(TraceProvider::DEFAULT_TIMEOUT),
            metadata: called.metadata,
            service,
        });
    };
    let at = at.field("http_service");
    open!(&at, http => HttpService {
        keep { http_uri, request_headers_to_add }
        refuse {}
        ignore { formatters }
    });
    let header = |option: HeaderValueOption| {
        let HeaderValue { key, value, .. } = option.header?;
        Some((key.into(), value.into()))
    };
    let headers = request_headers_to_add
        .into_iter()
        .filter_map(header)
        .collect();
    let at = at.field("http_uri");
    let HttpUri {
        uri,
        timeout,
        http_upstream_type,
    } = http_uri.ok_or_else(|| at.missing())?;
    let Some(HttpUpstreamType::Cluster(cluster)) = http_upstream_type else {
        return Err(at.field("cluster").missing());
    };
    if !uri.starts_with(SCHEME) && !uri.starts_with("https://") {
        return Err(at
            .field("uri")
            .value(format!("{uri:?} is not a URI of HTTP")));
    }
    Ok(TraceProvider::OtlpHttp {
        cluster: cluster.into(),
        uri: uri.into(),
        timeout: match timeout {
            Some(timeout) => values::from_duration(timeout, &at.field("timeout"))?,
            None => TraceProvider::DEFAULT_TIMEOUT,
        },
        headers,
        service,
    })
}

fn custom_tag(name: &Arc<str>, tag: &SpanTag) -> CustomTag {
    use custom_tag::{Environment, Header, Literal, Type};
    let default_value = tag.default.to_string();
    CustomTag {
        tag: name.to_string(),
        r#type: Some(match &tag.source {
            TagSource::Literal(value) => Type::Literal(Literal {
                value: value.to_string(),
            }),
            TagSource::Environment(name) => Type::Environment(Environment {
                name: name.to_string(),
                default_value,
            }),
            TagSource::Header(name) => Type::RequestHeader(Header {
                name: name.to_string(),
                default_value,
            }),
            TagSource::Format(text) => Type::Value(text.to_string()),
        }),
    }
}

/// None for tags of what this proxy does not have (metadata).
fn from_custom_tag(
    proto: CustomTag,
    _: &At<'_>,
) -> Result<Option<(Arc<str>, SpanTag)>, InvalidResource> {
    use custom_tag::{Environment, Header, Literal, Type};
    let CustomTag { tag, r#type } = proto;
    let (source, default) = match r#type {
        Some(Type::Literal(Literal { value })) => (TagSource::Literal(value.into()), String::new()),
        Some(Type::Environment(Environment {
            name,
            default_value,
        })) => (TagSource::Environment(name.into()), default_value),
        Some(Type::RequestHeader(Header {
            name,
            default_value,
        })) => {
            let name = name.to_ascii_lowercase();
            (TagSource::Header(name.into()), default_value)
        }
        Some(Type::Value(text)) => (TagSource::Format(text.into()), String::new()),
        Some(Type::Metadata(_)) | None => return Ok(None),
    };
    let default = default.into();
    Ok(Some((tag.into(), SpanTag { source, default })))
}
