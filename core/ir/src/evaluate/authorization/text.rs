//! Comparing a value with patterns; case counts.

use crate::policy::StringPattern;

pub(super) fn any(patterns: &[StringPattern], value: &[u8]) -> bool {
    patterns.iter().any(|pattern| pattern.is_match(value))
}
