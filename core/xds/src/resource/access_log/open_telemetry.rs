//! Logs for OpenTelemetry's log service.

#![expect(
    deprecated,
    reason = "Envoy's older form of the service is understood too"
)]

use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::ApiVersion;
use envoy_types::pb::envoy::extensions::access_loggers::grpc::v3::CommonGrpcAccessLogConfig;
use envoy_types::pb::envoy::extensions::access_loggers::open_telemetry::v3::OpenTelemetryAccessLogConfig as Proto;
use envoy_types::pb::opentelemetry::proto::common::v1::{
    AnyValue, KeyValue, KeyValueList, any_value::Value,
};
use mesh_ir::OtlpLog;

use super::super::border::{At, InvalidResource};
use super::super::grpc_service;

pub(super) fn to_proto(value: &OtlpLog) -> Proto {
    let OtlpLog {
        cluster,
        name,
        body,
        attributes,
    } = value;
    let text = |text: &str| AnyValue {
        value: Some(Value::StringValue(text.to_owned())),
    };
    let attribute = |(key, value): &(Arc<str>, Arc<str>)| KeyValue {
        key: key.to_string(),
        value: Some(text(value)),
        ..KeyValue::default()
    };
    Proto {
        common_config: Some(CommonGrpcAccessLogConfig {
            log_name: name.to_string(),
            grpc_service: Some(grpc_service::to_proto(cluster, None, &[])),
            transport_api_version: ApiVersion::V3.into(),
            ..CommonGrpcAccessLogConfig::default()
        }),
        disable_builtin_labels: true,
        body: (!body.is_empty()).then(|| text(body)),
        attributes: (!attributes.is_empty()).then(|| KeyValueList {
            values: attributes.iter().map(attribute).collect(),
        }),
        ..Proto::default()
    }
}

pub(super) fn from_proto(proto: Proto, at: &At<'_>) -> Result<OtlpLog, InvalidResource> {
    open!(at, proto => Proto {
        keep { common_config, grpc_service, log_name, body, attributes }
        refuse { http_service, resource_attributes, formatters }
        ignore {
            disable_builtin_labels, resource_detectors, stat_prefix, buffer_flush_interval, buffer_size_bytes,
            filter_state_objects_to_log, custom_tags,
        }
    });
    let common = common_config.unwrap_or_default();
    let service = grpc_service.or(common.grpc_service);
    let service = grpc_service::from_proto(service, &at.field("grpc_service"))?;
    let name = if log_name.is_empty() {
        common.log_name
    } else {
        log_name
    };
    let attribute = |KeyValue { key, value, .. }: KeyValue, at: &At<'_>| {
        Ok((Arc::from(key), from_text(value, &at.field("value"))?))
    };
    Ok(OtlpLog {
        cluster: service.cluster,
        name: name.into(),
        body: match body {
            Some(body) => from_text(Some(body), &at.field("body"))?,
            None => "".into(),
        },
        attributes: at.list(
            "attributes",
            attributes.unwrap_or_default().values,
            attribute,
        )?,
    })
}

fn from_text(value: Option<AnyValue>, at: &At<'_>) -> Result<Arc<str>, InvalidResource> {
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => Ok(text.into()),
        _ => Err(at.value("only texts can be used")),
    }
}
