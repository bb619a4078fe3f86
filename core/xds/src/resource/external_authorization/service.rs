//! The services that are asked: by gRPC, also for other filters, or over HTTP.

#![expect(
    deprecated,
    reason = "messages are opened completely, deprecated fields included"
)]

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::{
    GrpcService, HeaderValue, HttpUri,
    grpc_service::{EnvoyGrpc, TargetSpecifier},
    http_uri::HttpUpstreamType,
};
use envoy_types::pb::envoy::extensions::filters::http::ext_authz::v3::{
    AuthorizationRequest, AuthorizationResponse, HttpService,
};
use mesh_ir::policy::{ExternalAuthorizerProtocol, HttpAuthorizer, StringPattern};

use super::names::{from_names, names};
use crate::resource::border::{At, InvalidResource};
use crate::resource::values;

/// Envoy's own limit of an answer.
const DEFAULT_TIMEOUT: Duration = Duration::from_millis(200);

pub(super) type Service = (Arc<str>, Duration, ExternalAuthorizerProtocol);

pub(super) fn from_grpc_service(
    proto: GrpcService,
    at: &At<'_>,
) -> Result<Service, InvalidResource> {
    let GrpcTarget {
        cluster,
        authority,
        timeout,
    } = from_grpc(proto, at)?;
    let timeout = timeout.unwrap_or(DEFAULT_TIMEOUT);
    let protocol = ExternalAuthorizerProtocol::Grpc { authority };
    Ok((cluster, timeout, protocol))
}

/// A service that is asked by gRPC.
pub struct GrpcTarget {
    pub cluster: Arc<str>,
    /// Empty stands for the cluster's name.
    pub authority: Arc<str>,
    pub timeout: Option<Duration>,
}

pub fn from_grpc(proto: GrpcService, at: &At<'_>) -> Result<GrpcTarget, InvalidResource> {
    open!(at, proto => GrpcService {
        keep { timeout, target_specifier }
        refuse { initial_metadata, retry_policy }
        ignore {}
    });
    let Some(TargetSpecifier::EnvoyGrpc(target)) = target_specifier else {
        return Err(at.value("only envoy_grpc can be asked"));
    };
    open!(&at.field("envoy_grpc"), target => EnvoyGrpc {
        keep { cluster_name, authority }
        refuse { retry_policy, max_receive_message_length }
        ignore { skip_envoy_headers }
    });
    let timeout = timeout.map(|timeout| values::from_duration(timeout, &at.field("timeout")));
    Ok(GrpcTarget {
        cluster: cluster_name.into(),
        authority: authority.into(),
        timeout: timeout.transpose()?,
    })
}

/// The service, and the names of the request headers that it says itself it is told.
pub(super) fn from_http_service(
    proto: HttpService,
    at: &At<'_>,
) -> Result<(Service, Option<Vec<StringPattern>>), InvalidResource> {
    open!(at, proto => HttpService {
        keep { server_uri, path_prefix, authorization_request, authorization_response }
        refuse { path_override, retry_policy }
        ignore {}
    });
    let HttpUri {
        uri: _,
        timeout,
        http_upstream_type,
    } = at.require("server_uri", server_uri)?;
    let Some(HttpUpstreamType::Cluster(cluster)) = http_upstream_type else {
        return Err(at.field("server_uri").missing());
    };
    let timeout = timeout.map(|timeout| values::from_duration(timeout, &at.field("server_uri")));
    let AuthorizationRequest {
        allowed_headers,
        headers_to_add,
    } = authorization_request.unwrap_or_default();
    let at_request = at.field("authorization_request");
    let told = from_names(allowed_headers, &at_request.field("allowed_headers"))?;
    let added = at_request.list("headers_to_add", headers_to_add, |header, at| {
        if header.value.contains('%') {
            return Err(at.value("values with command operators are not supported"));
        }
        Ok((header.key.to_ascii_lowercase().into(), header.value.into()))
    })?;
    let at_response = at.field("authorization_response");
    open!(&at_response, authorization_response.unwrap_or_default() => AuthorizationResponse {
        keep {
            allowed_upstream_headers, allowed_upstream_headers_to_append, allowed_client_headers,
            allowed_client_headers_on_success,
        }
        refuse { dynamic_metadata_from_headers }
        ignore {}
    });
    let names = |proto, field| {
        let names = from_names(proto, &at_response.field(field))?;
        Ok::<_, InvalidResource>(names.unwrap_or_default())
    };
    let http = HttpAuthorizer {
        path_prefix: path_prefix.into(),
        added_headers: added,
        upstream_headers: names(allowed_upstream_headers, "allowed_upstream_headers")?,
        appended_headers: names(
            allowed_upstream_headers_to_append,
            "allowed_upstream_headers_to_append",
        )?,
        denial_headers: names(allowed_client_headers, "allowed_client_headers")?,
        success_headers: names(
            allowed_client_headers_on_success,
            "allowed_client_headers_on_success",
        )?,
    };
    let service = (
        cluster.into(),
        timeout.transpose()?.unwrap_or(DEFAULT_TIMEOUT),
        ExternalAuthorizerProtocol::Http(http),
    );
    Ok((service, told))
}

pub(super) fn to_grpc(cluster: &str, authority: &str, timeout: Duration) -> GrpcService {
    GrpcService {
        timeout: values::duration(timeout),
        target_specifier: Some(TargetSpecifier::EnvoyGrpc(EnvoyGrpc {
            cluster_name: cluster.to_owned(),
            authority: authority.to_owned(),
            ..EnvoyGrpc::default()
        })),
        ..GrpcService::default()
    }
}

pub(super) fn to_http_service(
    cluster: &str,
    timeout: Duration,
    http: &HttpAuthorizer,
) -> HttpService {
    let HttpAuthorizer {
        path_prefix,
        added_headers,
        upstream_headers,
        appended_headers,
        denial_headers,
        success_headers,
    } = http;
    let added = |(name, value): &(Arc<str>, Arc<str>)| HeaderValue {
        key: name.to_string(),
        value: value.to_string(),
        ..HeaderValue::default()
    };
    HttpService {
        server_uri: Some(HttpUri {
            // Only needed by Envoy's check: the cluster says where.
            uri: ["http://", cluster].concat(),
            timeout: values::duration(timeout),
            http_upstream_type: Some(HttpUpstreamType::Cluster(cluster.to_owned())),
        }),
        path_prefix: path_prefix.to_string(),
        authorization_request: (!added_headers.is_empty()).then(|| AuthorizationRequest {
            headers_to_add: added_headers.iter().map(added).collect(),
            ..AuthorizationRequest::default()
        }),
        authorization_response: Some(AuthorizationResponse {
            allowed_upstream_headers: names(upstream_headers),
            allowed_upstream_headers_to_append: names(appended_headers),
            allowed_client_headers: names(denial_headers),
            allowed_client_headers_on_success: names(success_headers),
            ..AuthorizationResponse::default()
        }),
        ..HttpService::default()
    }
}
