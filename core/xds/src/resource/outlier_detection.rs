//! Ejection of failing endpoints.

use std::time::Duration;

use envoy_types::pb::envoy::config::cluster::v3::OutlierDetection as Proto;
use envoy_types::pb::google::protobuf::{Duration as DurationProto, UInt32Value};
use mesh_ir::OutlierDetection;

use super::border::{At, InvalidResource};
use super::values;

pub(super) fn to_proto(value: &OutlierDetection) -> Proto {
    let OutlierDetection {
        consecutive_5xx,
        consecutive_gateway_failures,
        consecutive_local_failures,
        interval,
        base_ejection_time,
        max_ejection_percent,
    } = value;
    let local = *consecutive_local_failures;
    Proto {
        consecutive_5xx: threshold(*consecutive_5xx),
        enforcing_consecutive_5xx: enforcing(*consecutive_5xx),
        consecutive_gateway_failure: threshold(*consecutive_gateway_failures),
        enforcing_consecutive_gateway_failure: enforcing(*consecutive_gateway_failures),
        split_external_local_origin_errors: local.is_some(),
        consecutive_local_origin_failure: local.and_then(threshold),
        enforcing_consecutive_local_origin_failure: local.and_then(enforcing),
        interval: values::duration(*interval),
        base_ejection_time: values::duration(*base_ejection_time),
        max_ejection_percent: values::u32_value(*max_ejection_percent),
        // Failures in a row are what Istio ejects for, nothing else.
        enforcing_success_rate: values::u32_value(0),
        enforcing_local_origin_success_rate: values::u32_value(0),
        ..Proto::default()
    }
}

fn threshold(failures: u32) -> Option<UInt32Value> {
    (failures > 0)
        .then_some(failures)
        .and_then(values::u32_value)
}

fn enforcing(failures: u32) -> Option<UInt32Value> {
    values::u32_value(if failures > 0 { 100 } else { 0 })
}

pub(super) fn from_proto(proto: Proto, at: &At<'_>) -> Result<OutlierDetection, InvalidResource> {
    open!(at, proto => Proto {
        keep {
            consecutive_5xx, enforcing_consecutive_5xx, consecutive_gateway_failure,
            enforcing_consecutive_gateway_failure, split_external_local_origin_errors, consecutive_local_origin_failure,
            enforcing_consecutive_local_origin_failure, interval, base_ejection_time, max_ejection_percent,
            enforcing_success_rate, enforcing_local_origin_success_rate, enforcing_failure_percentage,
            enforcing_failure_percentage_local_origin,
        }
        refuse {
            failure_percentage_threshold, max_ejection_time, max_ejection_time_jitter, monitors, always_eject_one_host,
            detect_degraded_hosts,
        }
        ignore {
            success_rate_minimum_hosts, success_rate_request_volume, success_rate_stdev_factor,
            failure_percentage_minimum_hosts, failure_percentage_request_volume,
            successful_active_health_check_uneject_host,
        }
    });
    let off = [
        ("enforcing_success_rate", enforcing_success_rate, 100),
        (
            "enforcing_failure_percentage",
            enforcing_failure_percentage,
            0,
        ),
        (
            "enforcing_failure_percentage_local_origin",
            enforcing_failure_percentage_local_origin,
            0,
        ),
        (
            "enforcing_local_origin_success_rate",
            enforcing_local_origin_success_rate,
            if split_external_local_origin_errors {
                100
            } else {
                0
            },
        ),
    ];
    for (field, percent, default) in off {
        if percent.map_or(default, |percent| percent.value) > 0
            && (field != "enforcing_local_origin_success_rate"
                || split_external_local_origin_errors)
        {
            return Err(at
                .field(field)
                .value("must be 0: only failures in a row can eject"));
        }
    }
    let rule = |field, threshold, enforcing: Option<UInt32Value>, default: u32, on: bool| {
        let enforced = enforcing.map_or(if on { 100 } else { 0 }, |percent| percent.value);
        match enforced {
            0 => Ok(0),
            100 => Ok(threshold_of(threshold, default)),
            _ => Err(at.field(field).value("must be 0 or 100")),
        }
    };
    let local = rule(
        "enforcing_consecutive_local_origin_failure",
        consecutive_local_origin_failure,
        enforcing_consecutive_local_origin_failure,
        5,
        true,
    )?;
    let span = |field, value: Option<DurationProto>, default: Duration| {
        value.map_or(Ok(default), |value| {
            values::from_duration(value, &at.field(field))
        })
    };
    // Envoy's own.
    let default = OutlierDetection::default();
    Ok(OutlierDetection {
        consecutive_5xx: rule(
            "enforcing_consecutive_5xx",
            consecutive_5xx,
            enforcing_consecutive_5xx,
            5,
            true,
        )?,
        consecutive_gateway_failures: rule(
            "enforcing_consecutive_gateway_failure",
            consecutive_gateway_failure,
            enforcing_consecutive_gateway_failure,
            5,
            false,
        )?,
        consecutive_local_failures: split_external_local_origin_errors.then_some(local),
        interval: span("interval", interval, default.interval)?,
        base_ejection_time: span(
            "base_ejection_time",
            base_ejection_time,
            default.base_ejection_time,
        )?,
        max_ejection_percent: max_ejection_percent
            .map_or(default.max_ejection_percent, |percent| percent.value),
    })
}

fn threshold_of(threshold: Option<UInt32Value>, default: u32) -> u32 {
    threshold.map_or(default, |threshold| threshold.value)
}
