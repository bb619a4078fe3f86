//! Whether a failed try is worth another one, and how long to wait before it.

use std::time::Duration;

use crate::{RetryOn, RetryPolicy};

/// Envoy's shortest pause where none is configured.
const BASE: Duration = Duration::from_millis(25);

/// How a try has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There was no connection.
    Connect,
    /// A limit of the cluster did not allow it.
    Overflow,
    /// The connection ended before the response began.
    Reset {
        /// Whether some of the request had been sent.
        sent: bool,
    },
    /// The upstream said something that is no HTTP.
    Protocol,
    /// The limit of one try has passed.
    Timeout,
    /// A response came, with this code and gRPC status.
    Response {
        /// Status code.
        code: u16,
        /// gRPC status, if the head told it.
        grpc: Option<u8>,
    },
}

/// Whether the policy asks for another try after this failure.
pub fn is_retried(policy: &RetryPolicy, failure: Failure) -> bool {
    // Another try would only add to what is too much already.
    failure != Failure::Overflow && policy.on.iter().any(|on| matches(*on, policy, failure))
}

fn matches(on: RetryOn, policy: &RetryPolicy, failure: Failure) -> bool {
    let (code, grpc) = match failure {
        Failure::Response { code, grpc } => (Some(code), grpc),
        _ => (None, None),
    };
    match on {
        RetryOn::ConnectFailure => failure == Failure::Connect,
        RetryOn::ResetBeforeRequest => failure == Failure::Reset { sent: false },
        RetryOn::Reset => code.is_none(),
        RetryOn::FiveXx => code.is_none_or(|code| code >= 500),
        RetryOn::GatewayError => code.is_none_or(|code| (502..=504).contains(&code)),
        RetryOn::Retriable4xx => code == Some(409),
        RetryOn::RetriableStatusCodes => {
            code.is_some_and(|code| policy.status_codes.contains(&code))
        }
        RetryOn::Cancelled => grpc == Some(1),
        RetryOn::DeadlineExceeded => grpc == Some(4),
        RetryOn::ResourceExhausted => grpc == Some(8),
        RetryOn::Internal => grpc == Some(13),
        RetryOn::Unavailable => grpc == Some(14),
        // Only HTTP/2 upstreams refuse streams, and only HTTP/3 has connections that fail late.
        RetryOn::RefusedStream | RetryOn::Http3PostConnectFailure => false,
        // No route names headers, and the header of a limit is not looked at yet.
        RetryOn::RetriableHeaders | RetryOn::EnvoyRateLimited => false,
    }
}

/// The pause before a try: exponential with full jitter, at most ten times the shortest. `tries` have failed; `random` is evenly spread.
pub fn pause(policy: &RetryPolicy, tries: u32, random: u64) -> Duration {
    let base = policy.base_interval.unwrap_or(BASE);
    let grown = base.saturating_mul(1_u32.checked_shl(tries.min(16)).unwrap_or(u32::MAX) - 1);
    let limit = grown.min(base.saturating_mul(10));
    let nanos = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(((u128::from(random) * u128::from(nanos)) >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(on: &[RetryOn]) -> RetryPolicy {
        RetryPolicy {
            attempts: 2,
            on: on.to_vec(),
            status_codes: vec![503],
            per_try_timeout: None,
            base_interval: None,
            host_selection_attempts: 5,
        }
    }

    #[track_caller]
    fn check(on: RetryOn, failure: Failure, expect: bool) {
        assert_eq!(
            is_retried(&policy(&[on]), failure),
            expect,
            "{on:?} {failure:?}"
        );
    }

    fn code(code: u16) -> Failure {
        Failure::Response { code, grpc: None }
    }

    #[test]
    fn conditions_are_those_of_envoy() {
        check(RetryOn::ConnectFailure, Failure::Connect, true);
        check(
            RetryOn::ConnectFailure,
            Failure::Reset { sent: false },
            false,
        );
        check(RetryOn::FiveXx, code(500), true);
        check(RetryOn::FiveXx, code(404), false);
        check(RetryOn::FiveXx, Failure::Connect, true);
        check(RetryOn::GatewayError, code(500), false);
        check(RetryOn::GatewayError, code(504), true);
        check(RetryOn::Reset, Failure::Timeout, true);
        check(RetryOn::Reset, code(503), false);
        check(
            RetryOn::ResetBeforeRequest,
            Failure::Reset { sent: true },
            false,
        );
        check(
            RetryOn::ResetBeforeRequest,
            Failure::Reset { sent: false },
            true,
        );
        check(RetryOn::Reset, Failure::Overflow, false);
        check(RetryOn::Retriable4xx, code(409), true);
        check(RetryOn::RetriableStatusCodes, code(503), true);
        check(RetryOn::RetriableStatusCodes, code(502), false);
        check(
            RetryOn::Unavailable,
            Failure::Response {
                code: 200,
                grpc: Some(14),
            },
            true,
        );
    }

    #[test]
    fn pauses_grow_up_to_ten_times_the_first() {
        let longest = |tries| pause(&policy(&[]), tries, u64::MAX).as_millis();
        assert_eq!([1, 2, 3, 4, 40].map(longest), [24, 74, 174, 249, 249]);
        assert_eq!(pause(&policy(&[]), 3, 0), Duration::ZERO);
    }
}
