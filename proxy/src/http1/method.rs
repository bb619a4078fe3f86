//! Methods.
//!
//! They are compared letter by letter (RFC 9110, 9.1), so that `get` is another method than `GET`, which no policy about `GET` matches. There
//! are servers all the same that take one for the other. Therefore what is not in this list is refused, as Envoy does with HTTP/1.1: an
//! unknown method has no meaning that routes, policies and endpoints would agree on.

/// The registered methods, and those that are older than the register; the usual ones first.
const METHODS: [&str; 44] = [
    "GET",
    "POST",
    "PUT",
    "DELETE",
    "HEAD",
    "OPTIONS",
    "PATCH",
    "CONNECT",
    "TRACE",
    "QUERY",
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "COPY",
    "LABEL",
    "LINK",
    "LOCK",
    "M-SEARCH",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "NOTIFY",
    "ORDERPATCH",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "REBIND",
    "REPORT",
    "SEARCH",
    "SOURCE",
    "SUBSCRIBE",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UNSUBSCRIBE",
    "UPDATE",
    "VERSION-CONTROL",
];

/// Whether this is a method that is served.
#[inline]
pub(crate) fn is_method(method: &[u8]) -> bool {
    METHODS.iter().any(|known| known.as_bytes() == method)
}

/// Whether bytes begin with a method and the space behind it; none if there are too few to tell.
pub(crate) fn begins_with_method(bytes: &[u8]) -> Option<bool> {
    match bytes.iter().position(|byte| *byte == b' ') {
        Some(end) => Some(bytes.get(..end).is_some_and(is_method)),
        None => {
            let begins = METHODS
                .iter()
                .any(|known| known.as_bytes().starts_with(bytes));
            if begins { None } else { Some(false) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_compared_letter_by_letter() {
        for method in METHODS {
            assert!(is_method(method.as_bytes()), "{method}");
            assert!(!is_method(method.to_lowercase().as_bytes()), "{method}");
        }
        for method in ["", "FOO", "GETX", "GE", "Get", "PRI"] {
            assert!(!is_method(method.as_bytes()), "{method}");
        }
    }

    #[test]
    fn http_is_recognised_by_its_methods() {
        for (bytes, expected) in [
            ("GET / HTTP/1.1\r\n", Some(true)),
            ("PROPFIND / HTTP/1.1\r\n", Some(true)),
            ("PATC", None),
            ("", None),
            ("PRI * HTTP/2.0", Some(false)),
            ("\u{16}\u{3}\u{1}", Some(false)),
            ("GETX", Some(false)),
            ("get / HTTP/1.1", Some(false)),
            (" / HTTP/1.1", Some(false)),
        ] {
            assert_eq!(begins_with_method(bytes.as_bytes()), expected, "{bytes}");
        }
    }
}
