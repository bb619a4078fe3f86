//! Logs for Envoy's access log service.

use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::ApiVersion;
use envoy_types::pb::envoy::extensions::access_loggers::grpc::v3::{
    CommonGrpcAccessLogConfig, HttpGrpcAccessLogConfig as Http, TcpGrpcAccessLogConfig as Tcp,
};
use mesh_ir::GrpcLog;

use super::super::border::{At, InvalidResource};
use super::super::grpc_service;

pub(super) fn to_http(value: &GrpcLog) -> Http {
    let names = |names: &[Arc<str>]| names.iter().map(|name| name.to_string()).collect();
    Http {
        common_config: Some(common(value)),
        additional_request_headers_to_log: names(&value.request_headers),
        additional_response_headers_to_log: names(&value.response_headers),
        ..Http::default()
    }
}

pub(super) fn to_tcp(value: &GrpcLog) -> Tcp {
    Tcp {
        common_config: Some(common(value)),
    }
}

fn common(value: &GrpcLog) -> CommonGrpcAccessLogConfig {
    CommonGrpcAccessLogConfig {
        log_name: value.name.to_string(),
        grpc_service: Some(grpc_service::to_proto(&value.cluster, None, &[])),
        transport_api_version: ApiVersion::V3.into(),
        ..CommonGrpcAccessLogConfig::default()
    }
}

pub(super) fn from_http(proto: Http, at: &At<'_>) -> Result<GrpcLog, InvalidResource> {
    open!(at, proto => Http {
        keep { common_config, additional_request_headers_to_log, additional_response_headers_to_log }
        refuse {}
        ignore { additional_response_trailers_to_log }
    });
    let names = |names: Vec<String>| -> Vec<Arc<str>> {
        let names = names.into_iter();
        names.map(|name| name.to_ascii_lowercase().into()).collect()
    };
    Ok(GrpcLog {
        request_headers: names(additional_request_headers_to_log),
        response_headers: names(additional_response_headers_to_log),
        ..from_common(common_config, false, at)?
    })
}

pub(super) fn from_tcp(proto: Tcp, at: &At<'_>) -> Result<GrpcLog, InvalidResource> {
    let Tcp { common_config } = proto;
    from_common(common_config, true, at)
}

fn from_common(
    common: Option<CommonGrpcAccessLogConfig>,
    tcp: bool,
    at: &At<'_>,
) -> Result<GrpcLog, InvalidResource> {
    let at = at.field("common_config");
    open!(&at, common.ok_or_else(|| at.missing())? => CommonGrpcAccessLogConfig {
        keep { log_name, grpc_service }
        refuse {}
        ignore {
            transport_api_version, buffer_flush_interval, buffer_size_bytes, filter_state_objects_to_log,
            grpc_stream_retry_policy, custom_tags,
        }
    });
    let service = grpc_service::from_proto(grpc_service, &at.field("grpc_service"))?;
    Ok(GrpcLog {
        cluster: service.cluster,
        name: log_name.into(),
        tcp,
        request_headers: Vec::new(),
        response_headers: Vec::new(),
    })
}
