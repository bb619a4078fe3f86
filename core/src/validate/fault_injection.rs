//! `fault` of an HTTP rule.

use super::common::{duration, percent, share};
use super::{At, Violations};
use crate::model::{FaultAbort, FaultDelay, HttpFaultInjection, Percent};

/// Statuses of gRPC by name, in the order of their numbers.
const GRPC_STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The number of a gRPC status.
pub(crate) fn grpc_status(name: &str) -> Option<u32> {
    let position = GRPC_STATUSES.iter().position(|known| *known == name)?;
    u32::try_from(position).ok()
}

pub(super) fn check(fault: &HttpFaultInjection, at: &At<'_>, violations: &mut Violations) {
    let HttpFaultInjection { delay, abort } = fault;
    if delay.is_none() && abort.is_none() {
        violations.add(at, "a fault needs delay or abort");
    }
    if let Some(delay) = delay {
        check_delay(delay, &at.key("delay"), violations);
    }
    if let Some(abort) = abort {
        check_abort(abort, &at.key("abort"), violations);
    }
}

fn check_delay(delay: &FaultDelay, at: &At<'_>, violations: &mut Violations) {
    let FaultDelay {
        percent: whole,
        fixed_delay,
        exponential_delay,
        percentage,
    } = delay;
    let fixed_at = at.key("fixedDelay");
    match fixed_delay {
        Some(time) => violations.check(&fixed_at, duration(*time, false)),
        None => violations.warn(&fixed_at, "without fixedDelay no request is delayed"),
    }
    if exponential_delay.is_some() {
        let at = at.key("exponentialDelay");
        violations.add_hint(&at, "exponentialDelay is not supported", "set fixedDelay");
    }
    if let Some(whole) = whole {
        let at = at.key("percent");
        violations.warn_hint(&at, "percent is deprecated", "set percentage.value");
        violations.check(&at, percent(f64::from(*whole)));
    }
    check_share(percentage.as_ref(), at, violations);
}

fn check_abort(abort: &FaultAbort, at: &At<'_>, violations: &mut Violations) {
    let FaultAbort {
        http_status,
        grpc_status,
        http2_error,
        percentage,
    } = abort;
    match (http_status, grpc_status) {
        (None, None) => {
            violations.warn(at, "without httpStatus or grpcStatus no request is aborted");
        }
        (Some(_), Some(_)) => violations.add(
            &at.key("grpcStatus"),
            "only one of httpStatus and grpcStatus can be set",
        ),
        _ => {}
    }
    if let Some(status) = http_status
        && !(200..=599).contains(status)
    {
        let message = format!("{status} is not a status in the range 200 to 599");
        violations.add(&at.key("httpStatus"), message);
    }
    if let Some(status) = grpc_status
        && !GRPC_STATUSES.contains(&status.as_str())
    {
        violations.add_hint(
            &at.key("grpcStatus"),
            format!("{status:?} is not a status of gRPC"),
            "statuses are names such as UNAVAILABLE or NOT_FOUND",
        );
    }
    if http2_error.is_some() {
        let at = at.key("http2Error");
        violations.add_hint(&at, "http2Error is not supported", "set httpStatus");
    }
    check_share(percentage.as_ref(), at, violations);
}

fn check_share(percentage: Option<&Percent>, at: &At<'_>, violations: &mut Violations) {
    if let Some(percentage) = percentage {
        violations.check(&at.key("percentage").key("value"), share(percentage));
    }
}
