//! Cross-origin requests: what pages of other origins may read, and what preflights are answered with.

use std::sync::Arc;

use super::http::is_preflight;
use crate::matching::{Matched, RequestView};
use crate::{CorsPolicy, HeaderAppend, HeaderOps, HeaderValue};

/// What sharing makes of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sharing<'a> {
    /// Nothing: it is of no other origin, the route says nothing, or the origin may not read the answer.
    #[default]
    Unshared,
    /// The answer may be read.
    Shared(&'a CorsPolicy),
    /// It is answered with what pages may do, and whether those of its origin may.
    Preflight(&'a CorsPolicy, bool),
}

/// Decides as Envoy's filter does: requests without `Origin` are none of its business.
pub(super) fn share<'a>(matched: &Matched<'a>, request: &impl RequestView) -> Sharing<'a> {
    let Some(policy) = matched.route.policy.cors.as_deref() else {
        return Sharing::Unshared;
    };
    let origin = request.header("origin");
    let Some(origin) = origin.filter(|origin| !origin.is_empty()) else {
        return Sharing::Unshared;
    };
    match (matched.allows_origin(&origin), is_preflight(request)) {
        (true, false) => Sharing::Shared(policy),
        (true, true) => Sharing::Preflight(policy, true),
        (false, true) if !policy.forward_unmatched_preflights => Sharing::Preflight(policy, false),
        (false, _) => Sharing::Unshared,
    }
}

/// The fields that let a page of an origin read an answer.
pub fn shared_headers(policy: &CorsPolicy, origin: &[u8]) -> HeaderOps {
    fields([
        ("allow-origin", text(origin)),
        ("allow-credentials", credentials(policy)),
        ("expose-headers", list(&policy.expose_headers)),
    ])
}

/// The fields of the answer to a preflight of an origin. As in Envoy, one of another origin is told what pages may do, but not that its
/// own may.
pub fn preflight_headers(policy: &CorsPolicy, origin: &[u8], is_allowed: bool) -> HeaderOps {
    let CorsPolicy {
        allow_origins: _,
        allow_methods,
        allow_headers,
        expose_headers,
        max_age,
        allow_credentials: _,
        forward_unmatched_preflights: _,
    } = policy;
    let exposed = list(expose_headers).filter(|_| is_allowed);
    fields([
        ("allow-origin", text(origin).filter(|_| is_allowed)),
        ("allow-credentials", credentials(policy)),
        ("allow-methods", list(allow_methods)),
        ("allow-headers", list(allow_headers)),
        ("max-age", max_age.map(|seconds| seconds.to_string())),
        ("expose-headers", exposed),
    ])
}

fn text(origin: &[u8]) -> Option<String> {
    Some(String::from_utf8_lossy(origin).into_owned())
}

fn credentials(policy: &CorsPolicy) -> Option<String> {
    (policy.allow_credentials == Some(true)).then(|| "true".to_owned())
}

fn fields<const N: usize>(fields: [(&str, Option<String>); N]) -> HeaderOps {
    let set = fields.into_iter().filter_map(|(name, value)| {
        Some(HeaderValue {
            name: ["access-control-", name].concat().into(),
            value: value?.into(),
            append: HeaderAppend::Overwrite,
        })
    });
    HeaderOps {
        set: set.collect(),
        remove: Vec::new(),
    }
}

fn list(names: &[Arc<str>]) -> Option<String> {
    (!names.is_empty()).then(|| names.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::{PlainRequest, RouteTable};
    use crate::{
        DirectResponse, Route, RouteAction, RouteConfig, RouteMatch, RoutePolicy, StringMatch,
        VirtualHost,
    };

    fn policy(origin: StringMatch) -> CorsPolicy {
        CorsPolicy {
            allow_origins: vec![origin],
            allow_methods: vec!["GET".into(), "PUT".into()],
            expose_headers: vec!["x-a".into()],
            max_age: Some(600),
            allow_credentials: Some(true),
            ..CorsPolicy::default()
        }
    }

    fn table(policy: CorsPolicy) -> RouteTable {
        let answer = RouteAction::Direct(DirectResponse {
            code: 200,
            body: "".into(),
        });
        let route = Route {
            policy: RoutePolicy {
                cors: Some(Arc::new(policy)),
                ..RoutePolicy::default()
            },
            ..Route::new(RouteMatch::everything(), answer)
        };
        let host = VirtualHost {
            name: "a".into(),
            domains: vec!["*".into()],
            routes: vec![route],
        };
        let (table, invalid) = RouteTable::compile(Arc::new(RouteConfig {
            name: "80".into(),
            virtual_hosts: vec![Arc::new(host)],
            discovers_virtual_hosts: false,
            ignore_port_in_host: true,
        }));
        assert_eq!(invalid, []);
        table
    }

    #[derive(Debug, PartialEq)]
    enum Expect {
        Unshared,
        Shared,
        Permitted,
        Refused,
    }

    #[track_caller]
    fn check(policy: &CorsPolicy, origin: &str, preflight: bool, expect: Expect) {
        let table = table(policy.clone());
        let mut request = PlainRequest::get("a", "/").with_header("origin", origin);
        if preflight {
            request.method = "OPTIONS".into();
            request = request.with_header("access-control-request-method", "PUT");
        }
        let found = match share(&table.route(&request).unwrap(), &request) {
            Sharing::Unshared => Expect::Unshared,
            Sharing::Shared(_) => Expect::Shared,
            Sharing::Preflight(_, true) => Expect::Permitted,
            Sharing::Preflight(_, false) => Expect::Refused,
        };
        assert_eq!(found, expect);
    }

    #[test]
    fn origins_decide() {
        let known = policy(StringMatch::Exact("https://a.example".into()));
        check(&known, "https://a.example", false, Expect::Shared);
        check(&known, "https://a.example", true, Expect::Permitted);
        check(&known, "https://b.example", false, Expect::Unshared);
        check(&known, "", false, Expect::Unshared);
        let any = policy(StringMatch::Exact("*".into()));
        check(&any, "https://b.example", true, Expect::Permitted);
        let pattern = policy(StringMatch::Regex("https://[a-z]\\.example".into()));
        check(&pattern, "https://b.example", false, Expect::Shared);
        check(&pattern, "https://b.example.org", false, Expect::Unshared);
    }

    #[test]
    fn preflights_of_other_origins_are_answered_or_passed_on() {
        let answered = policy(StringMatch::Exact("https://a.example".into()));
        check(&answered, "https://b.example", true, Expect::Refused);
        let forwarded = CorsPolicy {
            forward_unmatched_preflights: true,
            ..answered
        };
        check(&forwarded, "https://b.example", true, Expect::Unshared);
    }

    #[test]
    fn fields_are_those_of_envoy() {
        let show = |ops: HeaderOps| -> Vec<String> {
            let fields = ops.set.iter();
            fields
                .map(|set| format!("{}: {}", set.name, set.value))
                .collect()
        };
        let policy = policy(StringMatch::Exact("*".into()));
        assert_eq!(
            show(shared_headers(&policy, b"https://a.example")),
            [
                "access-control-allow-origin: https://a.example",
                "access-control-allow-credentials: true",
                "access-control-expose-headers: x-a",
            ]
        );
        assert_eq!(
            show(preflight_headers(&policy, b"https://a.example", true)),
            [
                "access-control-allow-origin: https://a.example",
                "access-control-allow-credentials: true",
                "access-control-allow-methods: GET,PUT",
                "access-control-max-age: 600",
                "access-control-expose-headers: x-a",
            ]
        );
        assert_eq!(
            show(preflight_headers(&policy, b"https://b.example", false)),
            [
                "access-control-allow-credentials: true",
                "access-control-allow-methods: GET,PUT",
                "access-control-max-age: 600",
            ]
        );
    }
}
