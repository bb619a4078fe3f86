//! What a new version may not exceed: a share of failed requests, and a duration.

use std::fmt;
use std::time::Duration;

use super::{Judgement, Refusal};

/// What may not be exceeded; none lets everything pass.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Failed requests (5xx, or no pod reached) of all, from 0 to 1.
    pub errors: Option<f64>,
    /// The duration that 99 of 100 requests do not exceed.
    pub p99: Option<Duration>,
}

/// A limit that was passed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Passed {
    /// Too many requests failed.
    Errors {
        /// Those that failed.
        errors: u64,
        /// All.
        requests: u64,
        /// The limit.
        limit: f64,
    },
    /// Requests took too long.
    P99 {
        /// Milliseconds.
        seen: f64,
        /// The limit.
        limit: Duration,
    },
}

// === impl Limits ===

impl Limits {
    /// Reads a share of requests such as `1%` or `0.5%`.
    pub fn parse_share(text: &str) -> Result<f64, Refusal> {
        let number = text.strip_suffix('%').unwrap_or(text).trim();
        let share = number.parse::<f64>().ok();
        let share = share.filter(|share| (0.0..=100.0).contains(share));
        share.map(|share| share / 100.0).ok_or_else(|| {
            Refusal::usage(format!("{text:?} is not a share from 0% to 100%"))
                .hint("for example: --max-5xx 1%")
        })
    }

    /// Whether there is any.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The first limit that the named subsets have passed.
    pub fn passed(&self, judgement: &Judgement) -> Option<Passed> {
        let named = judgement.errors_of_named();
        if let Some(limit) = self.errors
            && named.requests > 0
            && named.errors as f64 > limit * named.requests as f64
        {
            return Some(Passed::Errors {
                errors: named.errors,
                requests: named.requests,
                limit,
            });
        }
        let limit = self.p99?;
        let seen = judgement.durations_of_named().quantile(0.99)?;
        (seen > limit.as_secs_f64() * 1000.0).then_some(Passed::P99 { seen, limit })
    }
}

// === impl Passed ===

impl Passed {
    /// The limit's flag.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Errors { .. } => "max-5xx",
            Self::P99 { .. } => "max-p99",
        }
    }
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Errors {
                errors,
                requests,
                limit,
            } => {
                let seen = *errors as f64 * 100.0 / (*requests).max(1) as f64;
                let limit = limit * 100.0;
                write!(
                    f,
                    "limit --max-5xx {limit}% was passed: {errors} of {requests} requests failed ({seen:.1}%)"
                )
            }
            Self::P99 { seen, limit } => write!(
                f,
                "limit --max-p99 {} ms was passed: the 99th percentile is {seen:.0} ms",
                limit.as_secs_f64() * 1000.0
            ),
        }
    }
}
