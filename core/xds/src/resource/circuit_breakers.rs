//! Circuit breakers: limits that hold for a whole cluster.

use envoy_types::pb::envoy::config::cluster::v3::{CircuitBreakers, circuit_breakers::Thresholds};
use envoy_types::pb::google::protobuf;
use mesh_ir::Limits;

use super::border::{At, InvalidResource};
use super::values;

/// Envoy's circuit breakers where none are configured.
const DEFAULT_LIMIT: u32 = 1024;
const DEFAULT_RETRIES: u32 = 3;

pub(super) fn to_proto(limits: &Limits) -> CircuitBreakers {
    let Limits {
        max_connections,
        max_pending_requests,
        max_requests,
        max_requests_per_connection: _,
        max_retries,
        idle_timeout: _,
    } = limits;
    let limit = |value: &Option<u32>| values::u32_value(value.unwrap_or(u32::MAX));
    CircuitBreakers {
        thresholds: vec![Thresholds {
            max_connections: limit(max_connections),
            max_pending_requests: limit(max_pending_requests),
            max_requests: limit(max_requests),
            max_retries: limit(max_retries),
            track_remaining: true,
            ..Thresholds::default()
        }],
        per_host_thresholds: vec![],
    }
}

pub(super) fn from_proto(
    proto: Option<CircuitBreakers>,
    at: &At<'_>,
) -> Result<Limits, InvalidResource> {
    open!(at, proto.unwrap_or_default() => CircuitBreakers {
        keep { thresholds }
        refuse { per_host_thresholds }
        ignore {}
    });
    // Only traffic of the default priority exists here.
    let default = thresholds
        .into_iter()
        .find(|threshold| threshold.priority == 0)
        .unwrap_or_default();
    open!(&at.field("thresholds"), default => Thresholds {
        keep { max_connections, max_pending_requests, max_requests, max_retries }
        refuse { retry_budget }
        ignore { priority, track_remaining, max_connection_pools }
    });
    let limit = |value: Option<protobuf::UInt32Value>, default: u32| {
        Some(value.map_or(default, |value| value.value)).filter(|value| *value != u32::MAX)
    };
    Ok(Limits {
        max_connections: limit(max_connections, DEFAULT_LIMIT),
        max_pending_requests: limit(max_pending_requests, DEFAULT_LIMIT),
        max_requests: limit(max_requests, DEFAULT_LIMIT),
        max_requests_per_connection: None,
        max_retries: limit(max_retries, DEFAULT_RETRIES),
        idle_timeout: None,
    })
}
