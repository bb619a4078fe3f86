//! Injected faults, and other blocks whose types are still JSON.

use serde_json::Value;

use super::common::{duration, percent};
use super::{At, Faults};
use crate::model::DurationText;

/// `fault` of an HTTP rule.
pub(super) fn check(fault: &Value, at: &At<'_>, faults: &mut Faults<'_>) {
    let delay = fault.get("delay").filter(|value| !value.is_null());
    let abort = fault.get("abort").filter(|value| !value.is_null());
    if delay.is_none() && abort.is_none() {
        faults.add(at, "a fault needs delay or abort");
    }
    if let Some(delay) = delay {
        let at = at.key("delay");
        check_percentage(delay, &at, faults);
        if delay.get("fixedDelay").is_none() {
            faults.add(&at, "fixedDelay is missing");
        }
        check_duration(delay, "fixedDelay", &at, faults);
    }
    if let Some(abort) = abort {
        check_abort(abort, &at.key("abort"), faults);
    }
}

fn check_abort(abort: &Value, at: &At<'_>, faults: &mut Faults<'_>) {
    check_percentage(abort, at, faults);
    let http = abort.get("httpStatus");
    match (http, abort.get("grpcStatus")) {
        (None, None) => faults.add(at, "httpStatus or grpcStatus is missing"),
        (Some(_), Some(_)) => {
            faults.add(
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
        faults.add(&at.key("httpStatus"), message);
    }
}

/// `percentage: {value: N}`, from 0 to 100.
pub(super) fn check_percentage(block: &Value, at: &At<'_>, faults: &mut Faults<'_>) {
    let Some(percentage) = block.get("percentage").filter(|value| !value.is_null()) else {
        return;
    };
    let at = at.key("percentage");
    match percentage.get("value") {
        None => {}
        Some(value) => match value.as_f64() {
            Some(value) => faults.check(&at.key("value"), percent(value)),
            None => faults.add(
                &at.key("value"),
                format!("expected a number, found {value}"),
            ),
        },
    }
}

/// A duration of at least a millisecond in a block.
pub(super) fn check_duration(block: &Value, key: &str, at: &At<'_>, faults: &mut Faults<'_>) {
    let Some(value) = block.get(key).filter(|value| !value.is_null()) else {
        return;
    };
    let at = at.key(key);
    match value.as_str().map(str::parse::<DurationText>) {
        Some(Ok(value)) => faults.check(&at, duration(value, true)),
        Some(Err(error)) => faults.add(&at, error.to_string()),
        None => faults.add(
            &at,
            format!("expected a duration such as 10s, found {value}"),
        ),
    }
}
