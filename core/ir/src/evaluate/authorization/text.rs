//! Comparing a value with patterns; case counts.

use crate::policy::StringPattern;

pub(super) fn is_match(pattern: &StringPattern, value: &[u8]) -> bool {
    match pattern {
        StringPattern::Exact(text) => value == text.as_bytes(),
        StringPattern::Prefix(text) => value.starts_with(text.as_bytes()),
        StringPattern::Suffix(text) => value.ends_with(text.as_bytes()),
        StringPattern::NotEmpty => !value.is_empty(),
    }
}

pub(super) fn any(patterns: &[StringPattern], value: &[u8]) -> bool {
    patterns.iter().any(|pattern| is_match(pattern, value))
}
