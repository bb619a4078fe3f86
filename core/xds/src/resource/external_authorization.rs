//! Authorizers outside of the proxy: the filter that asks them, with the RBAC filter before it that says about what.

#![expect(
    deprecated,
    reason = "messages are opened completely, deprecated fields included"
)]

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::{
    ApiVersion, GrpcService, HttpUri,
    grpc_service::{EnvoyGrpc, TargetSpecifier},
    http_uri::HttpUpstreamType,
};
use envoy_types::pb::envoy::extensions::filters::http::ext_authz::v3::{
    AuthorizationRequest, AuthorizationResponse, ExtAuthz as Proto, HttpService,
    ext_authz::Services,
};
use envoy_types::pb::envoy::extensions::filters::network::ext_authz::v3::ExtAuthz as NetworkProto;
use envoy_types::pb::envoy::r#type::matcher::v3::{
    ListStringMatcher, MetadataMatcher, StringMatcher, ValueMatcher,
    metadata_matcher::{PathSegment, path_segment::Segment},
    string_matcher::MatchPattern,
    value_matcher,
};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use mesh_ir::policy::{
    AuthorizationPolicy, AuthorizationRule, ExternalAuthorization, ExternalAuthorizer,
    ExternalAuthorizerProtocol,
};

use super::border::{At, InvalidResource, refuse};
use super::{authorization, values};

pub(super) const HTTP: &str = "envoy.filters.http.ext_authz";
pub(super) const NETWORK: &str = "envoy.filters.network.ext_authz";

/// Envoy's own limit of an answer.
const DEFAULT_TIMEOUT: Duration = Duration::from_millis(200);
const FORBIDDEN: u16 = 403;
/// What the RBAC filter leaves to the one that asks, after its prefix.
const EFFECTIVE_POLICY: &str = "shadow_effective_policy_id";

/// An authorizer, and the beginning of the names of the rules for which it is asked; none asks about everything.
pub(super) struct Asks {
    authorizer: ExternalAuthorizer,
    gate: Option<String>,
}

/// The beginning of the names of rules for which a provider is asked.
pub(super) fn rule_prefix(provider: &str) -> String {
    [authorization::CUSTOM_NAME, provider].concat()
}

/// Which rules must have matched: those whose names begin like that.
fn gate(filter: &str, provider: &str) -> MetadataMatcher {
    let key = [authorization::CUSTOM_PREFIX, EFFECTIVE_POLICY].concat();
    MetadataMatcher {
        filter: filter.to_owned(),
        path: vec![PathSegment {
            segment: Some(Segment::Key(key)),
        }],
        value: Some(ValueMatcher {
            match_pattern: Some(value_matcher::MatchPattern::StringMatch(StringMatcher {
                ignore_case: false,
                match_pattern: Some(MatchPattern::Prefix(rule_prefix(provider))),
            })),
        }),
        invert: false,
    }
}

fn from_gate(
    proto: Option<MetadataMatcher>,
    filter: &str,
    at: &At<'_>,
) -> Result<Option<String>, InvalidResource> {
    let Some(proto) = proto else { return Ok(None) };
    let prefix = match proto
        .value
        .as_ref()
        .and_then(|value| value.match_pattern.as_ref())
    {
        Some(value_matcher::MatchPattern::StringMatch(text)) => match &text.match_pattern {
            Some(MatchPattern::Prefix(prefix)) => prefix.clone(),
            _ => return Err(at.unsupported()),
        },
        _ => return Err(at.unsupported()),
    };
    let provider = prefix
        .strip_prefix(authorization::CUSTOM_NAME)
        .ok_or_else(|| at.unsupported())?;
    if proto != gate(filter, provider) {
        return Err(at.unsupported());
    }
    Ok(Some(provider.to_owned()))
}

/// Policies that are about everything, with nothing that says so before.
fn everything() -> Vec<AuthorizationPolicy> {
    vec![AuthorizationPolicy {
        namespace: "".into(),
        name: "any".into(),
        dry_run: false,
        rules: vec![AuthorizationRule::default()],
    }]
}

/// Whether an authorizer is asked about everything.
pub(super) fn is_about_everything(policies: &[AuthorizationPolicy]) -> bool {
    policies == everything()
}

/// `gated` if the filter before says what it is asked about.
pub(super) fn to_http(authorizer: &ExternalAuthorizer, gated: bool) -> Proto {
    let ExternalAuthorizer {
        name,
        cluster,
        protocol,
        timeout,
        fail_open,
        status_on_error,
    } = authorizer;
    let mut proto = Proto {
        transport_api_version: ApiVersion::V3.into(),
        failure_mode_allow: *fail_open,
        status_on_error: Some(HttpStatus {
            code: (*status_on_error).into(),
        }),
        filter_enabled_metadata: gated.then(|| gate(authorization::HTTP, name)),
        ..Proto::default()
    };
    match protocol {
        ExternalAuthorizerProtocol::Grpc => {
            proto.services = Some(Services::GrpcService(grpc(cluster, *timeout)));
        }
        ExternalAuthorizerProtocol::Http {
            path_prefix,
            request_headers,
            upstream_headers,
            downstream_headers,
        } => {
            proto.allowed_headers = names(request_headers);
            proto.services = Some(Services::HttpService(HttpService {
                server_uri: Some(HttpUri {
                    // Only needed by Envoy's check: the cluster says where.
                    uri: ["http://", cluster].concat(),
                    timeout: values::duration(*timeout),
                    http_upstream_type: Some(HttpUpstreamType::Cluster(cluster.to_string())),
                }),
                path_prefix: path_prefix.to_string(),
                authorization_response: Some(AuthorizationResponse {
                    allowed_upstream_headers: names(upstream_headers),
                    allowed_client_headers: names(downstream_headers),
                    ..AuthorizationResponse::default()
                }),
                ..HttpService::default()
            }));
        }
    }
    proto
}

/// None if it is asked over HTTP, which Envoy cannot do for connections.
pub(super) fn to_network(authorizer: &ExternalAuthorizer, gated: bool) -> Option<NetworkProto> {
    let ExternalAuthorizer {
        name,
        cluster,
        protocol,
        timeout,
        fail_open,
        status_on_error: _,
    } = authorizer;
    (*protocol == ExternalAuthorizerProtocol::Grpc).then(|| NetworkProto {
        stat_prefix: "tcp.".to_owned(),
        grpc_service: Some(grpc(cluster, *timeout)),
        failure_mode_allow: *fail_open,
        transport_api_version: ApiVersion::V3.into(),
        filter_enabled_metadata: gated.then(|| gate(authorization::NETWORK, name)),
        ..NetworkProto::default()
    })
}

fn grpc(cluster: &str, timeout: Duration) -> GrpcService {
    GrpcService {
        timeout: values::duration(timeout),
        target_specifier: Some(TargetSpecifier::EnvoyGrpc(EnvoyGrpc {
            cluster_name: cluster.to_owned(),
            ..EnvoyGrpc::default()
        })),
        ..GrpcService::default()
    }
}

/// Names of headers, without case.
fn names(names: &[Arc<str>]) -> Option<ListStringMatcher> {
    let pattern = |name: &Arc<str>| StringMatcher {
        ignore_case: true,
        match_pattern: Some(MatchPattern::Exact(name.to_string())),
    };
    (!names.is_empty()).then(|| ListStringMatcher {
        patterns: names.iter().map(pattern).collect(),
    })
}

fn from_names(
    proto: Option<ListStringMatcher>,
    at: &At<'_>,
) -> Result<Vec<Arc<str>>, InvalidResource> {
    let ListStringMatcher { patterns } = proto.unwrap_or_default();
    at.list("patterns", patterns, |pattern, at| {
        match pattern.match_pattern {
            Some(MatchPattern::Exact(name)) => Ok(name.to_ascii_lowercase().into()),
            _ => Err(at.value("only whole names of headers can be compared")),
        }
    })
}

pub(super) fn from_http(proto: Proto, at: &At<'_>) -> Result<Asks, InvalidResource> {
    open!(at, proto => Proto {
        keep { failure_mode_allow, status_on_error, filter_enabled_metadata, allowed_headers, services }
        refuse {
            failure_mode_allow_header_add, with_request_body, metadata_context_namespaces,
            typed_metadata_context_namespaces, route_metadata_context_namespaces,
            route_typed_metadata_context_namespaces, filter_enabled, deny_at_disable, include_peer_certificate,
            bootstrap_metadata_labels_key, disallowed_headers, include_tls_session, encode_raw_headers,
            decoder_header_mutation_rules, enable_dynamic_metadata_ingestion, filter_metadata, shadow_mode,
            validate_mutations, max_denied_response_body_bytes, enforce_response_header_limits,
        }
        ignore {
            transport_api_version, clear_route_cache, stat_prefix, charge_cluster_response_stats,
            emit_filter_state_stats, emit_client_span,
        }
    });
    let gate = from_gate(
        filter_enabled_metadata,
        authorization::HTTP,
        &at.field("filter_enabled_metadata"),
    )?;
    let status = status_on_error.map_or(i32::from(FORBIDDEN), |status| status.code);
    let (cluster, timeout, protocol) = match at.require("grpc_service", services)? {
        Services::GrpcService(service) => {
            let (cluster, timeout) = from_grpc(service, &at.field("grpc_service"))?;
            (cluster, timeout, ExternalAuthorizerProtocol::Grpc)
        }
        Services::HttpService(service) => {
            from_http_service(service, allowed_headers, &at.field("http_service"))?
        }
    };
    Ok(Asks {
        authorizer: ExternalAuthorizer {
            name: gate.clone().unwrap_or_default().into(),
            cluster,
            protocol,
            timeout,
            fail_open: failure_mode_allow,
            status_on_error: u16::try_from(status)
                .map_err(|_| at.field("status_on_error").unsupported())?,
        },
        gate,
    })
}

pub(super) fn from_network(proto: NetworkProto, at: &At<'_>) -> Result<Asks, InvalidResource> {
    open!(at, proto => NetworkProto {
        keep { grpc_service, failure_mode_allow, filter_enabled_metadata }
        refuse {
            include_peer_certificate, bootstrap_metadata_labels_key, include_tls_session, send_tls_alert_on_denial,
            metadata_context_namespaces, typed_metadata_context_namespaces, shadow_mode,
        }
        ignore { stat_prefix, transport_api_version }
    });
    let gate = from_gate(
        filter_enabled_metadata,
        authorization::NETWORK,
        &at.field("filter_enabled_metadata"),
    )?;
    let service = at.require("grpc_service", grpc_service)?;
    let (cluster, timeout) = from_grpc(service, &at.field("grpc_service"))?;
    Ok(Asks {
        authorizer: ExternalAuthorizer {
            name: gate.clone().unwrap_or_default().into(),
            cluster,
            protocol: ExternalAuthorizerProtocol::Grpc,
            timeout,
            fail_open: failure_mode_allow,
            status_on_error: FORBIDDEN,
        },
        gate,
    })
}

pub(super) fn from_grpc(
    proto: GrpcService,
    at: &At<'_>,
) -> Result<(Arc<str>, Duration), InvalidResource> {
    open!(at, proto => GrpcService {
        keep { timeout, target_specifier }
        refuse { initial_metadata, retry_policy }
        ignore {}
    });
    let Some(TargetSpecifier::EnvoyGrpc(target)) = target_specifier else {
        return Err(at.value("only envoy_grpc can be asked"));
    };
    open!(&at.field("envoy_grpc"), target => EnvoyGrpc {
        keep { cluster_name }
        refuse { authority, retry_policy, max_receive_message_length }
        ignore { skip_envoy_headers }
    });
    let timeout = timeout.map(|timeout| values::from_duration(timeout, &at.field("timeout")));
    Ok((
        cluster_name.into(),
        timeout.transpose()?.unwrap_or(DEFAULT_TIMEOUT),
    ))
}

type Service = (Arc<str>, Duration, ExternalAuthorizerProtocol);

fn from_http_service(
    proto: HttpService,
    allowed_headers: Option<ListStringMatcher>,
    at: &At<'_>,
) -> Result<Service, InvalidResource> {
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
        allowed_headers: of_request,
        headers_to_add,
    } = authorization_request.unwrap_or_default();
    refuse(
        &at.field("authorization_request"),
        "headers_to_add",
        &headers_to_add,
    )?;
    open!(&at.field("authorization_response"), authorization_response.unwrap_or_default() => AuthorizationResponse {
        keep { allowed_upstream_headers, allowed_client_headers }
        refuse {
            allowed_upstream_headers_to_append, allowed_client_headers_on_success, dynamic_metadata_from_headers,
        }
        ignore {}
    });
    Ok((
        cluster.into(),
        timeout.transpose()?.unwrap_or(DEFAULT_TIMEOUT),
        ExternalAuthorizerProtocol::Http {
            path_prefix: path_prefix.into(),
            request_headers: from_names(of_request.or(allowed_headers), at)?,
            upstream_headers: from_names(allowed_upstream_headers, at)?,
            downstream_headers: from_names(allowed_client_headers, at)?,
        },
    ))
}

// === impl Asks ===

impl Asks {
    /// What is asked, about what the filter before says; about everything if that says nothing.
    pub(super) fn about(
        self,
        policies: Option<Vec<AuthorizationPolicy>>,
        at: &At<'_>,
    ) -> Result<ExternalAuthorization, InvalidResource> {
        let Self { authorizer, gate } = self;
        let policies = match (gate, policies) {
            (Some(_), Some(policies)) => policies,
            (None, None) => everything(),
            (Some(_), None) => {
                return Err(at.value(
                    "the RBAC filter that says what it is asked about is missing before it",
                ));
            }
            (None, Some(_)) => {
                return Err(at.value("it does not depend on what the RBAC filter before it says"));
            }
        };
        Ok(ExternalAuthorization {
            provider: Some(authorizer),
            policies,
        })
    }
}
