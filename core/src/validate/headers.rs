//! `headers` of an HTTP rule and of its destinations.

use super::common::header_name;
use super::{At, Violations};
use crate::model::{HeaderOperations, Headers, HttpRewrite};

/// Whether a name is that of the header with the host: `Host`, or `:authority` as HTTP/2 has it.
fn is_host(name: &str) -> bool {
    name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case(":authority")
}

pub(super) fn check(headers: Option<&Headers>, at: &At<'_>, violations: &mut Violations) {
    let Some(Headers { request, response }) = headers else {
        return;
    };
    for (key, operations, may_set_host) in
        [("request", request, true), ("response", response, false)]
    {
        let at = at.key(key);
        let Some(HeaderOperations { set, add, remove }) = operations else {
            continue;
        };
        for (key, headers) in [("set", set), ("add", add)] {
            let at = at.key(key);
            for (name, text) in headers {
                let at = at.key(name);
                violations.check(&at, changed_name(name, may_set_host));
                violations.check(&at, value(text));
            }
        }
        for (position, name) in remove.iter().enumerate() {
            let at = at.key("remove");
            violations.check(&at.index(position), changed_name(name, false));
        }
    }
}

/// Reports a host that is set more than once.
pub(super) fn check_host(
    rewrite: Option<&HttpRewrite>,
    headers: Option<&Headers>,
    at: &At<'_>,
    violations: &mut Violations,
) {
    let mut given = rewrite
        .and_then(|rewrite| rewrite.authority.as_deref())
        .is_some_and(|authority| !authority.is_empty());
    let Some(operations) = headers.and_then(|headers| headers.request.as_ref()) else {
        return;
    };
    for (key, headers) in [("set", &operations.set), ("add", &operations.add)] {
        for name in headers.keys().filter(|name| is_host(name)) {
            if given {
                let at = at.key("headers");
                let at = at.key("request");
                let at = at.key(key);
                violations.add(&at.key(name), "the host is set more than once");
            }
            given = true;
        }
    }
}

/// A header that a rule may change. The path, the method and the scheme have fields of their own.
fn changed_name(name: &str, may_set_host: bool) -> Result<(), String> {
    if is_host(name) {
        return if may_set_host {
            Ok(())
        } else {
            Err(format!("the header {name} cannot be changed here"))
        };
    }
    if name.starts_with(':') {
        return Err(format!(
            "{name:?} is a part of the request and cannot be changed as a header"
        ));
    }
    header_name(name)
}

/// A value without control characters, in which each `%` begins or ends one of Envoy's operators, or is written twice.
fn value(text: &str) -> Result<(), String> {
    if text.chars().any(|c| c.is_ascii_control() && c != '\t') {
        return Err("the value has a line break or another control character".to_owned());
    }
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('%') {
        let Some(after) = after.strip_prefix('%').or_else(|| after_operator(after)) else {
            return Err(format!(
                "{text:?} has a % that is no part of an operator such as %REQ(x-name)%; write %% for the character"
            ));
        };
        rest = after;
    }
    Ok(())
}

/// What follows an operator: `NAME%`, or `NAME(arguments)%` with a length before the last `%`, as in `REQ(x-name):10%`.
fn after_operator(text: &str) -> Option<&str> {
    let named = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let rest = text.trim_start_matches(named);
    if rest.len() == text.len() {
        return None;
    }
    let rest = match rest.strip_prefix('(') {
        // Formats of times have percent signs of their own.
        Some(arguments) => arguments.split_once(')')?.1,
        None => rest,
    };
    let rest = match rest.strip_prefix(':') {
        Some(length) => length.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    };
    rest.strip_prefix('%')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_in_values() {
        for text in [
            "",
            "plain",
            "100%%",
            "%HOSTNAME%",
            "a %REQ(x-b)% c",
            "%REQ(:path):10%",
            "%START_TIME(%s)%",
        ] {
            assert_eq!(value(text), Ok(()), "{text}");
        }
        for text in ["abc%123", "%START_TIME%%", "50%", "a\nb"] {
            assert!(value(text).is_err(), "{text}");
        }
    }
}
