//! Injected violations, and other blocks whose types are still JSON.

use serde_json::Value;

use super::common::{duration, percent};
use super::{At, Violations};
use crate::model::DurationText;

/// `fault` of an HTTP rule.
pub(super) fn check(fault: &Value, at: &At<'_>, violations: &mut Violations) {
    let delay = fault.get("delay").filter(|value| !value.is_null());
    let abort = fault.get("abort").filter(|value| !value.is_null());
    if delay.is_none() && abort.is_none() {
        violations.add(at, "a fault needs delay or abort");
    }
    if let Some(delay) = delay {
        let at = at.key("delay");
        check_percentage(delay, &at, violations);
        if delay.get("fixedDelay").is_none() {
            violations.add(&at, "fixedDelay is missing");
        }
        check_duration(delay, "fixedDelay", &at, violations);
    }
    if let Some(abort) = abort {
        check_abort(abort, &at.key("abort"), violations);
    }
}

fn check_abort(abort: &Value, at: &At<'_>, violations: &mut Violations) {
    check_percentage(abort, at, violations);
    let http = abort.get("httpStatus");
    match (http, abort.get("grpcStatus")) {
        (None, None) => violations.add(at, "httpStatus or grpcStatus is missing"),
        (Some(_), Some(_)) => {
            violations.add(
                &at.key("grpcStatus"),
                "only one of httpStatus and grpcStatus can be set",
            );
        }
        _ => {}
    }
    if let Some(status) = http
        && !status
            .as_i64()
            .is_some_and(|code| (200..=599).contains(&code))
    {
        let message = format!("{status} is not a status in the range 200 to 599");
        violations.add(&at.key("httpStatus"), message);
    }
}

/// `percentage: {value: N}`, from 0 to 100.
pub(super) fn check_percentage(block: &Value, at: &At<'_>, violations: &mut Violations) {
    let Some(percentage) = block.get("percentage").filter(|value| !value.is_null()) else {
        return;
    };
    let at = at.key("percentage");
    match percentage.get("value") {
        None => {}
        Some(value) => match value.as_f64() {
            Some(value) => violations.check(&at.key("value"), percent(value)),
            None => violations.add(
                &at.key("value"),
                format!("expected a number, found {value}"),
            ),
        },
    }
}

/// A duration of at least a millisecond in a block.
pub(super) fn check_duration(block: &Value, key: &str, at: &At<'_>, violations: &mut Violations) {
    let Some(value) = block.get(key).filter(|value| !value.is_null()) else {
        return;
    };
    let at = at.key(key);
    match value.as_str().map(str::parse::<DurationText>) {
        Some(Ok(value)) => violations.check(&at, duration(value, true)),
        Some(Err(error)) => violations.add(&at, error.to_string()),
        None => violations.add(
            &at,
            format!("expected a duration such as 10s, found {value}"),
        ),
    }
}
