//! What the answer of an authorizer means.

use std::sync::Arc;

use super::{Ask, among};
use crate::matching::{HeadEdits, RequestView};
use crate::policy::HttpAuthorizer;
use crate::{HeaderAppend, HeaderValue};

/// By this header of its answer an authorizer over HTTP names headers of the request that are removed.
const REMOVES: &str = "x-envoy-auth-headers-to-remove";

/// Headers of an authorizer's answer that concern its connection or its body alone, so that nobody else gets them.
const OF_THE_ANSWER: [&str; 11] = [
    "connection",
    "content-length",
    "date",
    "host",
    "keep-alive",
    "proxy-connection",
    "server",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-envoy-upstream-service-time",
];

/// What authorizers that were asked before have made of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// Policies before this position are decided.
    pub next_stage: usize,
    /// What has become of its head.
    pub edits: HeadEdits,
    /// What of that its route is chosen by: all that was there when an authorizer asked for it (`clear_route_cache`).
    pub routed_by: HeadEdits,
    /// Headers that its answer gets.
    pub response: Vec<HeaderValue>,
}

/// What an authorizer answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckAnswer {
    /// It may go on.
    Allowed(Grant),
    /// It may not.
    Denied(Denial),
    /// The authorizer says that it cannot tell.
    Error,
}

/// What an authorizer that allows a request makes of it. Names are in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// Headers of the request that are removed.
    pub remove: Vec<Arc<str>>,
    /// Headers that replace those of the request.
    pub set: Vec<(Arc<str>, Vec<u8>)>,
    /// Values that are added to headers of the request, where it has those; as in Envoy, what it does not have is left out.
    pub append: Vec<(Arc<str>, Vec<u8>)>,
    /// Parameters of the query that are replaced or added, by name.
    pub set_parameters: Vec<(Vec<u8>, Vec<u8>)>,
    /// Names of parameters of the query that are removed.
    pub remove_parameters: Vec<Vec<u8>>,
    /// Headers that the answer to the client gets.
    pub response: Vec<HeaderValue>,
}

/// The answer to a request that an authorizer denies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Status code.
    pub code: u16,
    /// Headers.
    pub headers: Vec<HeaderValue>,
    /// Body.
    pub body: Vec<u8>,
}

// === impl CheckAnswer ===

impl CheckAnswer {
    /// What an answer over HTTP means: 200 allows, 5xx says that the authorizer cannot tell, anything else denies and is for the client.
    pub fn of_http<'h>(
        authorizer: &HttpAuthorizer,
        code: u16,
        headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
        body: Vec<u8>,
    ) -> Self {
        match code {
            200 => Self::Allowed(Grant::of_http(authorizer, headers)),
            500.. => Self::Error,
            _ => Self::Denied(Denial {
                code,
                headers: headers
                    .filter_map(|(name, value)| denial_header(authorizer, name, value))
                    .collect(),
                body,
            }),
        }
    }
}

fn denial_header(authorizer: &HttpAuthorizer, name: &[u8], value: &[u8]) -> Option<HeaderValue> {
    /// As in Envoy, clients get these anyway.
    const ANYWAY: [&str; 3] = ["location", "www-authenticate", "proxy-authenticate"];
    let name = lower(name)?;
    let patterns = &authorizer.denial_headers;
    let is_told = patterns.is_empty() || ANYWAY.contains(&&*name) || among(patterns, &name);
    let is_own = OF_THE_ANSWER.contains(&&*name);
    (is_told && !is_own).then(|| header(name, value, HeaderAppend::Append))
}

fn header(name: Arc<str>, value: &[u8], append: HeaderAppend) -> HeaderValue {
    HeaderValue {
        name,
        value: String::from_utf8_lossy(value).into(),
        append,
    }
}

fn lower(name: &[u8]) -> Option<Arc<str>> {
    let text = std::str::from_utf8(name).ok()?;
    Some(text.to_ascii_lowercase().into())
}

// === impl Grant ===

impl Grant {
    fn of_http<'h>(
        authorizer: &HttpAuthorizer,
        headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
    ) -> Self {
        let mut grant = Self::default();
        for (name, value) in headers {
            let Some(name) = lower(name) else { continue };
            if *name == *REMOVES {
                let names = value.split(|byte| *byte == b',');
                let names = names.filter_map(|name| lower(name.trim_ascii()));
                grant.remove.extend(names.filter(|name| !name.is_empty()));
                continue;
            }
            if OF_THE_ANSWER.contains(&&*name) {
                continue;
            }
            if among(&authorizer.success_headers, &name) {
                let told = header(name.clone(), value, HeaderAppend::Append);
                grant.response.push(told);
            }
            if among(&authorizer.upstream_headers, &name) {
                grant.set.push((name, value.to_vec()));
            } else if among(&authorizer.appended_headers, &name) {
                grant.append.push((name, value.to_vec()));
            }
        }
        grant
    }
}

// === impl Granted ===

impl Granted {
    /// The same after another authorizer has allowed the request, which it was asked about as it is by now. What may not be changed by
    /// anybody (pseudo-headers, `host`) stays.
    pub fn allow(&mut self, ask: Ask<'_>, grant: Grant, request: &impl RequestView) {
        let Grant {
            remove,
            set,
            append,
            set_parameters,
            remove_parameters,
            response,
        } = grant;
        self.next_stage = ask.stage + 1;
        let may_change = |name: &str| !name.starts_with(':') && name != "host";
        for (name, value) in set.into_iter().filter(|(name, _)| may_change(name)) {
            self.edits.set(&name, value);
        }
        for (name, value) in append.into_iter().filter(|(name, _)| may_change(name)) {
            let known = match self.edits.value(&name) {
                Some(value) => Some(value.to_vec()),
                None if self.edits.drops(name.as_bytes()) => None,
                None => request.header(&name).map(std::borrow::Cow::into_owned),
            };
            if let Some(known) = known {
                self.edits.set(&name, [&*known, b",", &*value].concat());
            }
        }
        for name in remove.iter().filter(|name| may_change(name)) {
            self.edits.unset(name);
        }
        if !set_parameters.is_empty() || !remove_parameters.is_empty() {
            let before = match &self.edits.query {
                Some(query) => query.as_deref(),
                None => request.query(),
            };
            let query = changed_query(before, &set_parameters, &remove_parameters);
            self.edits.query = Some(query);
        }
        self.response.extend(response);
        if ask.provider.clear_route_cache {
            self.routed_by = self.edits.clone();
        }
    }

    /// The same after an authorizer could not be asked, which lets requests pass then.
    pub fn pass(&mut self, ask: Ask<'_>) {
        self.next_stage = ask.stage + 1;
        if ask.provider.tells_failure {
            let name = "x-envoy-auth-failure-mode-allowed".into();
            self.edits.set(&name, "true");
        }
    }
}

/// A query with parameters replaced and removed; none if nothing is left of it.
fn changed_query(
    query: Option<&[u8]>,
    set: &[(Vec<u8>, Vec<u8>)],
    remove: &[Vec<u8>],
) -> Option<Vec<u8>> {
    let parts = query
        .into_iter()
        .flat_map(|query| query.split(|byte| *byte == b'&'));
    let stays = |part: &&[u8]| {
        let name = part.split(|byte| *byte == b'=').next().unwrap_or_default();
        !remove.iter().any(|removed| **removed == *name)
            && !set.iter().any(|(set, _)| **set == *name)
    };
    let mut parts: Vec<Vec<u8>> = parts.filter(stays).map(<[u8]>::to_vec).collect();
    parts.extend(
        set.iter()
            .map(|(name, value)| [&**name, b"=", &**value].concat()),
    );
    (!parts.is_empty()).then(|| parts.join(&b'&'))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ConfigRef;
    use crate::evaluate::RuleId;
    use crate::matching::PlainRequest;
    use crate::policy::{ExternalAuthorizer, StringPattern};

    type Fields<'a> = &'a [(&'a str, &'a str)];

    fn answer(authorizer: &HttpAuthorizer, code: u16, fields: Fields<'_>) -> CheckAnswer {
        let fields = fields.iter();
        let fields = fields.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        CheckAnswer::of_http(authorizer, code, fields, b"body".to_vec())
    }

    fn patterns(texts: &[&str]) -> Vec<StringPattern> {
        texts
            .iter()
            .map(|text| StringPattern::parse(text))
            .collect()
    }

    fn told(headers: &[HeaderValue]) -> String {
        let headers = headers.iter();
        let lines = headers.map(|header| format!("{}: {}", header.name, header.value));
        lines.collect::<Vec<_>>().join(", ")
    }

    fn rule() -> RuleId {
        RuleId {
            policy: ConfigRef {
                api_version: "v1".into(),
                kind: "k".into(),
                namespace: "ns".into(),
                name: "n".into(),
            },
            index: 0,
            name: "rule".into(),
            denial_details: "".into(),
        }
    }

    #[track_caller]
    fn denied(authorizer: &HttpAuthorizer, code: u16, fields: Fields<'_>) -> String {
        match answer(authorizer, code, fields) {
            CheckAnswer::Denied(denial) => format!("{} {}", denial.code, told(&denial.headers)),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn granted(authorizer: &HttpAuthorizer, fields: Fields<'_>) -> Grant {
        match answer(authorizer, 200, fields) {
            CheckAnswer::Allowed(grant) => grant,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn anything_but_200_and_5xx_denies_and_is_for_the_client() {
        let all = HttpAuthorizer::default();
        let some = HttpAuthorizer {
            denial_headers: patterns(&["x-why*"]),
            ..HttpAuthorizer::default()
        };
        let fields = [
            ("X-Why-Not", "because"),
            ("x-other", "1"),
            ("Location", "/login"),
            ("content-length", "4"),
            ("server", "check"),
        ];
        assert_eq!(
            denied(&all, 302, &fields),
            "302 x-why-not: because, x-other: 1, location: /login"
        );
        assert_eq!(
            denied(&some, 401, &fields),
            "401 x-why-not: because, location: /login"
        );
        assert_eq!(denied(&some, 201, &[]), "201 ");
        for code in [500, 503, 599] {
            assert_eq!(answer(&all, code, &fields), CheckAnswer::Error);
        }
    }

    #[test]
    fn what_is_taken_over_of_an_answer_that_allows_is_named() {
        let authorizer = HttpAuthorizer {
            upstream_headers: patterns(&["x-user", "*-id"]),
            appended_headers: patterns(&["x-roles"]),
            success_headers: patterns(&["set-cookie"]),
            ..HttpAuthorizer::default()
        };
        let fields = [
            ("X-User", "jo"),
            ("x-team-id", "7"),
            ("x-roles", "admin"),
            ("set-cookie", "a=b"),
            ("x-other", "no"),
            ("x-envoy-auth-headers-to-remove", "x-secret, X-More"),
        ];
        let grant = granted(&authorizer, &fields);
        assert_eq!(told(&grant.response), "set-cookie: a=b");
        let provider = ExternalAuthorizer {
            clear_route_cache: true,
            ..ExternalAuthorizer::grpc("p".into(), "c".into(), Duration::from_secs(1))
        };
        let rule = rule();
        let ask = Ask {
            provider: &provider,
            rule: &rule,
            stage: 3,
        };
        let request = PlainRequest::get("a", "/x?a=1&b=2&c=3").with_header("x-roles", "user");
        let mut granted = Granted::default();
        granted.allow(
            ask,
            Grant {
                set_parameters: vec![(b"b".to_vec(), b"4".to_vec())],
                remove_parameters: vec![b"a".to_vec()],
                ..grant
            },
            &request,
        );
        assert_eq!(granted.next_stage, 4);
        let of = |name| granted.edits.value(name).map(<[u8]>::to_vec);
        assert_eq!(of("x-user"), Some(b"jo".to_vec()));
        assert_eq!(of("x-team-id"), Some(b"7".to_vec()));
        assert_eq!(of("x-roles"), Some(b"user,admin".to_vec()));
        assert_eq!(of("x-other"), None);
        assert!(granted.edits.drops(b"x-secret") && granted.edits.drops(b"x-more"));
        assert_eq!(granted.edits.query, Some(Some(b"c=3&b=4".to_vec())));
        assert_eq!(granted.routed_by, granted.edits);
    }

    #[test]
    fn nobody_changes_where_a_request_goes_and_what_is_not_there_is_not_added_to() {
        let provider = ExternalAuthorizer::grpc("p".into(), "c".into(), Duration::from_secs(1));
        let rule = rule();
        let ask = Ask {
            provider: &provider,
            rule: &rule,
            stage: 0,
        };
        let mut granted = Granted::default();
        let grant = Grant {
            set: vec![
                (":path".into(), b"/admin".to_vec()),
                ("host".into(), b"b".to_vec()),
            ],
            append: vec![("x-none".into(), b"1".to_vec())],
            remove: vec!["host".into(), "x-gone".into()],
            ..Grant::default()
        };
        granted.allow(ask, grant, &PlainRequest::get("a", "/"));
        assert!(granted.edits.set.is_empty());
        assert_eq!(granted.edits.remove, ["x-gone".into()]);
        assert_eq!(granted.routed_by, HeadEdits::default());
    }

    #[test]
    fn what_an_authorizer_is_told_depends_on_how_it_is_asked() {
        let grpc = ExternalAuthorizer::grpc("p".into(), "c".into(), Duration::from_secs(1));
        let http = ExternalAuthorizer {
            protocol: crate::policy::ExternalAuthorizerProtocol::Http(HttpAuthorizer::default()),
            ..grpc.clone()
        };
        let some = |of: &ExternalAuthorizer| ExternalAuthorizer {
            request_headers: Some(patterns(&["x-*", "cookie"])),
            hidden_headers: patterns(&["x-secret"]),
            ..of.clone()
        };
        let (some_grpc, some_http) = (some(&grpc), some(&http));
        let all = [&grpc, &http, &some_grpc, &some_http];
        for (name, expected) in [
            ("authorization", [true, true, false, true]),
            ("x-user", [true, false, true, true]),
            ("cookie", [true, false, true, true]),
            ("accept", [true, false, false, false]),
            ("x-secret", [true, false, false, false]),
        ] {
            assert_eq!(all.map(|one| one.is_told(name)), expected, "{name}");
        }
    }
}
