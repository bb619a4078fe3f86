//! Wrapped scalars and durations.

use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::grpc_service::{EnvoyGrpc, TargetSpecifier};
use envoy_types::pb::envoy::config::core::v3::{
    AggregatedConfigSource, ApiConfigSource, ApiVersion, ConfigSource, DataSource, GrpcService,
    api_config_source, config_source, data_source,
};
use envoy_types::pb::google::protobuf;
use mesh_ir::names::{ROOT_CERTIFICATES, WORKLOAD_CERTIFICATE};

use super::border::{At, InvalidResource};

/// Envoy's cluster of the agent beside it, as Istio's bootstrap has it.
const AGENT: &str = "sds-grpc";

/// Envoy's idle timeout where none is configured.
pub(super) const DEFAULT_IDLE: Duration = Duration::from_secs(3600);

pub(super) fn u32_value(value: u32) -> Option<protobuf::UInt32Value> {
    Some(protobuf::UInt32Value { value })
}

pub(super) fn bool_value(value: bool) -> Option<protobuf::BoolValue> {
    Some(protobuf::BoolValue { value })
}

pub(super) fn is_true(value: Option<protobuf::BoolValue>) -> bool {
    value.is_some_and(|value| value.value)
}

pub(super) fn duration(value: Duration) -> Option<protobuf::Duration> {
    Some(protobuf::Duration {
        // Protobuf allows 10,000 years; Envoy refuses more.
        seconds: value.as_secs().min(315_576_000_000) as i64,
        nanos: value.subsec_nanos() as i32,
    })
}

/// A limit: none is written as 0, which Envoy understands as "no limit" where leaving the field out means a default.
pub(super) fn limit(value: Option<Duration>) -> Option<protobuf::Duration> {
    duration(value.unwrap_or_default())
}

pub(super) fn from_duration(
    value: protobuf::Duration,
    at: &At<'_>,
) -> Result<Duration, InvalidResource> {
    let protobuf::Duration { seconds, nanos } = value;
    match (u64::try_from(seconds), u32::try_from(nanos)) {
        (Ok(seconds), Ok(nanos)) if nanos < 1_000_000_000 => Ok(Duration::new(seconds, nanos)),
        _ => Err(at.value(format!("{seconds} s and {nanos} ns are not a duration"))),
    }
}

/// The value of [`limit`]: absent is the default, 0 is none.
pub(super) fn from_limit(
    value: Option<protobuf::Duration>,
    default: Option<Duration>,
    at: &At<'_>,
) -> Result<Option<Duration>, InvalidResource> {
    Ok(match value {
        None => default,
        Some(value) => Some(from_duration(value, at)?).filter(|value| !value.is_zero()),
    })
}

pub(super) fn port(value: u32, at: &At<'_>) -> Result<u16, InvalidResource> {
    u16::try_from(value).map_err(|_| at.value(format!("{value} is not a port")))
}

/// "Ask the stream that this came from."
pub(super) fn ads() -> Option<ConfigSource> {
    Some(ConfigSource {
        authorities: vec![],
        // Istio waits without limit, so that a slow control plane never leads to a listener without routes.
        initial_fetch_timeout: duration(Duration::ZERO),
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(config_source::ConfigSourceSpecifier::Ads(
            AggregatedConfigSource {},
        )),
    })
}

pub(super) fn from_ads(source: Option<ConfigSource>, at: &At<'_>) -> Result<(), InvalidResource> {
    open!(at, source.ok_or_else(|| at.missing())? => ConfigSource {
        keep { config_source_specifier }
        refuse { authorities }
        ignore { initial_fetch_timeout, resource_api_version }
    });
    match config_source_specifier {
        Some(config_source::ConfigSourceSpecifier::Ads(AggregatedConfigSource {})) => Ok(()),
        _ => Err(at.value("only resources of the aggregated stream (ads) can be used")),
    }
}

/// Where Envoy finds a secret: a workload's own certificate, and whom it trusts, are the agent's beside it, as with Istio; all others the
/// control plane's.
pub(super) fn secret_source(name: &str) -> Option<ConfigSource> {
    if !is_agents(name) {
        return ads();
    }
    let service = EnvoyGrpc {
        cluster_name: AGENT.to_owned(),
        ..EnvoyGrpc::default()
    };
    let agent = ApiConfigSource {
        api_type: api_config_source::ApiType::Grpc.into(),
        transport_api_version: ApiVersion::V3.into(),
        set_node_on_first_message_only: true,
        grpc_services: vec![GrpcService {
            target_specifier: Some(TargetSpecifier::EnvoyGrpc(service)),
            ..GrpcService::default()
        }],
        ..ApiConfigSource::default()
    };
    let specifier = config_source::ConfigSourceSpecifier::ApiConfigSource(agent);
    Some(ConfigSource {
        config_source_specifier: Some(specifier),
        ..ads()?
    })
}

pub(super) fn from_secret_source(
    name: &str,
    source: Option<ConfigSource>,
    at: &At<'_>,
) -> Result<(), InvalidResource> {
    if is_agents(name) && source == secret_source(name) {
        return Ok(());
    }
    from_ads(source, at)
}

fn is_agents(name: &str) -> bool {
    [WORKLOAD_CERTIFICATE, ROOT_CERTIFICATES].contains(&name)
}

pub(super) fn inline(text: &str) -> Option<DataSource> {
    Some(DataSource {
        watched_directory: None,
        specifier: Some(data_source::Specifier::InlineString(text.to_owned())),
    })
}

/// The same as bytes, as Istio's agents serve PEM. istioctl reads nothing else.
pub(super) fn inline_pem(text: &str) -> Option<DataSource> {
    Some(DataSource {
        watched_directory: None,
        specifier: Some(data_source::Specifier::InlineBytes(
            text.as_bytes().to_vec(),
        )),
    })
}

pub(super) fn from_inline(source: DataSource, at: &At<'_>) -> Result<String, InvalidResource> {
    open!(at, source => DataSource {
        keep { specifier }
        refuse { watched_directory }
        ignore {}
    });
    match specifier {
        Some(data_source::Specifier::InlineString(text)) => Ok(text),
        Some(data_source::Specifier::InlineBytes(bytes)) => {
            String::from_utf8(bytes).map_err(|_| at.value("the inline bytes are not UTF-8"))
        }
        None => Ok(String::new()),
        Some(
            data_source::Specifier::Filename(_) | data_source::Specifier::EnvironmentVariable(_),
        ) => Err(at.value("only inline data can be used")),
    }
}
