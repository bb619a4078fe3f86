//! Access logs: to files, to Envoy's access log service, to OpenTelemetry's log service.

mod file;
mod grpc;
mod open_telemetry;

use envoy_types::pb::envoy::config::accesslog::v3::{
    AccessLog as Proto, AccessLogFilter, ExtensionFilter, access_log,
    access_log_filter::FilterSpecifier, extension_filter,
};
use envoy_types::pb::envoy::extensions::access_loggers::file::v3::FileAccessLog;
use envoy_types::pb::envoy::extensions::access_loggers::filters::cel::v3::ExpressionFilter;
use envoy_types::pb::envoy::extensions::access_loggers::grpc::v3::{
    HttpGrpcAccessLogConfig, TcpGrpcAccessLogConfig,
};
use envoy_types::pb::envoy::extensions::access_loggers::open_telemetry::v3::OpenTelemetryAccessLogConfig;
use envoy_types::pb::google::protobuf::Any;
use mesh_ir::expression::Expression;
use mesh_ir::{AccessLog, LogSink};

use super::border::{At, InvalidResource};
use super::{pack, unpack};

const FILE: &str = "envoy.access_loggers.file";
const HTTP_GRPC: &str = "envoy.access_loggers.http_grpc";
const TCP_GRPC: &str = "envoy.access_loggers.tcp_grpc";
const OPEN_TELEMETRY: &str = "envoy.access_loggers.open_telemetry";
/// The filter that Istio writes expressions with.
const CEL: &str = "envoy.access_loggers.extension_filters.cel";

pub(super) fn to_proto(logs: &[AccessLog]) -> Vec<Proto> {
    logs.iter().map(log).collect()
}

fn log(value: &AccessLog) -> Proto {
    let AccessLog { sink, filter } = value;
    let (name, config) = match sink {
        LogSink::File(log) => (FILE, pack(&file::to_proto(log))),
        LogSink::Grpc(log) if log.tcp => (TCP_GRPC, pack(&grpc::to_tcp(log))),
        LogSink::Grpc(log) => (HTTP_GRPC, pack(&grpc::to_http(log))),
        LogSink::OpenTelemetry(log) => (OPEN_TELEMETRY, pack(&open_telemetry::to_proto(log))),
    };
    Proto {
        name: name.to_owned(),
        filter: filter.as_deref().map(cel),
        config_type: Some(access_log::ConfigType::TypedConfig(config)),
    }
}

fn cel(expression: &str) -> AccessLogFilter {
    let filter = ExpressionFilter {
        expression: expression.to_owned(),
        ..ExpressionFilter::default()
    };
    let extension = ExtensionFilter {
        name: CEL.to_owned(),
        config_type: Some(extension_filter::ConfigType::TypedConfig(pack(&filter))),
    };
    AccessLogFilter {
        filter_specifier: Some(FilterSpecifier::ExtensionFilter(extension)),
    }
}

pub(super) fn from_proto(logs: Vec<Proto>, at: &At<'_>) -> Result<Vec<AccessLog>, InvalidResource> {
    at.list("access_log", logs, |log, at| {
        open!(at, log => Proto {
            keep { config_type, filter }
            refuse {}
            ignore { name }
        });
        let Some(access_log::ConfigType::TypedConfig(any)) = config_type else {
            return Err(at.field("typed_config").missing());
        };
        Ok(AccessLog {
            sink: from_config(&any, &at.field("typed_config"))?,
            filter: filter
                .map(|filter| from_filter(filter, &at.field("filter")))
                .transpose()?,
        })
    })
}

fn from_config(any: &Any, at: &At<'_>) -> Result<LogSink, InvalidResource> {
    if let Some(proto) = unpack::<FileAccessLog>(any, at)? {
        return file::from_proto(proto, at).map(LogSink::File);
    }
    if let Some(proto) = unpack::<HttpGrpcAccessLogConfig>(any, at)? {
        return grpc::from_http(proto, at).map(LogSink::Grpc);
    }
    if let Some(proto) = unpack::<TcpGrpcAccessLogConfig>(any, at)? {
        return grpc::from_tcp(proto, at).map(LogSink::Grpc);
    }
    if let Some(proto) = unpack::<OpenTelemetryAccessLogConfig>(any, at)? {
        return open_telemetry::from_proto(proto, at).map(LogSink::OpenTelemetry);
    }
    Err(at.value(format!("{} is not supported by this proxy", any.type_url)))
}

fn from_filter(
    filter: AccessLogFilter,
    at: &At<'_>,
) -> Result<std::sync::Arc<str>, InvalidResource> {
    let Some(FilterSpecifier::ExtensionFilter(extension)) = filter.filter_specifier else {
        return Err(at.value("only expressions (extension_filter) can be used"));
    };
    let at = at.field("extension_filter");
    let ExtensionFilter { name, config_type } = extension;
    let Some(extension_filter::ConfigType::TypedConfig(any)) = config_type else {
        return Err(at.field("typed_config").missing());
    };
    let at = at.field("typed_config");
    let Some(ExpressionFilter { expression, .. }) = unpack::<ExpressionFilter>(&any, &at)? else {
        return Err(at.value(format!(
            "the filter {name:?} is not supported by this proxy"
        )));
    };
    if let Err(reason) = Expression::parse(&expression) {
        return Err(at.field("expression").value(reason));
    }
    Ok(expression.into())
}
