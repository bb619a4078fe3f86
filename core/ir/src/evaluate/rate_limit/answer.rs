//! What a rate limit service answers, and what becomes of it.

use std::sync::Arc;
use std::time::Duration;

use crate::{HeaderAppend, HeaderValue};

/// What a rate limit service answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimitAnswer {
    /// Whether the request is one too many.
    pub is_over_limit: bool,
    /// Headers that the request gets, by their lower-case names.
    pub request_headers: Vec<(Arc<str>, Vec<u8>)>,
    /// Headers that the answer to the client gets.
    pub response_headers: Vec<HeaderValue>,
    /// Body of the answer to what is too much.
    pub body: Vec<u8>,
    /// What is left of each limit, in the order of the descriptors.
    pub limits: Vec<LimitStatus>,
}

/// What is left of a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitStatus {
    /// Requests in a window.
    pub requests: u32,
    /// Length of a window; none if it is not known.
    pub window: Option<Duration>,
    /// Name of the limit; may be empty.
    pub name: Arc<str>,
    /// Requests that are left in this window.
    pub remaining: u32,
    /// Until the next one.
    pub reset: Duration,
}

// === impl RateLimitAnswer ===

impl RateLimitAnswer {
    /// The headers that tell clients of the limit that is nearest to its end, in the form of the third draft of the IETF, as Envoy's; none
    /// without any limit.
    pub fn limit_headers(&self) -> Vec<HeaderValue> {
        let Some(nearest) = self.limits.iter().min_by_key(|limit| limit.remaining) else {
            return Vec::new();
        };
        let mut limit = nearest.requests.to_string();
        for status in &self.limits {
            let Some(window) = status.window else {
                continue;
            };
            limit += &format!(", {};w={}", status.requests, window.as_secs());
            if !status.name.is_empty() {
                limit += &format!(";name=\"{}\"", status.name);
            }
        }
        let header = |name: &str, value: String| HeaderValue {
            name: name.into(),
            value: value.into(),
            append: HeaderAppend::Overwrite,
        };
        vec![
            header("x-ratelimit-limit", limit),
            header("x-ratelimit-remaining", nearest.remaining.to_string()),
            header("x-ratelimit-reset", nearest.reset.as_secs().to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_that_is_nearest_to_its_end_is_told_with_the_windows_of_all() {
        let status = |requests, window, name: &str, remaining, reset| LimitStatus {
            requests,
            window: Some(Duration::from_secs(window)),
            name: name.into(),
            remaining,
            reset: Duration::from_secs(reset),
        };
        let answer = RateLimitAnswer {
            limits: vec![
                status(1000, 3600, "", 900, 1800),
                status(10, 60, "per-user", 3, 17),
            ],
            ..RateLimitAnswer::default()
        };
        let headers = answer.limit_headers();
        let lines: Vec<String> = headers
            .iter()
            .map(|header| format!("{}: {}", header.name, header.value))
            .collect();
        assert_eq!(
            lines,
            [
                "x-ratelimit-limit: 10, 1000;w=3600, 10;w=60;name=\"per-user\"",
                "x-ratelimit-remaining: 3",
                "x-ratelimit-reset: 17",
            ]
        );
        assert_eq!(RateLimitAnswer::default().limit_headers(), []);
    }
}
