//! Criteria for headers, query parameters and other texts.

#![expect(
    deprecated,
    reason = "messages are opened completely, deprecated fields included"
)]

use envoy_types::pb::envoy::config::route::v3::{
    HeaderMatcher, QueryParameterMatcher, header_matcher::HeaderMatchSpecifier,
    query_parameter_matcher::QueryParameterMatchSpecifier,
};
use envoy_types::pb::envoy::r#type::matcher::v3::{
    RegexMatcher, StringMatcher, regex_matcher::EngineType, string_matcher::MatchPattern,
};
use mesh_ir::matching::check_regex;
use mesh_ir::{HeaderMatch, QueryMatch, StringMatch, ValueMatch};

use super::border::{At, InvalidResource};

pub(super) fn header(value: &HeaderMatch) -> HeaderMatcher {
    let HeaderMatch {
        name,
        value,
        invert,
    } = value;
    let (specifier, missing_is_empty) = match value {
        ValueMatch::Present => (HeaderMatchSpecifier::PresentMatch(true), false),
        ValueMatch::Text(text) => (HeaderMatchSpecifier::StringMatch(string(text)), *invert),
    };
    HeaderMatcher {
        name: name.to_string(),
        invert_match: *invert,
        treat_missing_header_as_empty: missing_is_empty,
        header_match_specifier: Some(specifier),
    }
}

pub(super) fn from_header(
    proto: HeaderMatcher,
    at: &At<'_>,
) -> Result<HeaderMatch, InvalidResource> {
    let HeaderMatcher {
        name,
        invert_match,
        treat_missing_header_as_empty,
        header_match_specifier,
    } = proto;
    let text = |text| Ok((ValueMatch::Text(text), false));
    let (value, absent) = match header_match_specifier {
        None => Ok((ValueMatch::Present, false)),
        Some(HeaderMatchSpecifier::PresentMatch(present)) => Ok((ValueMatch::Present, !present)),
        Some(HeaderMatchSpecifier::StringMatch(matcher)) => {
            text(from_string(matcher, &at.field("string_match"))?)
        }
        Some(HeaderMatchSpecifier::ExactMatch(value)) => text(StringMatch::Exact(value.into())),
        Some(HeaderMatchSpecifier::PrefixMatch(value)) => text(StringMatch::Prefix(value.into())),
        Some(HeaderMatchSpecifier::SuffixMatch(value)) => text(StringMatch::Suffix(value.into())),
        Some(HeaderMatchSpecifier::SafeRegexMatch(matcher)) => text(StringMatch::Regex(
            from_regex(matcher, &at.field("safe_regex_match"))?.into(),
        )),
        Some(HeaderMatchSpecifier::RangeMatch(_)) => Err(at.field("range_match").unsupported()),
        Some(HeaderMatchSpecifier::ContainsMatch(_)) => {
            Err(at.field("contains_match").unsupported())
        }
    }?;
    if matches!(value, ValueMatch::Text(_)) && treat_missing_header_as_empty != invert_match {
        return Err(at
            .field("treat_missing_header_as_empty")
            .value("must be set with invert_match, and only then"));
    }
    Ok(HeaderMatch {
        name: name.to_ascii_lowercase().into(),
        value,
        invert: invert_match != absent,
    })
}

pub(super) fn query(value: &QueryMatch) -> QueryParameterMatcher {
    let QueryMatch { name, value } = value;
    QueryParameterMatcher {
        name: name.to_string(),
        query_parameter_match_specifier: Some(match value {
            ValueMatch::Present => QueryParameterMatchSpecifier::PresentMatch(true),
            ValueMatch::Text(text) => QueryParameterMatchSpecifier::StringMatch(string(text)),
        }),
    }
}

pub(super) fn from_query(
    proto: QueryParameterMatcher,
    at: &At<'_>,
) -> Result<QueryMatch, InvalidResource> {
    let QueryParameterMatcher {
        name,
        query_parameter_match_specifier,
    } = proto;
    let value = match query_parameter_match_specifier {
        None | Some(QueryParameterMatchSpecifier::PresentMatch(true)) => ValueMatch::Present,
        Some(QueryParameterMatchSpecifier::PresentMatch(false)) => {
            return Err(at.field("present_match").unsupported());
        }
        Some(QueryParameterMatchSpecifier::StringMatch(matcher)) => {
            ValueMatch::Text(from_string(matcher, &at.field("string_match"))?)
        }
    };
    Ok(QueryMatch {
        name: name.into(),
        value,
    })
}

pub(super) fn string(value: &StringMatch) -> StringMatcher {
    StringMatcher {
        ignore_case: false,
        match_pattern: Some(match value {
            StringMatch::Exact(text) => MatchPattern::Exact(text.to_string()),
            StringMatch::Prefix(text) => MatchPattern::Prefix(text.to_string()),
            StringMatch::Suffix(text) => MatchPattern::Suffix(text.to_string()),
            StringMatch::Regex(pattern) => MatchPattern::SafeRegex(regex(pattern)),
        }),
    }
}

pub(super) fn from_string(
    proto: StringMatcher,
    at: &At<'_>,
) -> Result<StringMatch, InvalidResource> {
    open!(at, proto => StringMatcher {
        keep { match_pattern }
        refuse { ignore_case }
        ignore {}
    });
    match match_pattern {
        Some(MatchPattern::Exact(text)) => Ok(StringMatch::Exact(text.into())),
        Some(MatchPattern::Prefix(text)) => Ok(StringMatch::Prefix(text.into())),
        Some(MatchPattern::Suffix(text)) => Ok(StringMatch::Suffix(text.into())),
        Some(MatchPattern::SafeRegex(matcher)) => Ok(StringMatch::Regex(
            from_regex(matcher, &at.field("safe_regex"))?.into(),
        )),
        Some(MatchPattern::Contains(_)) => Err(at.field("contains").unsupported()),
        Some(MatchPattern::Custom(_)) => Err(at.field("custom").unsupported()),
        None => Err(at.missing()),
    }
}

pub(super) fn regex(pattern: &str) -> RegexMatcher {
    RegexMatcher {
        regex: pattern.to_owned(),
        engine_type: None,
    }
}

/// The expression, which must compile: Envoy refuses the whole resource otherwise, and so the last good one stays.
pub(super) fn from_regex(proto: RegexMatcher, at: &At<'_>) -> Result<String, InvalidResource> {
    let RegexMatcher { regex, engine_type } = proto;
    // Named or not, RE2 is the only engine.
    match engine_type {
        None | Some(EngineType::GoogleRe2(_)) => {}
    }
    check_regex(&regex).map_err(|invalid| at.field("regex").value(invalid.to_string()))?;
    Ok(regex)
}
