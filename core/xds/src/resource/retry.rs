//! Retry policies.

use envoy_types::pb::envoy::config::route::v3::{
    RetryPolicy as Proto,
    retry_policy::{RetryBackOff, RetryHostPredicate, retry_host_predicate},
};
use envoy_types::pb::envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate;
use mesh_ir::{RetryOn, RetryPolicy};

use super::border::{At, InvalidResource};
use super::{pack, unpack, values};

const PREVIOUS_HOSTS: &str = "envoy.retry_host_predicates.previous_hosts";

pub(super) fn to_proto(value: &RetryPolicy) -> Proto {
    let RetryPolicy {
        attempts,
        on,
        status_codes,
        per_try_timeout,
        base_interval,
        host_selection_attempts,
    } = value;
    let tokens: Vec<&str> = on.iter().map(|on| on.token()).collect();
    let predicate = (*host_selection_attempts > 0).then(|| RetryHostPredicate {
        name: PREVIOUS_HOSTS.to_owned(),
        config_type: Some(retry_host_predicate::ConfigType::TypedConfig(pack(
            &PreviousHostsPredicate {},
        ))),
    });
    Proto {
        retry_on: tokens.join(","),
        num_retries: values::u32_value(*attempts),
        per_try_timeout: per_try_timeout.and_then(values::duration),
        retry_host_predicate: predicate.into_iter().collect(),
        host_selection_retry_max_attempts: i64::from(*host_selection_attempts),
        retriable_status_codes: status_codes.iter().map(|code| u32::from(*code)).collect(),
        retry_back_off: base_interval.map(|interval| RetryBackOff {
            base_interval: values::duration(interval),
            max_interval: None,
        }),
        ..Proto::default()
    }
}

pub(super) fn from_proto(proto: Proto, at: &At<'_>) -> Result<RetryPolicy, InvalidResource> {
    open!(at, proto => Proto {
        keep {
            retry_on, num_retries, per_try_timeout, retry_host_predicate, host_selection_retry_max_attempts,
            retriable_status_codes, retry_back_off,
        }
        refuse {
            per_try_idle_timeout, retry_priority, retry_options_predicates, rate_limited_retry_back_off, retriable_headers,
            retriable_request_headers, refresh_cluster_on_retry,
        }
        ignore {}
    });
    let on = at.list("retry_on", tokens(&retry_on), |token, at| {
        RetryOn::from_token(token)
            .ok_or_else(|| at.value(format!("{token:?} is not supported by this proxy")))
    })?;
    let status_codes = at.list(
        "retriable_status_codes",
        retriable_status_codes,
        |code, at| {
            u16::try_from(code).map_err(|_| at.value(format!("{code} is not a status code")))
        },
    )?;
    let predicates = at.list(
        "retry_host_predicate",
        retry_host_predicate,
        check_predicate,
    )?;
    Ok(RetryPolicy {
        // Envoy's default.
        attempts: num_retries.map_or(1, |retries| retries.value),
        on,
        status_codes,
        per_try_timeout: values::from_limit(per_try_timeout, None, &at.field("per_try_timeout"))?,
        base_interval: retry_back_off
            .map(|back_off| from_back_off(back_off, &at.field("retry_back_off")))
            .transpose()?,
        host_selection_attempts: match (predicates.len(), host_selection_retry_max_attempts) {
            (0, _) => 0,
            // Envoy's default.
            (_, 0) => 1,
            (_, attempts) => u32::try_from(attempts).map_err(|_| {
                at.field("host_selection_retry_max_attempts")
                    .value(format!("{attempts} is out of range"))
            })?,
        },
    })
}

fn tokens(list: &str) -> impl Iterator<Item = &str> {
    list.split(',')
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

fn check_predicate(proto: RetryHostPredicate, at: &At<'_>) -> Result<(), InvalidResource> {
    let RetryHostPredicate { name, config_type } = proto;
    let previous_hosts = match config_type {
        None => name == PREVIOUS_HOSTS,
        Some(retry_host_predicate::ConfigType::TypedConfig(any)) => {
            unpack::<PreviousHostsPredicate>(&any, at)?.is_some()
        }
    };
    if previous_hosts {
        Ok(())
    } else {
        Err(at.value(format!("{name:?} is not supported by this proxy")))
    }
}

fn from_back_off(proto: RetryBackOff, at: &At<'_>) -> Result<std::time::Duration, InvalidResource> {
    open!(at, proto => RetryBackOff {
        keep { base_interval }
        refuse { max_interval }
        ignore {}
    });
    values::from_duration(
        at.require("base_interval", base_interval)?,
        &at.field("base_interval"),
    )
}
