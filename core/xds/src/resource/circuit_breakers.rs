//! Circuit breakers: limits that hold for a whole cluster.

use envoy_types::pb::envoy::config::cluster::v3::{
    CircuitBreakers,
    circuit_breakers::{Thresholds, thresholds::RetryBudget as BudgetProto},
};
use envoy_types::pb::envoy::r#type::v3::Percent;
use envoy_types::pb::google::protobuf;
use mesh_ir::{Limits, RetryBudget};

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
        max_retries,
        retry_budget,
        // These hold for single connections.
        max_requests_per_connection: _,
        idle_timeout: _,
        max_connection_duration: _,
        max_concurrent_streams: _,
    } = limits;
    let limit = |value: &Option<u32>| values::u32_value(value.unwrap_or(u32::MAX));
    CircuitBreakers {
        thresholds: vec![Thresholds {
            max_connections: limit(max_connections),
            max_pending_requests: limit(max_pending_requests),
            max_requests: limit(max_requests),
            max_retries: limit(max_retries),
            retry_budget: retry_budget.map(budget),
            track_remaining: true,
            ..Thresholds::default()
        }],
        per_host_thresholds: vec![],
    }
}

fn budget(value: RetryBudget) -> BudgetProto {
    let RetryBudget { percent, minimum } = value;
    BudgetProto {
        budget_percent: Some(Percent {
            value: f64::from(percent) / 1000.0,
        }),
        budget_interval: None,
        min_retry_concurrency: values::u32_value(minimum),
    }
}

fn from_budget(proto: BudgetProto, at: &At<'_>) -> Result<RetryBudget, InvalidResource> {
    open!(at, proto => BudgetProto {
        keep { budget_percent, min_retry_concurrency }
        refuse { budget_interval }
        ignore {}
    });
    // Envoy's defaults.
    let percent = budget_percent.map_or(20.0, |percent| percent.value);
    if !(0.0..=100.0).contains(&percent) {
        return Err(at
            .field("budget_percent")
            .value(format!("{percent} is not a percentage")));
    }
    Ok(RetryBudget {
        percent: (percent * 1000.0).round() as u32,
        minimum: min_retry_concurrency.map_or(3, |minimum| minimum.value),
    })
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
        keep { max_connections, max_pending_requests, max_requests, max_retries, retry_budget }
        refuse {}
        ignore { priority, track_remaining, max_connection_pools }
    });
    let limit = |value: Option<protobuf::UInt32Value>, default: u32| {
        Some(value.map_or(default, |value| value.value)).filter(|value| *value != u32::MAX)
    };
    Ok(Limits {
        max_connections: limit(max_connections, DEFAULT_LIMIT),
        max_pending_requests: limit(max_pending_requests, DEFAULT_LIMIT),
        max_requests: limit(max_requests, DEFAULT_LIMIT),
        max_retries: limit(max_retries, DEFAULT_RETRIES),
        retry_budget: retry_budget
            .map(|budget| from_budget(budget, &at.field("thresholds").field("retry_budget")))
            .transpose()?,
        ..Limits::default()
    })
}
