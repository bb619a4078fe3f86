//! What a traffic policy says about which endpoints are fit for traffic: ejection of failing ones, and sparing new ones.

use mesh_ir::{ClientPolicy, LoadBalancing, OutlierDetection, SlowStart};

use crate::model;
use crate::snapshot::policy::EffectiveTrafficPolicy;

/// Percent of its weight that a new endpoint begins with, Istio's default.
const WARMUP_PERCENT: f64 = 10.0;

pub(super) fn apply(client: &mut ClientPolicy, policy: &EffectiveTrafficPolicy<'_>) {
    if let Some(detection) = policy.outlier_detection {
        client.outliers = Some(outliers(detection));
        // Few endpoints are common, so that the threshold is off unless it is asked for.
        let minimum = detection.min_health_percent.unwrap_or(0).clamp(0, 100);
        client.panic_threshold = u8::try_from(minimum).ok();
    }
    let grows = matches!(
        client.balancing,
        LoadBalancing::RoundRobin | LoadBalancing::LeastRequest
    );
    client.slow_start = policy
        .load_balancer
        .filter(|_| grows)
        .and_then(|balancer| match &balancer.warmup {
            Some(warmup) => slow_start(warmup),
            None => slow_start(&model::Warmup {
                duration: balancer.warmup_duration_secs,
                ..model::Warmup::default()
            }),
        });
}

/// Values that are not said are Envoy's; negative ones were reported with the rule and count as absent.
fn outliers(detection: &model::OutlierDetection) -> OutlierDetection {
    let default = OutlierDetection::default();
    let percent = |value: i32| u32::try_from(value).ok().filter(|value| *value > 0);
    let span = |text: Option<model::DurationText>, default| {
        text.map(|text| text.0)
            .filter(|span: &std::time::Duration| !span.is_zero())
            .unwrap_or(default)
    };
    let split = detection.split_external_local_origin_errors == Some(true);
    OutlierDetection {
        consecutive_5xx: detection
            .consecutive_5xx_errors
            .unwrap_or(default.consecutive_5xx),
        consecutive_gateway_failures: detection
            .consecutive_gateway_errors
            .unwrap_or(default.consecutive_gateway_failures),
        // Envoy counts to five.
        consecutive_local_failures: split
            .then(|| detection.consecutive_local_origin_failures.unwrap_or(5)),
        interval: span(detection.interval, default.interval),
        base_ejection_time: span(detection.base_ejection_time, default.base_ejection_time),
        max_ejection_percent: detection
            .max_ejection_percent
            .and_then(percent)
            .unwrap_or(default.max_ejection_percent),
    }
}

fn slow_start(warmup: &model::Warmup) -> Option<SlowStart> {
    let window = warmup.duration.map(|text| text.0)?;
    let percent = warmup.minimum_percent.unwrap_or(WARMUP_PERCENT);
    let aggression = warmup.aggression.unwrap_or(1.0).clamp(1.0, 1e6);
    (!window.is_zero()).then_some(SlowStart {
        window,
        aggression: (aggression * 1000.0).round() as u32,
        minimum_percent: percent.clamp(0.0, 100.0).round() as u8,
    })
}
