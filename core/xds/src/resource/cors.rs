//! Cross-origin resource sharing.

use std::sync::Arc;

use envoy_types::pb::envoy::extensions::filters::http::cors::v3::CorsPolicy as Proto;
use mesh_ir::{CorsPolicy, Fraction};

use super::border::{At, InvalidResource};
use super::{fraction, header_match, values};

/// Name of the filter, under which routes find what concerns it.
pub(super) const NAME: &str = "envoy.filters.http.cors";

pub(super) fn to_proto(value: &CorsPolicy) -> Proto {
    let CorsPolicy {
        allow_origins,
        allow_methods,
        allow_headers,
        expose_headers,
        max_age,
        allow_credentials,
        forward_unmatched_preflights,
    } = value;
    let list = |names: &[Arc<str>]| names.join(",");
    Proto {
        allow_origin_string_match: allow_origins.iter().map(header_match::string).collect(),
        allow_methods: list(allow_methods),
        allow_headers: list(allow_headers),
        expose_headers: list(expose_headers),
        max_age: max_age.map_or_else(String::new, |seconds| seconds.to_string()),
        allow_credentials: allow_credentials.and_then(values::bool_value),
        filter_enabled: Some(fraction::runtime(Fraction::ALL)),
        forward_not_matching_preflights: values::bool_value(*forward_unmatched_preflights),
        ..Proto::default()
    }
}

pub(super) fn from_proto(proto: Proto, at: &At<'_>) -> Result<CorsPolicy, InvalidResource> {
    open!(at, proto => Proto {
        keep {
            allow_origin_string_match, allow_methods, allow_headers, expose_headers, max_age, allow_credentials,
            filter_enabled, forward_not_matching_preflights,
        }
        refuse { allow_private_network_access }
        ignore { shadow_enabled }
    });
    let enabled = at.field("filter_enabled");
    let share = filter_enabled
        .map(|share| fraction::from_runtime(share, &enabled))
        .transpose()?;
    if share.is_some_and(|share| u64::from(share.numerator) < share.per.value()) {
        return Err(enabled.unsupported());
    }
    let list = |text: String| {
        let names = text
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        names.map(Into::into).collect()
    };
    Ok(CorsPolicy {
        allow_origins: at.list(
            "allow_origin_string_match",
            allow_origin_string_match,
            header_match::from_string,
        )?,
        allow_methods: list(allow_methods),
        allow_headers: list(allow_headers),
        expose_headers: list(expose_headers),
        max_age: match max_age.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|_| {
                at.field("max_age")
                    .value(format!("{text:?} is not a number of seconds"))
            })?),
        },
        allow_credentials: allow_credentials.map(|allowed| allowed.value),
        // Envoy's default.
        forward_unmatched_preflights: forward_not_matching_preflights
            .is_none_or(|forward| forward.value),
    })
}
