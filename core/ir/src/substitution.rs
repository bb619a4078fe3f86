//! Envoy's command operators in header values: `%REQ(x-user)%`.
//!
//! A value that is added to a header is a format: operators in it are replaced, and a percent sign that is none is doubled. What users
//! write in a `VirtualService` is taken the same way, but a percent sign on its own stands for itself instead of making Envoy refuse the
//! whole resource.

use std::borrow::Cow;

/// What an operator takes in parentheses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Argument {
    /// Nothing.
    No,
    /// Something or nothing.
    Optional,
    /// Something; then its value may be cut to a length, too.
    Required,
}

/// Operators of Envoy that make sense in a header.
const OPERATORS: [(&str, Argument); 72] = [
    ("ACCESS_LOG_TYPE", Argument::No),
    ("BYTES_RECEIVED", Argument::No),
    ("BYTES_SENT", Argument::No),
    ("CLUSTER_METADATA", Argument::Required),
    ("CONNECTION_ID", Argument::No),
    ("CONNECTION_TERMINATION_DETAILS", Argument::No),
    ("DOWNSTREAM_DIRECT_LOCAL_ADDRESS", Argument::No),
    ("DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT", Argument::No),
    ("DOWNSTREAM_DIRECT_LOCAL_PORT", Argument::No),
    ("DOWNSTREAM_DIRECT_REMOTE_ADDRESS", Argument::No),
    (
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
        Argument::No,
    ),
    ("DOWNSTREAM_DIRECT_REMOTE_PORT", Argument::No),
    ("DOWNSTREAM_LOCAL_ADDRESS", Argument::No),
    ("DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", Argument::No),
    ("DOWNSTREAM_LOCAL_DNS_SAN", Argument::No),
    ("DOWNSTREAM_LOCAL_EMAIL_SAN", Argument::No),
    ("DOWNSTREAM_LOCAL_IP_SAN", Argument::No),
    ("DOWNSTREAM_LOCAL_PORT", Argument::No),
    ("DOWNSTREAM_LOCAL_SUBJECT", Argument::No),
    ("DOWNSTREAM_LOCAL_URI_SAN", Argument::No),
    ("DOWNSTREAM_PEER_CERT", Argument::No),
    ("DOWNSTREAM_PEER_CERT_V_END", Argument::Optional),
    ("DOWNSTREAM_PEER_CERT_V_START", Argument::Optional),
    ("DOWNSTREAM_PEER_DNS_SAN", Argument::No),
    ("DOWNSTREAM_PEER_FINGERPRINT_1", Argument::No),
    ("DOWNSTREAM_PEER_FINGERPRINT_256", Argument::No),
    ("DOWNSTREAM_PEER_IP_SAN", Argument::No),
    ("DOWNSTREAM_PEER_ISSUER", Argument::No),
    ("DOWNSTREAM_PEER_SERIAL", Argument::No),
    ("DOWNSTREAM_PEER_SUBJECT", Argument::No),
    ("DOWNSTREAM_PEER_URI_SAN", Argument::No),
    ("DOWNSTREAM_REMOTE_ADDRESS", Argument::No),
    ("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", Argument::No),
    ("DOWNSTREAM_REMOTE_PORT", Argument::No),
    ("DOWNSTREAM_TLS_CIPHER", Argument::No),
    ("DOWNSTREAM_TLS_SESSION_ID", Argument::No),
    ("DOWNSTREAM_TLS_VERSION", Argument::No),
    ("DOWNSTREAM_TRANSPORT_FAILURE_REASON", Argument::No),
    ("DURATION", Argument::No),
    ("DYNAMIC_METADATA", Argument::Required),
    ("ENVIRONMENT", Argument::Required),
    ("FILTER_CHAIN_NAME", Argument::No),
    ("FILTER_STATE", Argument::Required),
    ("GRPC_STATUS", Argument::Optional),
    ("GRPC_STATUS_NUMBER", Argument::No),
    ("HOSTNAME", Argument::No),
    ("PROTOCOL", Argument::No),
    ("REQ", Argument::Required),
    ("REQUESTED_SERVER_NAME", Argument::Optional),
    ("REQUEST_HEADERS_BYTES", Argument::No),
    ("RESP", Argument::Required),
    ("RESPONSE_CODE", Argument::No),
    ("RESPONSE_CODE_DETAILS", Argument::Optional),
    ("RESPONSE_DURATION", Argument::No),
    ("RESPONSE_FLAGS", Argument::No),
    ("RESPONSE_HEADERS_BYTES", Argument::No),
    ("ROUTE_NAME", Argument::No),
    ("START_TIME", Argument::Optional),
    ("STREAM_ID", Argument::No),
    ("TRACE_ID", Argument::No),
    ("TRAILER", Argument::Required),
    ("UPSTREAM_CLUSTER", Argument::No),
    ("UPSTREAM_CLUSTER_RAW", Argument::No),
    ("UPSTREAM_HOST", Argument::No),
    ("UPSTREAM_LOCAL_ADDRESS", Argument::No),
    ("UPSTREAM_METADATA", Argument::Required),
    ("UPSTREAM_PEER_URI_SAN", Argument::No),
    ("UPSTREAM_REMOTE_ADDRESS", Argument::No),
    ("UPSTREAM_REMOTE_PORT", Argument::No),
    ("UPSTREAM_REQUEST_ATTEMPT_COUNT", Argument::No),
    ("UPSTREAM_TRANSPORT_FAILURE_REASON", Argument::No),
    ("VIRTUAL_CLUSTER_NAME", Argument::No),
];

/// The format of a text in which operators count and every other percent sign stands for itself. `%%` stays as it is.
pub fn to_format(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 1);
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        let length = if tail.starts_with("%%") {
            Some(2)
        } else {
            operator(tail)
        };
        match length.and_then(|length| tail.split_at_checked(length)) {
            Some((operator, after)) => {
                out.push_str(operator);
                rest = after;
            }
            None => {
                out.push_str("%%");
                rest = tail.get(1..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The length of the operator that a text begins with, both percent signs included: `%NAME(ARGUMENT):LENGTH%`.
fn operator(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('%')?;
    let end = inside.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))?;
    let (name, mut rest) = inside.split_at_checked(end)?;
    let (_, takes) = OPERATORS.iter().find(|(known, _)| *known == name)?;
    let mut argument = "";
    if let Some(after) = rest.strip_prefix('(') {
        (argument, rest) = after.split_once(')')?;
    }
    let fits = match takes {
        Argument::No => argument.is_empty(),
        Argument::Optional => true,
        Argument::Required => !argument.is_empty(),
    };
    if *takes == Argument::Required
        && let Some(after) = rest.strip_prefix(':')
    {
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
        if rest.len() == after.len() {
            return None;
        }
    }
    let rest = rest.strip_prefix('%')?;
    fits.then_some(text.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        assert_eq!(to_format(text), expect);
        assert_eq!(to_format(expect), expect, "a format stays as it is");
    }

    #[test]
    fn operators_stay_operators() {
        check("%REQ(x-b)%", "%REQ(x-b)%");
        check(
            "a %REQ(:path?x-b):12%-%PROTOCOL%!",
            "a %REQ(:path?x-b):12%-%PROTOCOL%!",
        );
        check("%START_TIME(%Y-%m-%d)%", "%START_TIME(%Y-%m-%d)%");
    }

    #[test]
    fn other_percent_signs_stand_for_themselves() {
        check("100%", "100%%");
        check("100%%", "100%%");
        check("50%OFF%", "50%%OFF%%");
        check("%REQ%", "%%REQ%%");
        check("%REQ(x%", "%%REQ(x%%");
        check("%PROTOCOL(x)%", "%%PROTOCOL(x)%%");
        check("%req(x)%", "%%req(x)%%");
        check("%20%PROTOCOL%", "%%20%PROTOCOL%");
        check("é%", "é%%");
    }

    #[test]
    fn operators_are_sorted() {
        assert!(OPERATORS.is_sorted_by_key(|(name, _)| *name));
    }
}
