//! Services that the proxy itself calls by gRPC, at a cluster.

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::grpc_service::{EnvoyGrpc, TargetSpecifier};
use envoy_types::pb::envoy::config::core::v3::{GrpcService, HeaderValue};

use super::border::{At, InvalidResource};
use super::values;

/// A service.
pub(super) struct Called {
    pub(super) cluster: Arc<str>,
    pub(super) timeout: Option<Duration>,
    pub(super) metadata: Vec<(Arc<str>, Arc<str>)>,
}

pub(super) fn to_proto(
    cluster: &str,
    timeout: Option<Duration>,
    metadata: &[(Arc<str>, Arc<str>)],
) -> GrpcService {
    let header = |(key, value): &(Arc<str>, Arc<str>)| HeaderValue {
        key: key.to_string(),
        value: value.to_string(),
        ..HeaderValue::default()
    };
    GrpcService {
        timeout: timeout.and_then(values::duration),
        initial_metadata: metadata.iter().map(header).collect(),
        target_specifier: Some(TargetSpecifier::EnvoyGrpc(EnvoyGrpc {
            cluster_name: cluster.to_owned(),
            ..EnvoyGrpc::default()
        })),
        ..GrpcService::default()
    }
}

pub(super) fn from_proto(
    proto: Option<GrpcService>,
    at: &At<'_>,
) -> Result<Called, InvalidResource> {
    open!(at, proto.ok_or_else(|| at.missing())? => GrpcService {
        keep { timeout, initial_metadata, target_specifier }
        refuse {}
        ignore { retry_policy }
    });
    let Some(TargetSpecifier::EnvoyGrpc(service)) = target_specifier else {
        return Err(at.value("only clusters (envoy_grpc) can be called"));
    };
    let header = |HeaderValue { key, value, .. }: HeaderValue| (key.into(), value.into());
    Ok(Called {
        cluster: service.cluster_name.into(),
        timeout: timeout
            .map(|timeout| values::from_duration(timeout, &at.field("timeout")))
            .transpose()?,
        metadata: initial_metadata.into_iter().map(header).collect(),
    })
}
