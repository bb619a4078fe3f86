//! Names of headers in lists of patterns.

use std::sync::Arc;

use envoy_types::pb::envoy::r#type::matcher::v3::{
    ListStringMatcher, StringMatcher, string_matcher::MatchPattern,
};
use mesh_ir::policy::StringPattern;

use crate::resource::border::{At, InvalidResource};
use crate::resource::header_match;

/// Names of headers, without case; none where there are none.
pub(super) fn names(names: &[StringPattern]) -> Option<ListStringMatcher> {
    (!names.is_empty()).then(|| all_names(names))
}

pub(super) fn all_names(names: &[StringPattern]) -> ListStringMatcher {
    let pattern = |name: &StringPattern| {
        let (ignore_case, pattern) = match name {
            StringPattern::Exact(text) => (true, MatchPattern::Exact(text.to_string())),
            StringPattern::Prefix(text) => (true, MatchPattern::Prefix(text.to_string())),
            StringPattern::Suffix(text) => (true, MatchPattern::Suffix(text.to_string())),
            StringPattern::NotEmpty => (false, MatchPattern::SafeRegex(header_match::regex(".+"))),
        };
        StringMatcher {
            ignore_case,
            match_pattern: Some(pattern),
        }
    };
    ListStringMatcher {
        patterns: names.iter().map(pattern).collect(),
    }
}

/// Names of headers come in lower case, so that case is no matter.
pub(super) fn from_names(
    proto: Option<ListStringMatcher>,
    at: &At<'_>,
) -> Result<Option<Vec<StringPattern>>, InvalidResource> {
    let Some(ListStringMatcher { patterns }) = proto else {
        return Ok(None);
    };
    let from_one = |pattern: StringMatcher, at: &At<'_>| {
        let lower = |text: &str| Arc::from(text.to_ascii_lowercase());
        Ok(match pattern.match_pattern {
            Some(MatchPattern::Exact(name)) => StringPattern::Exact(lower(&name)),
            Some(MatchPattern::Prefix(name)) => StringPattern::Prefix(lower(&name)),
            Some(MatchPattern::Suffix(name)) => StringPattern::Suffix(lower(&name)),
            Some(MatchPattern::SafeRegex(regex)) if [".+", ".*"].contains(&&*regex.regex) => {
                StringPattern::NotEmpty
            }
            _ => {
                let message = "names of headers can be compared by exact, prefix and suffix only";
                return Err(at.value(message));
            }
        })
    };
    at.list("patterns", patterns, from_one).map(Some)
}
