//! Descriptors: what rate limits know of a request.

mod answer;

pub use answer::{LimitStatus, RateLimitAnswer};

use std::borrow::Cow;
use std::sync::Arc;

use super::remote::{RemoteAddress, remote_address};
use crate::matching::{HeaderCriteria, InvalidRegex, RequestView};
use crate::policy::{RateLimitAction, RateLimitRule};

/// Keys with values, in their order.
pub type Descriptor<'a> = Vec<(&'a str, Cow<'a, str>)>;

/// What descriptors are made from, compiled.
#[derive(Clone, Debug, Default)]
pub struct RateLimitRules(Box<[Rule]>);

/// What is known of a request beyond its head.
#[derive(Clone, Copy, Debug)]
pub struct RateLimitFacts<'a> {
    /// The peer's address.
    pub peer: std::net::IpAddr,
    /// How the client's address is told.
    pub remote_address: RemoteAddress,
    /// The proxy's own service cluster.
    pub source_cluster: &'a str,
    /// Where the request goes; none if it is not forwarded.
    pub destination_cluster: Option<&'a str>,
}

#[derive(Clone, Debug)]
struct Rule {
    stage: u32,
    actions: Box<[(RateLimitAction, HeaderCriteria)]>,
}

// === impl RateLimitRules ===

impl RateLimitRules {
    /// Compiles rules.
    ///
    /// # Errors
    /// When a header is compared with something that is no expression.
    pub fn new(rules: &[RateLimitRule]) -> Result<Self, InvalidRegex> {
        let compile = |action: &RateLimitAction| {
            let headers = match action {
                RateLimitAction::HeaderValueMatch { headers, .. } => headers.as_slice(),
                _ => &[],
            };
            Ok((action.clone(), HeaderCriteria::new(headers)?))
        };
        let rules = rules.iter().map(|rule| {
            let actions = rule.actions.iter().map(compile);
            Ok(Rule {
                stage: rule.stage,
                actions: actions.collect::<Result<_, InvalidRegex>>()?,
            })
        });
        Ok(Self(rules.collect::<Result<_, _>>()?))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The descriptors of a request for filters of a stage.
    pub fn descriptors<'a>(
        &'a self,
        stage: u32,
        facts: RateLimitFacts<'a>,
        request: &'a impl RequestView,
    ) -> impl Iterator<Item = Descriptor<'a>> {
        self.0
            .iter()
            .filter(move |rule| rule.stage == stage)
            .filter_map(move |rule| rule.descriptor(facts, request))
            .filter(|descriptor| !descriptor.is_empty())
    }
}

// === impl Rule ===

impl Rule {
    /// None where an entry has no value.
    fn descriptor<'a>(
        &'a self,
        facts: RateLimitFacts<'a>,
        request: &'a impl RequestView,
    ) -> Option<Descriptor<'a>> {
        let mut entries = Descriptor::new();
        for (action, criteria) in &self.actions {
            let entry = match action {
                RateLimitAction::SourceCluster => {
                    Some(("source_cluster", facts.source_cluster.into()))
                }
                RateLimitAction::DestinationCluster => {
                    Some(("destination_cluster", facts.destination_cluster?.into()))
                }
                RateLimitAction::RemoteAddress => {
                    let client = remote_address(facts.remote_address, facts.peer, request);
                    Some(("remote_address", client.to_canonical().to_string().into()))
                }
                RateLimitAction::RequestHeader {
                    name,
                    key,
                    skip_if_absent,
                } => match value(request, name) {
                    Some(value) => Some((&**key, value)),
                    None if *skip_if_absent => None,
                    None => return None,
                },
                RateLimitAction::GenericKey { key, value } => {
                    Some((named(key, "generic_key"), (&**value).into()))
                }
                RateLimitAction::HeaderValueMatch {
                    key,
                    value,
                    expect_match,
                    headers: _,
                } => {
                    if criteria.is_match(request) != *expect_match {
                        return None;
                    }
                    Some((named(key, "header_match"), (&**value).into()))
                }
            };
            entries.extend(entry);
        }
        Some(entries)
    }
}

fn named<'a>(key: &'a Arc<str>, default: &'a str) -> &'a str {
    if key.is_empty() { default } else { key }
}

/// A header, or a part of the request's first line under its name in Envoy. Bytes that are not UTF-8 are replaced.
fn value<'a>(request: &'a impl RequestView, name: &str) -> Option<Cow<'a, str>> {
    let text = |bytes: &'a [u8]| Some(String::from_utf8_lossy(bytes));
    match name {
        ":method" => text(request.method()),
        ":authority" | "host" => text(request.authority()),
        ":scheme" => text(request.scheme()),
        ":path" => Some(match request.query() {
            None => String::from_utf8_lossy(request.path()),
            Some(query) => {
                let whole = [request.path(), b"?", query].concat();
                String::from_utf8_lossy(&whole).into_owned().into()
            }
        }),
        _ => {
            let value = request.header(name)?;
            Some(match value {
                Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
                Cow::Owned(bytes) => String::from_utf8_lossy(&bytes).into_owned().into(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::PlainRequest;
    use crate::{HeaderMatch, StringMatch, ValueMatch};

    #[track_caller]
    fn check(actions: Vec<RateLimitAction>, request: &PlainRequest, expect: &[&str]) {
        let rule = RateLimitRule { stage: 0, actions };
        let other_stage = RateLimitRule {
            stage: 1,
            ..rule.clone()
        };
        let rules = RateLimitRules::new(&[rule, other_stage]).unwrap();
        let facts = RateLimitFacts {
            peer: "10.0.0.1".parse().unwrap(),
            remote_address: RemoteAddress::default(),
            source_cluster: "web.shop",
            destination_cluster: Some("outbound|80||api"),
        };
        let found: Vec<String> = rules
            .descriptors(0, facts, request)
            .map(|descriptor| {
                let entries = descriptor
                    .iter()
                    .map(|(key, value)| format!("{key}={value}"));
                entries.collect::<Vec<_>>().join(",")
            })
            .collect();
        assert_eq!(found, expect);
    }

    fn header(name: &str, skip_if_absent: bool) -> RateLimitAction {
        RateLimitAction::RequestHeader {
            name: name.into(),
            key: "k".into(),
            skip_if_absent,
        }
    }

    fn generic(key: &str) -> RateLimitAction {
        RateLimitAction::GenericKey {
            key: key.into(),
            value: "v".into(),
        }
    }

    #[test]
    fn descriptors_are_made_of_requests() {
        let request = PlainRequest::get("a", "/p?q=1")
            .with_header("x-user", "jo")
            .with_header("x-forwarded-for", "9.9.9.9");
        check(
            vec![
                RateLimitAction::SourceCluster,
                RateLimitAction::DestinationCluster,
                RateLimitAction::RemoteAddress,
            ],
            &request,
            &[
                "source_cluster=web.shop,destination_cluster=outbound|80||api,remote_address=9.9.9.9",
            ],
        );
        check(
            vec![header("x-user", false), generic("")],
            &request,
            &["k=jo,generic_key=v"],
        );
        check(
            vec![header(":path", false), generic("g")],
            &request,
            &["k=/p?q=1,g=v"],
        );
        check(vec![generic("g"), header("none", false)], &request, &[]);
        check(vec![generic("g"), header("none", true)], &request, &["g=v"]);
        check(vec![header("none", true)], &request, &[]);
    }

    #[test]
    fn headers_decide_about_entries() {
        let request = PlainRequest::get("a", "/").with_header("x-user", "jo");
        let matches = |value: &str, expect_match| RateLimitAction::HeaderValueMatch {
            key: "".into(),
            value: "v".into(),
            expect_match,
            headers: vec![HeaderMatch {
                name: "x-user".into(),
                value: ValueMatch::Text(StringMatch::Exact(value.into())),
                invert: false,
            }],
        };
        check(vec![matches("jo", true)], &request, &["header_match=v"]);
        check(vec![matches("jo", false)], &request, &[]);
        check(vec![matches("al", true)], &request, &[]);
        check(vec![matches("al", false)], &request, &["header_match=v"]);
    }
}
