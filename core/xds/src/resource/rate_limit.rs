//! Limits of rates: what the proxy counts by itself, what a service counts, and what routes tell about requests.

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::{
    ApiVersion, GrpcService, HeaderValueOption,
    grpc_service::{EnvoyGrpc, TargetSpecifier},
};
use envoy_types::pb::envoy::config::ratelimit::v3::RateLimitServiceConfig;
use envoy_types::pb::envoy::config::route::v3::{
    RateLimit as RuleProto,
    rate_limit::{
        Action as ActionProto,
        action::{
            ActionSpecifier, DestinationCluster, GenericKey, HeaderValueMatch, RemoteAddress,
            RequestHeaders, SourceCluster,
        },
    },
};
use envoy_types::pb::envoy::extensions::common::ratelimit::v3::{
    LocalRateLimitDescriptor, rate_limit_descriptor::Entry,
};
use envoy_types::pb::envoy::extensions::filters::http::{
    local_ratelimit::v3::LocalRateLimit as LocalProto,
    ratelimit::v3::{RateLimit as GlobalProto, rate_limit::XRateLimitHeadersRfcVersion},
};
use envoy_types::pb::envoy::extensions::filters::network::{
    connection_limit::v3::ConnectionLimit as ConnectionProto,
    local_ratelimit::v3::LocalRateLimit as ConnectionRateProto,
};
use envoy_types::pb::envoy::r#type::v3::{HttpStatus, TokenBucket as BucketProto};
use envoy_types::pb::google::protobuf::UInt64Value;
use mesh_ir::policy::{
    ConnectionLimit, ConnectionRateLimit, DescriptorLimit, GlobalRateLimit, LocalRateLimit,
    RateLimitAction, RateLimitRule, TokenBucket,
};
use mesh_ir::{Fraction, HeaderOps, HeaderValue};

use super::border::{At, InvalidResource};
use super::{external_authorization, fraction, header_match, header_ops, values};

pub(super) const LOCAL: &str = "envoy.filters.http.local_ratelimit";
pub(super) const GLOBAL: &str = "envoy.filters.http.ratelimit";
pub(super) const CONNECTION_RATE: &str = "envoy.filters.network.local_ratelimit";
pub(super) const CONNECTION: &str = "envoy.filters.network.connection_limit";

/// Too Many Requests.
const DEFAULT_STATUS: u16 = 429;
/// Internal Server Error.
const DEFAULT_STATUS_ON_ERROR: u16 = 500;
/// Envoy's limit of the service's answer.
const DEFAULT_TIMEOUT: Duration = Duration::from_millis(20);
/// Envoy refuses to fill a bucket more often.
const LEAST_INTERVAL: Duration = Duration::from_millis(50);

pub(super) fn local(value: &LocalRateLimit) -> LocalProto {
    let LocalRateLimit {
        stat_prefix,
        bucket,
        status,
        enabled,
        enforced,
        per_connection,
        descriptors,
        response_headers,
        rate_limits,
    } = value;
    LocalProto {
        stat_prefix: stat_prefix.to_string(),
        status: to_status(*status),
        token_bucket: bucket.map(to_bucket),
        filter_enabled: Some(fraction::runtime(*enabled)),
        filter_enforced: Some(fraction::runtime(*enforced)),
        local_rate_limit_per_downstream_connection: *per_connection,
        descriptors: descriptors.iter().map(descriptor).collect(),
        response_headers_to_add: headers(response_headers),
        rate_limits: rate_limits.iter().map(rule).collect(),
        ..LocalProto::default()
    }
}

pub(super) fn from_local(
    proto: LocalProto,
    at: &At<'_>,
) -> Result<LocalRateLimit, InvalidResource> {
    open!(at, proto => LocalProto {
        keep {
            stat_prefix, status, token_bucket, filter_enabled, filter_enforced, descriptors, response_headers_to_add,
            local_rate_limit_per_downstream_connection, rate_limits,
        }
        refuse {
            request_headers_to_add_when_not_enforced, stage, local_cluster_rate_limit, vh_rate_limits,
            rate_limited_as_resource_exhausted,
        }
        // They add headers to answers, and bound what descriptors of unknown values cost.
        ignore {
            enable_x_ratelimit_headers, always_consume_default_token_bucket, max_dynamic_descriptors,
            enable_retry_after_header,
        }
    });
    // As in Envoy, nothing is counted unless that is asked for. A key at run time can change nothing here.
    let share =
        |share: Option<envoy_types::pb::envoy::config::core::v3::RuntimeFractionalPercent>,
         at: At<'_>| {
            let Some(share) = share else {
                return Ok(Fraction::NONE);
            };
            let share = share.default_value.unwrap_or_default();
            fraction::from_proto(share, &at.field("default_value"))
        };
    Ok(LocalRateLimit {
        stat_prefix: stat_prefix.into(),
        bucket: token_bucket
            .map(|bucket| from_bucket(bucket, &at.field("token_bucket")))
            .transpose()?,
        status: from_status(status, "status", at)?,
        enabled: share(filter_enabled, at.field("filter_enabled"))?,
        enforced: share(filter_enforced, at.field("filter_enforced"))?,
        per_connection: local_rate_limit_per_downstream_connection,
        descriptors: at.list("descriptors", descriptors, from_descriptor)?,
        response_headers: from_headers(response_headers_to_add, at)?,
        rate_limits: from_rules(rate_limits, at)?,
    })
}

fn descriptor(value: &DescriptorLimit) -> LocalRateLimitDescriptor {
    let DescriptorLimit { entries, bucket } = value;
    let entry = |(key, value): &(Arc<str>, Arc<str>)| Entry {
        key: key.to_string(),
        value: value.to_string(),
    };
    LocalRateLimitDescriptor {
        entries: entries.iter().map(entry).collect(),
        token_bucket: Some(to_bucket(*bucket)),
        shadow_mode: false,
    }
}

fn from_descriptor(
    proto: LocalRateLimitDescriptor,
    at: &At<'_>,
) -> Result<DescriptorLimit, InvalidResource> {
    open!(at, proto => LocalRateLimitDescriptor {
        keep { entries, token_bucket }
        refuse { shadow_mode }
        ignore {}
    });
    let bucket = at.require("token_bucket", token_bucket)?;
    let entry = |Entry { key, value }: Entry| (key.into(), value.into());
    Ok(DescriptorLimit {
        entries: entries.into_iter().map(entry).collect(),
        bucket: from_bucket(bucket, &at.field("token_bucket"))?,
    })
}

fn to_bucket(value: TokenBucket) -> BucketProto {
    let TokenBucket {
        max_tokens,
        tokens_per_fill,
        fill_interval,
    } = value;
    BucketProto {
        max_tokens,
        tokens_per_fill: values::u32_value(tokens_per_fill),
        fill_interval: values::duration(fill_interval),
    }
}

fn from_bucket(proto: BucketProto, at: &At<'_>) -> Result<TokenBucket, InvalidResource> {
    let BucketProto {
        max_tokens,
        tokens_per_fill,
        fill_interval,
    } = proto;
    let interval = at.require("fill_interval", fill_interval)?;
    let interval = values::from_duration(interval, &at.field("fill_interval"))?;
    if max_tokens == 0 {
        return Err(at.field("max_tokens").value("must be at least 1"));
    }
    if interval < LEAST_INTERVAL {
        return Err(at.field("fill_interval").value("must be at least 50 ms"));
    }
    Ok(TokenBucket {
        max_tokens,
        tokens_per_fill: tokens_per_fill.map_or(1, |tokens| tokens.value),
        fill_interval: interval,
    })
}

fn to_status(status: u16) -> Option<HttpStatus> {
    (status != DEFAULT_STATUS).then(|| HttpStatus {
        code: status.into(),
    })
}

/// As in Envoy, what is no error is taken for the default.
fn from_status(
    proto: Option<HttpStatus>,
    field: &'static str,
    at: &At<'_>,
) -> Result<u16, InvalidResource> {
    let code = proto.map_or(i32::from(DEFAULT_STATUS), |status| status.code);
    let code = u16::try_from(code).map_err(|_| at.field(field).unsupported())?;
    Ok(if code < 400 { DEFAULT_STATUS } else { code })
}

fn headers(headers: &[HeaderValue]) -> Vec<HeaderValueOption> {
    let ops = HeaderOps {
        set: headers.to_vec(),
        ..HeaderOps::default()
    };
    header_ops::to_proto(&ops).0
}

fn from_headers(
    headers: Vec<HeaderValueOption>,
    at: &At<'_>,
) -> Result<Vec<HeaderValue>, InvalidResource> {
    let ops = header_ops::from_proto(headers, vec![], "response_headers_to_add", at)?;
    Ok(ops.set)
}

pub(super) fn global(value: &GlobalRateLimit) -> GlobalProto {
    let GlobalRateLimit {
        domain,
        stage,
        cluster,
        authority,
        timeout,
        fail_closed,
        status_on_error,
        status,
        tells_limits,
        hides_limited,
        as_resource_exhausted,
        response_headers,
    } = value;
    GlobalProto {
        domain: domain.to_string(),
        stage: *stage,
        timeout: values::duration(*timeout),
        failure_mode_deny: *fail_closed,
        status_on_error: (*status_on_error != DEFAULT_STATUS_ON_ERROR).then(|| HttpStatus {
            code: (*status_on_error).into(),
        }),
        rate_limited_status: to_status(*status),
        enable_x_ratelimit_headers: if *tells_limits {
            XRateLimitHeadersRfcVersion::DraftVersion03.into()
        } else {
            XRateLimitHeadersRfcVersion::Off.into()
        },
        disable_x_envoy_ratelimited_header: *hides_limited,
        rate_limited_as_resource_exhausted: *as_resource_exhausted,
        response_headers_to_add: headers(response_headers),
        rate_limit_service: Some(RateLimitServiceConfig {
            grpc_service: Some(GrpcService {
                target_specifier: Some(TargetSpecifier::EnvoyGrpc(EnvoyGrpc {
                    cluster_name: cluster.to_string(),
                    authority: authority.to_string(),
                    ..EnvoyGrpc::default()
                })),
                ..GrpcService::default()
            }),
            transport_api_version: ApiVersion::V3.into(),
        }),
        ..GlobalProto::default()
    }
}

pub(super) fn from_global(
    proto: GlobalProto,
    at: &At<'_>,
) -> Result<GlobalRateLimit, InvalidResource> {
    open!(at, proto => GlobalProto {
        keep {
            domain, stage, timeout, failure_mode_deny, rate_limit_service, rate_limited_status, status_on_error,
            enable_x_ratelimit_headers, disable_x_envoy_ratelimited_header, rate_limited_as_resource_exhausted,
            response_headers_to_add, request_type,
        }
        refuse {
            filter_enabled, filter_enforced, failure_mode_deny_percent, rate_limits, enable_retry_after_header,
        }
        ignore { stat_prefix, metadata_namespace }
    });
    if !["", "both"].contains(&&*request_type) {
        return Err(at.field("request_type").unsupported());
    }
    let RateLimitServiceConfig {
        grpc_service,
        transport_api_version: _,
    } = at.require("rate_limit_service", rate_limit_service)?;
    let at_service = at.field("rate_limit_service");
    let service = at_service.require("grpc_service", grpc_service)?;
    let service = external_authorization::from_grpc(service, &at_service.field("grpc_service"))?;
    let code = status_on_error.map_or(i32::from(DEFAULT_STATUS_ON_ERROR), |status| status.code);
    let draft = XRateLimitHeadersRfcVersion::DraftVersion03 as i32;
    Ok(GlobalRateLimit {
        domain: domain.into(),
        stage,
        cluster: service.cluster,
        authority: service.authority,
        timeout: timeout
            .map(|timeout| values::from_duration(timeout, &at.field("timeout")))
            .transpose()?
            .or(service.timeout)
            .unwrap_or(DEFAULT_TIMEOUT),
        fail_closed: failure_mode_deny,
        status_on_error: u16::try_from(code)
            .map_err(|_| at.field("status_on_error").unsupported())?,
        status: from_status(rate_limited_status, "rate_limited_status", at)?,
        tells_limits: enable_x_ratelimit_headers == draft,
        hides_limited: disable_x_envoy_ratelimited_header,
        as_resource_exhausted: rate_limited_as_resource_exhausted,
        response_headers: from_headers(response_headers_to_add, at)?,
    })
}

pub(super) fn rules(values: &[RateLimitRule]) -> Vec<RuleProto> {
    values.iter().map(rule).collect()
}

fn rule(value: &RateLimitRule) -> RuleProto {
    let RateLimitRule { stage, actions } = value;
    RuleProto {
        stage: values::u32_value(*stage),
        actions: actions.iter().map(action).collect(),
        ..RuleProto::default()
    }
}

pub(super) fn from_rules(
    protos: Vec<RuleProto>,
    at: &At<'_>,
) -> Result<Vec<RateLimitRule>, InvalidResource> {
    at.list("rate_limits", protos, |proto, at| {
        open!(at, proto => RuleProto {
            keep { stage, actions }
            refuse { limit, hits_addend, apply_on_stream_done, x_ratelimit_option, disable_key }
            ignore {}
        });
        Ok(RateLimitRule {
            stage: stage.map_or(0, |stage| stage.value),
            actions: at.list("actions", actions, from_action)?,
        })
    })
}

fn action(value: &RateLimitAction) -> ActionProto {
    let specifier = match value {
        RateLimitAction::SourceCluster => ActionSpecifier::SourceCluster(SourceCluster {}),
        RateLimitAction::DestinationCluster => {
            ActionSpecifier::DestinationCluster(DestinationCluster {})
        }
        RateLimitAction::RemoteAddress => ActionSpecifier::RemoteAddress(RemoteAddress {}),
        RateLimitAction::RequestHeader {
            name,
            key,
            skip_if_absent,
        } => ActionSpecifier::RequestHeaders(RequestHeaders {
            header_name: name.to_string(),
            descriptor_key: key.to_string(),
            skip_if_absent: *skip_if_absent,
        }),
        RateLimitAction::GenericKey { key, value } => ActionSpecifier::GenericKey(GenericKey {
            descriptor_key: key.to_string(),
            descriptor_value: value.to_string(),
            ..GenericKey::default()
        }),
        RateLimitAction::HeaderValueMatch {
            key,
            value,
            expect_match,
            headers,
        } => ActionSpecifier::HeaderValueMatch(HeaderValueMatch {
            descriptor_key: key.to_string(),
            descriptor_value: value.to_string(),
            expect_match: values::bool_value(*expect_match),
            headers: headers.iter().map(header_match::header).collect(),
            ..HeaderValueMatch::default()
        }),
    };
    ActionProto {
        action_specifier: Some(specifier),
    }
}

fn from_action(proto: ActionProto, at: &At<'_>) -> Result<RateLimitAction, InvalidResource> {
    Ok(match at.require("generic_key", proto.action_specifier)? {
        ActionSpecifier::SourceCluster(SourceCluster {}) => RateLimitAction::SourceCluster,
        ActionSpecifier::DestinationCluster(DestinationCluster {}) => {
            RateLimitAction::DestinationCluster
        }
        ActionSpecifier::RemoteAddress(RemoteAddress {}) => RateLimitAction::RemoteAddress,
        ActionSpecifier::RequestHeaders(headers) => {
            let RequestHeaders {
                header_name,
                descriptor_key,
                skip_if_absent,
            } = headers;
            RateLimitAction::RequestHeader {
                name: header_name.to_ascii_lowercase().into(),
                key: descriptor_key.into(),
                skip_if_absent,
            }
        }
        ActionSpecifier::GenericKey(generic) => {
            open!(&at.field("generic_key"), generic => GenericKey {
                keep { descriptor_value, descriptor_key }
                refuse { default_value }
                ignore {}
            });
            RateLimitAction::GenericKey {
                key: descriptor_key.into(),
                value: descriptor_value.into(),
            }
        }
        ActionSpecifier::HeaderValueMatch(matcher) => {
            let at = at.field("header_value_match");
            open!(&at, matcher => HeaderValueMatch {
                keep { descriptor_value, descriptor_key, expect_match, headers }
                refuse { default_value }
                ignore {}
            });
            RateLimitAction::HeaderValueMatch {
                key: descriptor_key.into(),
                value: descriptor_value.into(),
                expect_match: expect_match.is_none_or(|expect| expect.value),
                headers: at.list("headers", headers, header_match::from_header)?,
            }
        }
        _ => return Err(at.unsupported()),
    })
}

pub(super) fn connection_limit(value: &ConnectionLimit) -> ConnectionProto {
    let ConnectionLimit {
        stat_prefix,
        max_connections,
        delay,
    } = value;
    ConnectionProto {
        stat_prefix: stat_prefix.to_string(),
        max_connections: Some(UInt64Value {
            value: *max_connections,
        }),
        delay: delay.and_then(values::duration),
        runtime_enabled: None,
    }
}

pub(super) fn from_connection_limit(
    proto: ConnectionProto,
    at: &At<'_>,
) -> Result<ConnectionLimit, InvalidResource> {
    open!(at, proto => ConnectionProto {
        keep { stat_prefix, max_connections, delay }
        refuse { runtime_enabled }
        ignore {}
    });
    Ok(ConnectionLimit {
        stat_prefix: stat_prefix.into(),
        max_connections: at.require("max_connections", max_connections)?.value,
        delay: delay
            .map(|delay| values::from_duration(delay, &at.field("delay")))
            .transpose()?,
    })
}

pub(super) fn connection_rate(value: &ConnectionRateLimit) -> ConnectionRateProto {
    let ConnectionRateLimit {
        stat_prefix,
        bucket,
    } = value;
    ConnectionRateProto {
        stat_prefix: stat_prefix.to_string(),
        token_bucket: Some(to_bucket(*bucket)),
        ..ConnectionRateProto::default()
    }
}

pub(super) fn from_connection_rate(
    proto: ConnectionRateProto,
    at: &At<'_>,
) -> Result<ConnectionRateLimit, InvalidResource> {
    open!(at, proto => ConnectionRateProto {
        keep { stat_prefix, token_bucket }
        refuse { runtime_enabled, share_key }
        ignore {}
    });
    let bucket = at.require("token_bucket", token_bucket)?;
    Ok(ConnectionRateLimit {
        stat_prefix: stat_prefix.into(),
        bucket: from_bucket(bucket, &at.field("token_bucket"))?,
    })
}
