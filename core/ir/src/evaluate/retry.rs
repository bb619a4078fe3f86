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
    /// The upstream has not begun with the request, and says so (HTTP/2).
    Refused,
    /// The upstream broke the request's stream off (HTTP/2).
    StreamReset,
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
        /// What a field of it says about another try.
        hint: Option<Hint>,
    },
}

/// What a field of a response says about another try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// `x-envoy-overloaded`: a limit was reached on the way, so that there must be none.
    Overloaded,
    /// `x-envoy-ratelimited`: there is one only by [`RetryOn::EnvoyRateLimited`], whatever the status.
    RateLimited,
    /// A field that the request named in `x-envoy-retriable-header-names`.
    Named,
}

/// Whether the policy asks for another try after this failure.
pub fn is_retried(policy: &RetryPolicy, failure: Failure) -> bool {
    let hint = match failure {
        // Another try would only add to what is too much already.
        Failure::Overflow => return false,
        Failure::Response { hint, .. } => hint,
        _ => None,
    };
    match hint {
        Some(Hint::Overloaded) => false,
        Some(Hint::RateLimited) => policy.on.contains(&RetryOn::EnvoyRateLimited),
        Some(Hint::Named) if policy.on.contains(&RetryOn::RetriableHeaders) => true,
        Some(Hint::Named) | None => policy.on.iter().any(|on| matches(*on, policy, failure)),
    }
}

fn matches(on: RetryOn, policy: &RetryPolicy, failure: Failure) -> bool {
    let (code, grpc) = match failure {
        Failure::Response { code, grpc, .. } => (Some(code), grpc),
        _ => (None, None),
    };
    match on {
        RetryOn::ConnectFailure => failure == Failure::Connect,
        RetryOn::ResetBeforeRequest => {
            matches!(failure, Failure::Reset { sent: false } | Failure::Refused)
        }
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
        RetryOn::RefusedStream => failure == Failure::Refused,
        // Only HTTP/3 has connections that fail late.
        RetryOn::Http3PostConnectFailure => false,
        // These go by the hint.
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
        Failure::Response {
            code,
            grpc: None,
            hint: None,
        }
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
        check(RetryOn::RefusedStream, Failure::Refused, true);
        check(RetryOn::RefusedStream, Failure::StreamReset, false);
        check(RetryOn::Reset, Failure::StreamReset, true);
        check(
            RetryOn::Unavailable,
            Failure::Response {
                code: 200,
                grpc: Some(14),
                hint: None,
            },
            true,
        );
    }

    #[test]
    fn fields_of_responses_count_before_their_status() {
        let hinted = |code, hint| Failure::Response {
            code,
            grpc: None,
            hint: Some(hint),
        };
        check(RetryOn::FiveXx, hinted(503, Hint::Overloaded), false);
        check(RetryOn::FiveXx, hinted(503, Hint::RateLimited), false);
        check(
            RetryOn::EnvoyRateLimited,
            hinted(429, Hint::RateLimited),
            true,
        );
        check(RetryOn::EnvoyRateLimited, code(429), false);
        check(RetryOn::RetriableHeaders, hinted(200, Hint::Named), true);
        check(RetryOn::FiveXx, hinted(200, Hint::Named), false);
        check(RetryOn::FiveXx, hinted(500, Hint::Named), true);
    }

    #[test]
    fn pauses_grow_up_to_ten_times_the_first() {
        let longest = |tries| pause(&policy(&[]), tries, u64::MAX).as_millis();
        assert_eq!([1, 2, 3, 4, 40].map(longest), [24, 74, 174, 249, 249]);
        assert_eq!(pause(&policy(&[]), 3, 0), Duration::ZERO);
    }
}
