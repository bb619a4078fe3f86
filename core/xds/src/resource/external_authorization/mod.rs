//! Authorizers outside of the proxy: the filter that asks them, with the RBAC filter before it that says about what.

mod names;
mod service;

use envoy_types::pb::envoy::config::core::v3::ApiVersion;
use envoy_types::pb::envoy::extensions::filters::http::ext_authz::v3::{
    BufferSettings, ExtAuthz as Proto, ext_authz::Services,
};
use envoy_types::pb::envoy::extensions::filters::network::ext_authz::v3::ExtAuthz as NetworkProto;
use envoy_types::pb::envoy::r#type::matcher::v3::{
    MetadataMatcher, StringMatcher, ValueMatcher,
    metadata_matcher::{PathSegment, path_segment::Segment},
    string_matcher::MatchPattern,
    value_matcher,
};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use mesh_ir::policy::{
    AuthorizationPolicy, AuthorizationRule, CheckedBody, ExternalAuthorization, ExternalAuthorizer,
    ExternalAuthorizerProtocol,
};

use self::names::{all_names, from_names, names};
use self::service::{from_grpc_service, from_http_service, to_grpc, to_http_service};
use super::authorization;
use super::border::{At, InvalidResource};

pub(super) use self::service::from_grpc;

pub(super) const HTTP: &str = "envoy.filters.http.ext_authz";
pub(super) const NETWORK: &str = "envoy.filters.network.ext_authz";

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
        tells_failure,
        status_on_error,
        body,
        clear_route_cache,
        request_headers,
        hidden_headers,
    } = authorizer;
    let service = match protocol {
        ExternalAuthorizerProtocol::Grpc { authority } => {
            Services::GrpcService(to_grpc(cluster, authority, *timeout))
        }
        ExternalAuthorizerProtocol::Http(http) => {
            Services::HttpService(to_http_service(cluster, *timeout, http))
        }
    };
    Proto {
        transport_api_version: ApiVersion::V3.into(),
        failure_mode_allow: *fail_open,
        failure_mode_allow_header_add: *tells_failure,
        status_on_error: Some(HttpStatus {
            code: (*status_on_error).into(),
        }),
        filter_enabled_metadata: gated.then(|| gate(authorization::HTTP, name)),
        with_request_body: body.map(to_body),
        clear_route_cache: *clear_route_cache,
        allowed_headers: request_headers.as_deref().map(all_names),
        disallowed_headers: names(hidden_headers),
        services: Some(service),
        ..Proto::default()
    }
}

/// None if it is asked over HTTP, which Envoy cannot do for connections.
pub(super) fn to_network(authorizer: &ExternalAuthorizer, gated: bool) -> Option<NetworkProto> {
    let ExternalAuthorizer {
        name,
        cluster,
        protocol,
        timeout,
        fail_open,
        // What is about requests says nothing of connections.
        tells_failure: _,
        status_on_error: _,
        body: _,
        clear_route_cache: _,
        request_headers: _,
        hidden_headers: _,
    } = authorizer;
    let ExternalAuthorizerProtocol::Grpc { authority } = protocol else {
        return None;
    };
    Some(NetworkProto {
        stat_prefix: "tcp.".to_owned(),
        grpc_service: Some(to_grpc(cluster, authority, *timeout)),
        failure_mode_allow: *fail_open,
        transport_api_version: ApiVersion::V3.into(),
        filter_enabled_metadata: gated.then(|| gate(authorization::NETWORK, name)),
        ..NetworkProto::default()
    })
}

fn to_body(value: CheckedBody) -> BufferSettings {
    let CheckedBody {
        max_bytes,
        allow_partial,
        as_bytes,
    } = value;
    BufferSettings {
        max_request_bytes: max_bytes,
        allow_partial_message: allow_partial,
        pack_as_bytes: as_bytes,
    }
}

fn from_body(proto: BufferSettings, at: &At<'_>) -> Result<CheckedBody, InvalidResource> {
    /// Most of a body that is kept for an authorizer.
    const MOST: u32 = 8 << 20;
    let BufferSettings {
        max_request_bytes,
        allow_partial_message,
        pack_as_bytes,
    } = proto;
    if !(1..=MOST).contains(&max_request_bytes) {
        let at = at.field("max_request_bytes");
        return Err(at.value(format!("must be from 1 to {MOST}")));
    }
    Ok(CheckedBody {
        max_bytes: max_request_bytes,
        allow_partial: allow_partial_message,
        as_bytes: pack_as_bytes,
    })
}

pub(super) fn from_http(proto: Proto, at: &At<'_>) -> Result<Asks, InvalidResource> {
    open!(at, proto => Proto {
        keep {
            failure_mode_allow, failure_mode_allow_header_add, status_on_error, filter_enabled_metadata, allowed_headers,
            disallowed_headers, with_request_body, clear_route_cache, services,
        }
        refuse {
            metadata_context_namespaces, typed_metadata_context_namespaces, route_metadata_context_namespaces,
            route_typed_metadata_context_namespaces, filter_enabled, deny_at_disable, include_peer_certificate,
            bootstrap_metadata_labels_key, include_tls_session, encode_raw_headers,
            decoder_header_mutation_rules, enable_dynamic_metadata_ingestion, filter_metadata, shadow_mode,
            validate_mutations, max_denied_response_body_bytes, enforce_response_header_limits,
        }
        ignore {
            transport_api_version, stat_prefix, charge_cluster_response_stats, emit_filter_state_stats, emit_client_span,
        }
    });
    let gate = from_gate(
        filter_enabled_metadata,
        authorization::HTTP,
        &at.field("filter_enabled_metadata"),
    )?;
    let status = status_on_error.map_or(i32::from(FORBIDDEN), |status| status.code);
    let told = from_names(allowed_headers, &at.field("allowed_headers"))?;
    let hidden = from_names(disallowed_headers, &at.field("disallowed_headers"))?;
    let (service, told) = match at.require("grpc_service", services)? {
        Services::GrpcService(service) => {
            let service = from_grpc_service(service, &at.field("grpc_service"))?;
            (service, told)
        }
        Services::HttpService(service) => {
            let (service, of_service) = from_http_service(service, &at.field("http_service"))?;
            (service, of_service.or(told))
        }
    };
    let (cluster, timeout, protocol) = service;
    let body = with_request_body.map(|body| from_body(body, &at.field("with_request_body")));
    Ok(Asks {
        authorizer: ExternalAuthorizer {
            name: gate.clone().unwrap_or_default().into(),
            cluster,
            protocol,
            timeout,
            fail_open: failure_mode_allow,
            tells_failure: failure_mode_allow_header_add,
            status_on_error: u16::try_from(status)
                .map_err(|_| at.field("status_on_error").unsupported())?,
            body: body.transpose()?,
            clear_route_cache,
            request_headers: told,
            hidden_headers: hidden.unwrap_or_default(),
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
    let (cluster, timeout, protocol) = from_grpc_service(service, &at.field("grpc_service"))?;
    let name = gate.clone().unwrap_or_default().into();
    Ok(Asks {
        authorizer: ExternalAuthorizer {
            protocol,
            fail_open: failure_mode_allow,
            ..ExternalAuthorizer::grpc(name, cluster, timeout)
        },
        gate,
    })
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
