//! Hosts of operations: without case, with and without a port, without a trailing dot.

use std::borrow::Cow;

use crate::matching::port_start;
use crate::policy::StringPattern;

/// Whether an authority matches a pattern. What the client adds to a host's name must not lead past a policy: case, a port, a dot at the
/// end.
pub(super) fn is_match(pattern: &StringPattern, authority: &[u8]) -> bool {
    let (whole, host) = spellings(authority);
    compare(pattern, &whole) || (host.len() != whole.len() && compare(pattern, host))
}

/// The authority without a trailing dot of its host: with its port, and without.
pub(super) fn spellings(authority: &[u8]) -> (Cow<'_, [u8]>, &[u8]) {
    let at = port_start(authority).unwrap_or(authority.len());
    let (host, port) = authority.split_at_checked(at).unwrap_or((authority, b""));
    match host.strip_suffix(b".") {
        None => (Cow::Borrowed(authority), host),
        Some(host) if port.is_empty() => (Cow::Borrowed(host), host),
        Some(host) => (Cow::Owned([host, port].concat()), host),
    }
}

/// Patterns are in lower case.
fn compare(pattern: &StringPattern, host: &[u8]) -> bool {
    match pattern {
        StringPattern::Exact(text) => host.eq_ignore_ascii_case(text.as_bytes()),
        StringPattern::Prefix(text) => host
            .get(..text.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(text.as_bytes())),
        StringPattern::Suffix(text) => host
            .len()
            .checked_sub(text.len())
            .and_then(|at| host.get(at..))
            .is_some_and(|tail| tail.eq_ignore_ascii_case(text.as_bytes())),
        StringPattern::NotEmpty => !host.is_empty(),
    }
}
