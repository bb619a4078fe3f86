//! `corsPolicy` of an HTTP rule.

use super::common::{duration, header_name, string_match};
use super::{At, Violations};
use crate::model::{CorsPolicy, StringMatch};

/// Methods that HTTP defines.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE",
];

pub(super) fn check(cors: &CorsPolicy, at: &At<'_>, violations: &mut Violations) {
    let CorsPolicy {
        allow_origin,
        allow_origins,
        allow_methods,
        allow_headers,
        expose_headers,
        max_age,
        allow_credentials: _,
        unmatched_preflights: _,
    } = cors;
    if !allow_origin.is_empty() {
        violations.warn_hint(
            &at.key("allowOrigin"),
            "allowOrigin is deprecated",
            "set allowOrigins with exact, prefix or regex",
        );
    }
    for (position, origin) in allow_origins.iter().enumerate() {
        let key = at.key("allowOrigins");
        let at = key.index(position);
        if *origin == StringMatch::default() || origin.exact.as_deref() == Some("") {
            violations.add(&at, "one of exact, prefix and regex is missing");
        }
        string_match(origin, &at, violations);
    }
    for (position, method) in allow_methods.iter().enumerate() {
        if method != "*" && !METHODS.contains(&method.as_str()) {
            let at = at.key("allowMethods");
            let message = format!("{method:?} is not a method; {} are", METHODS.join(", "));
            violations.add(&at.index(position), message);
        }
    }
    for (key, names) in [
        ("allowHeaders", allow_headers),
        ("exposeHeaders", expose_headers),
    ] {
        for (position, name) in names.iter().enumerate() {
            if name != "*" {
                violations.check(&at.key(key).index(position), header_name(name));
            }
        }
    }
    if let Some(age) = max_age {
        let at = at.key("maxAge");
        violations.check(&at, duration(*age, false));
        if age.0.subsec_nanos() > 0 {
            violations.add(&at, format!("{age} is finer than seconds"));
        }
    }
}
