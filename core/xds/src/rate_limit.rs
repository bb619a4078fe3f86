//! Rate limit services: the messages of `envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit`.

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::HeaderValue as HeaderProto;
use envoy_types::pb::envoy::extensions::common::ratelimit::v3::{
    RateLimitDescriptor, rate_limit_descriptor::Entry,
};
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::{
    Code, DescriptorStatus, RateLimit, rate_limit::Unit,
};
use envoy_types::pb::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use mesh_ir::evaluate::{Descriptor, LimitStatus, RateLimitAnswer};
use mesh_ir::{HeaderAppend, HeaderValue};
use prost::{DecodeError, Message as _};

/// Path of the call.
pub const RATE_LIMIT_PATH: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";

/// The message of a question about one request.
pub fn encode(domain: &str, descriptors: &[Descriptor<'_>]) -> Vec<u8> {
    let entry = |(key, value): &(&str, std::borrow::Cow<'_, str>)| Entry {
        key: (*key).to_owned(),
        value: value.to_string(),
    };
    let descriptor = |descriptor: &Descriptor<'_>| RateLimitDescriptor {
        entries: descriptor.iter().map(entry).collect(),
        ..RateLimitDescriptor::default()
    };
    RateLimitRequest {
        domain: domain.to_owned(),
        descriptors: descriptors.iter().map(descriptor).collect(),
        hits_addend: 0,
    }
    .encode_to_vec()
}

/// What an answer means. An answer without a code lets the request pass, as with Envoy.
///
/// # Errors
/// When the bytes are no answer.
pub fn decode(bytes: &[u8]) -> Result<RateLimitAnswer, DecodeError> {
    let RateLimitResponse {
        overall_code,
        statuses,
        response_headers_to_add,
        request_headers_to_add,
        raw_body,
        // Nothing here reads what one filter leaves to another, and quotas are for clients that count themselves.
        dynamic_metadata: _,
        quota: _,
    } = RateLimitResponse::decode(bytes)?;
    Ok(RateLimitAnswer {
        is_over_limit: overall_code == Code::OverLimit as i32,
        request_headers: request_headers_to_add
            .into_iter()
            .filter_map(opened)
            .collect(),
        response_headers: response_headers_to_add
            .into_iter()
            .filter_map(opened)
            .map(|(name, value)| HeaderValue {
                name,
                value: String::from_utf8_lossy(&value).into(),
                append: HeaderAppend::Append,
            })
            .collect(),
        body: raw_body,
        limits: statuses.into_iter().filter_map(status).collect(),
    })
}

/// A header with its lower-case name, unless it is none.
fn opened(header: HeaderProto) -> Option<(Arc<str>, Vec<u8>)> {
    let HeaderProto {
        key,
        value,
        raw_value,
    } = header;
    let value = if raw_value.is_empty() {
        value.into_bytes()
    } else {
        raw_value
    };
    let is_field = |byte: &u8| !matches!(byte, b'\r' | b'\n' | 0);
    let valid = !key.is_empty() && value.iter().all(is_field);
    valid.then(|| (key.to_ascii_lowercase().into(), value))
}

/// None where nothing limits the descriptor.
fn status(proto: DescriptorStatus) -> Option<LimitStatus> {
    let RateLimit {
        name,
        requests_per_unit,
        unit,
    } = proto.current_limit?;
    let seconds = match Unit::try_from(unit).unwrap_or_default() {
        Unit::Unknown => None,
        Unit::Second => Some(1),
        Unit::Minute => Some(60),
        Unit::Hour => Some(3_600),
        Unit::Day => Some(86_400),
        Unit::Week => Some(604_800),
        Unit::Month => Some(2_592_000),
        Unit::Year => Some(31_536_000),
    };
    let reset = proto.duration_until_reset.unwrap_or_default().seconds;
    Some(LimitStatus {
        requests: requests_per_unit,
        window: seconds.map(Duration::from_secs),
        name: name.into(),
        remaining: proto.limit_remaining,
        reset: Duration::from_secs(u64::try_from(reset).unwrap_or_default()),
    })
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::google::protobuf::Duration as DurationProto;

    use super::*;

    #[test]
    fn a_question_has_the_descriptors_in_their_order() {
        let descriptors = vec![vec![
            ("path", "/a".into()),
            ("user", String::from("jo").into()),
        ]];
        let told = RateLimitRequest::decode(&*encode("mesh", &descriptors)).unwrap();
        assert_eq!(told.domain, "mesh");
        let [descriptor] = &*told.descriptors else {
            panic!("{told:?}");
        };
        let entries = descriptor.entries.iter();
        let entries: Vec<_> = entries.map(|entry| (&*entry.key, &*entry.value)).collect();
        assert_eq!(entries, [("path", "/a"), ("user", "jo")]);
    }

    #[test]
    fn an_answer_tells_what_is_left() {
        let response = RateLimitResponse {
            overall_code: Code::OverLimit.into(),
            statuses: vec![
                DescriptorStatus {
                    code: Code::OverLimit.into(),
                    current_limit: Some(RateLimit {
                        name: "per-user".to_owned(),
                        requests_per_unit: 10,
                        unit: Unit::Minute.into(),
                    }),
                    limit_remaining: 0,
                    duration_until_reset: Some(DurationProto {
                        seconds: 30,
                        nanos: 0,
                    }),
                    ..DescriptorStatus::default()
                },
                DescriptorStatus::default(),
            ],
            request_headers_to_add: vec![HeaderProto {
                key: "X-Tier".to_owned(),
                value: "free".to_owned(),
                ..HeaderProto::default()
            }],
            ..RateLimitResponse::default()
        };
        let answer = decode(&response.encode_to_vec()).unwrap();
        assert!(answer.is_over_limit);
        assert_eq!(
            answer.request_headers,
            [("x-tier".into(), b"free".to_vec())]
        );
        let [limit] = &*answer.limits else {
            panic!("{answer:?}");
        };
        assert_eq!(
            (limit.requests, limit.window),
            (10, Some(Duration::from_secs(60)))
        );
        assert_eq!((limit.remaining, limit.reset), (0, Duration::from_secs(30)));
        assert!(!decode(b"").unwrap().is_over_limit);
        decode(b"\xff").unwrap_err();
    }
}
