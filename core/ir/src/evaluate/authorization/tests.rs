//! The rule language of `AuthorizationPolicy`, rule by rule.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::evaluate::{Explanation, VerifiedToken};
use crate::matching::PlainRequest;
use crate::policy::{AddressAttribute, AuthorizationRule};
use crate::policy::{
    Condition, Constraint, Operation, PathPattern, PathTemplate, PeerIdentity, ServiceAccount,
    Source, StringPattern, TextAttribute,
};

/// A request with everything that policies look at.
struct Case {
    request: PlainRequest,
    peer: Option<PeerIdentity>,
    tokens: Vec<Arc<VerifiedToken>>,
    source: &'static str,
    server_name: Option<&'static str>,
}

fn case() -> Case {
    Case {
        request: PlainRequest::get("reviews.default:9080", "/reviews/7?full=1"),
        peer: None,
        tokens: Vec::new(),
        source: "10.1.2.3:40000",
        server_name: None,
    }
}

impl Case {
    fn peer(mut self, namespace: &str, account: &str) -> Self {
        let uri = format!("spiffe://cluster.local/ns/{namespace}/sa/{account}");
        self.peer = Some(PeerIdentity::parse(&uri).unwrap());
        self
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.with_header(name, value);
        self
    }

    fn path(mut self, path: &str) -> Self {
        self.request = PlainRequest::get(&self.request.authority, path);
        self
    }

    fn host(mut self, host: &str) -> Self {
        self.request.authority = host.into();
        self
    }

    fn method(mut self, method: &str) -> Self {
        self.request.method = method.into();
        self
    }

    fn token(mut self, claims: serde_json::Value) -> Self {
        self.tokens.push(Arc::new(VerifiedToken::new(claims)));
        self
    }

    fn with<T>(&self, then: impl FnOnce(&Subject<'_, PlainRequest>) -> T) -> T {
        let connection = ConnectionFacts {
            peer: self.peer.as_ref(),
            server_name: self.server_name,
            ..ConnectionFacts::plaintext(
                self.source.parse().unwrap(),
                "10.9.9.9:9080".parse().unwrap(),
            )
        };
        then(&Subject {
            connection: &connection,
            request: Some(&self.request),
            tokens: Tokens::Verified(&self.tokens),
            remote_address: RemoteAddress::default(),
        })
    }
}

fn policy(name: &str, rules: Vec<AuthorizationRule>) -> AuthorizationPolicy {
    AuthorizationPolicy {
        namespace: "default".into(),
        name: name.into(),
        dry_run: false,
        rules: (0..)
            .zip(rules)
            .map(|(index, rule)| AuthorizationRule { index, ..rule })
            .collect(),
    }
}

fn allow(rules: Vec<AuthorizationRule>) -> Authorization {
    Authorization {
        allow: vec![policy("allow", rules)],
        ..Authorization::default()
    }
}

fn deny(rules: Vec<AuthorizationRule>) -> Authorization {
    Authorization {
        deny: vec![policy("deny", rules)],
        ..Authorization::default()
    }
}

fn from(source: Source) -> AuthorizationRule {
    AuthorizationRule {
        from: vec![source],
        ..AuthorizationRule::default()
    }
}

fn to(operation: Operation) -> AuthorizationRule {
    AuthorizationRule {
        to: vec![operation],
        ..AuthorizationRule::default()
    }
}

fn when(attribute: TextAttribute, values: Constraint<StringPattern>) -> AuthorizationRule {
    AuthorizationRule {
        when: vec![Condition::Text { attribute, values }],
        ..AuthorizationRule::default()
    }
}

fn one(texts: &[&str]) -> Constraint<StringPattern> {
    Constraint::any_of(texts.iter().map(|text| StringPattern::parse(text)))
}

fn not(texts: &[&str]) -> Constraint<StringPattern> {
    Constraint::none_of(texts.iter().map(|text| StringPattern::parse(text)))
}

fn paths(texts: &[&str]) -> AuthorizationRule {
    let pattern = |text: &&str| {
        if PathTemplate::is_template(text) {
            PathPattern::Template(PathTemplate::parse(text).unwrap())
        } else {
            PathPattern::Text(StringPattern::parse(text))
        }
    };
    to(Operation {
        paths: Constraint::any_of(texts.iter().map(pattern)),
        ..Operation::default()
    })
}

fn hosts(hosts: Constraint<StringPattern>) -> AuthorizationRule {
    to(Operation {
        hosts,
        ..Operation::default()
    })
}

/// Whether the policies let the request pass, which must not depend on whether reasons are taken down.
#[track_caller]
fn passes(authorization: &Authorization, case: &Case) -> bool {
    let compiled = CompiledAuthorization::new(authorization);
    case.with(|subject| {
        let authorized = compiled.decide(subject, &mut ());
        let explained = compiled.decide(subject, &mut Explanation::default());
        assert_eq!(authorized, explained);
        matches!(authorized.verdict, Verdict::Allowed(_))
    })
}

/// Whether a rule matches: it lets pass as ALLOW rule, and refuses as DENY rule.
#[track_caller]
fn check(rule: AuthorizationRule, case: &Case, expect: bool) {
    assert_eq!(passes(&allow(vec![rule.clone()]), case), expect, "as ALLOW");
    assert_eq!(!passes(&deny(vec![rule]), case), expect, "as DENY");
}

// === order ===

#[test]
fn without_an_allow_policy_everything_is_allowed() {
    assert!(passes(&Authorization::default(), &case()));
    let other = deny(vec![paths(&["/other"])]);
    assert!(passes(&other, &case()));
}

#[test]
fn with_an_allow_policy_what_none_matches_is_denied() {
    assert!(!passes(&allow(vec![paths(&["/other"])]), &case()));
    assert!(passes(&allow(vec![paths(&["/reviews/*"])]), &case()));
}

#[test]
fn deny_comes_before_allow() {
    let both = Authorization {
        deny: vec![policy("no", vec![paths(&["/reviews/7"])])],
        allow: vec![policy("yes", vec![AuthorizationRule::default()])],
        ..Authorization::default()
    };
    assert!(!passes(&both, &case()));
    assert!(passes(&both, &case().path("/reviews/8")));
}

#[test]
fn audit_never_decides() {
    let audit = Authorization {
        audit: vec![policy("watch", vec![AuthorizationRule::default()])],
        ..Authorization::default()
    };
    assert!(passes(&audit, &case()));
    let compiled = CompiledAuthorization::new(&audit);
    let marked = case().with(|subject| compiled.decide(subject, &mut ()).audit.cloned());
    assert_eq!(&*marked.unwrap().name, "ns[default]-policy[watch]-rule[0]");
}

#[test]
fn an_empty_spec_never_matches() {
    assert!(!passes(&allow(vec![]), &case()), "ALLOW denies all");
    assert!(passes(&deny(vec![]), &case()), "DENY does nothing");
}

#[test]
fn an_empty_rule_matches_everything() {
    check(AuthorizationRule::default(), &case(), true);
}

#[test]
fn an_empty_source_or_operation_matches_anything() {
    check(from(Source::default()), &case(), true);
    check(to(Operation::default()), &case(), true);
}

#[test]
fn a_dry_run_is_told_and_never_enforced() {
    let mut authorization = deny(vec![AuthorizationRule::default()]);
    authorization.deny[0].dry_run = true;
    assert!(passes(&authorization, &case()));
    let compiled = CompiledAuthorization::new(&authorization);
    case().with(|subject| {
        let shadow = compiled.decide(subject, &mut ()).shadow;
        assert!(matches!(shadow, Some(Verdict::Denied(Some(_)))));
    });
    let mut only_dry = allow(vec![]);
    only_dry.allow[0].dry_run = true;
    assert!(passes(&only_dry, &case()), "a dry ALLOW does not close");
}

#[test]
fn response_code_details_name_the_rule() {
    let details = |authorization: &Authorization| {
        let compiled = CompiledAuthorization::new(authorization);
        case().with(|subject| {
            let verdict = compiled.decide(subject, &mut ()).verdict;
            verdict.denial_details().unwrap().to_string()
        })
    };
    assert_eq!(
        details(&deny(vec![paths(&["/a"]), AuthorizationRule::default()])),
        "rbac_access_denied_matched_policy[ns[default]-policy[deny]-rule[1]]"
    );
    assert_eq!(
        details(&allow(vec![])),
        "rbac_access_denied_matched_policy[none]"
    );
}

// === parts of rules ===

#[test]
fn sources_and_operations_are_alternatives_that_must_each_match_with_all_conditions() {
    let rule = AuthorizationRule {
        from: vec![
            Source {
                namespaces: one(&["a"]),
                ..Source::default()
            },
            Source {
                namespaces: one(&["b"]),
                ..Source::default()
            },
        ],
        to: vec![Operation {
            methods: one(&["GET"]),
            ..Operation::default()
        }],
        when: vec![Condition::Text {
            attribute: TextAttribute::RequestHeader("x".into()),
            values: one(&["1"]),
        }],
        index: 0,
    };
    let good = || case().peer("b", "x").header("x", "1");
    check(rule.clone(), &good(), true);
    check(rule.clone(), &good().peer("c", "x"), false);
    check(rule.clone(), &good().method("POST"), false);
    check(rule, &case().peer("a", "x"), false);
}

#[test]
fn fields_of_one_source_must_all_hold() {
    let rule = from(Source {
        namespaces: one(&["a"]),
        ip_blocks: Constraint::any_of(["10.0.0.0/8".parse().unwrap()]),
        ..Source::default()
    });
    check(rule.clone(), &case().peer("a", "x"), true);
    let elsewhere = Case {
        source: "192.0.2.1:1",
        ..case().peer("a", "x")
    };
    check(rule, &elsewhere, false);
}

#[test]
fn negated_values_are_none_of_them() {
    let rule = to(Operation {
        methods: Constraint {
            not_values: not(&["GET", "HEAD"]).not_values,
            ..one(&["*"])
        },
        ..Operation::default()
    });
    check(rule.clone(), &case().method("POST"), true);
    check(rule.clone(), &case(), false);
    check(rule, &case().method("HEAD"), false);
}

// === strings ===

#[test]
fn strings_are_exact_prefix_suffix_or_present() {
    let header = |text| when(TextAttribute::RequestHeader("x".into()), one(&[text]));
    let value = case().header("x", "abc");
    for (pattern, expect) in [
        ("abc", true),
        ("ab", false),
        ("ab*", true),
        ("bc*", false),
        ("*bc", true),
        ("*ab", false),
        ("*", true),
        ("ABC", false),
    ] {
        check(header(pattern), &value, expect);
    }
    check(header("*"), &case().header("x", ""), false);
    check(header("*"), &case(), false);
}

#[test]
fn hosts_match_without_case_port_and_trailing_dot() {
    let rule = || hosts(one(&["reviews.default"]));
    for host in [
        "reviews.default",
        "REVIEWS.Default",
        "reviews.default:9080",
        "reviews.default.",
        "reviews.default.:9080",
    ] {
        check(rule(), &case().host(host), true);
    }
    check(rule(), &case().host("reviews.default.evil"), false);
    check(hosts(one(&["reviews.default:9080"])), &case(), true);
    check(hosts(one(&["reviews.default:80"])), &case(), false);
    check(
        hosts(one(&["*.default"])),
        &case().host("A.DEFAULT:1"),
        true,
    );
    check(hosts(one(&["reviews.*"])), &case().host("Reviews.x"), true);
    check(
        hosts(one(&["[2001:db8::1]"])),
        &case().host("[2001:DB8::1]:80"),
        true,
    );
    check(
        hosts(not(&["reviews.default"])),
        &case().host("reviews.default."),
        false,
    );
}

#[test]
fn paths_are_compared_without_query_and_with_case() {
    check(paths(&["/reviews/7"]), &case(), true);
    check(paths(&["/reviews/7?full=1"]), &case(), false);
    check(paths(&["/Reviews/7"]), &case(), false);
    check(paths(&["*/7"]), &case(), true);
}

#[test]
fn path_templates_match_segments() {
    check(paths(&["/reviews/{*}"]), &case(), true);
    check(paths(&["/{*}"]), &case(), false);
    check(paths(&["/{**}"]), &case(), true);
}

#[test]
fn ports_are_those_of_the_original_destination() {
    let port = |port| {
        to(Operation {
            ports: Constraint::any_of([port]),
            ..Operation::default()
        })
    };
    check(port(9080), &case(), true);
    check(port(80), &case(), false);
}

#[test]
fn head_is_not_get() {
    let rule = to(Operation {
        methods: one(&["GET"]),
        ..Operation::default()
    });
    check(rule, &case().method("HEAD"), false);
}

// === identities ===

#[test]
fn principals_are_compared_without_spiffe() {
    let rule = |text| {
        from(Source {
            principals: one(&[text]),
            ..Source::default()
        })
    };
    let peer = || case().peer("default", "reviews");
    check(rule("cluster.local/ns/default/sa/reviews"), &peer(), true);
    check(
        rule("spiffe://cluster.local/ns/default/sa/reviews"),
        &peer(),
        false,
    );
    check(rule("*/ns/default/sa/reviews"), &peer(), true);
    check(rule("cluster.local/ns/default/*"), &peer(), true);
    check(rule("*"), &peer(), true);
    check(rule("*"), &case(), false);
}

#[test]
fn namespaces_come_from_the_certificate() {
    let rule = |text| {
        from(Source {
            namespaces: one(&[text]),
            ..Source::default()
        })
    };
    check(rule("default"), &case().peer("default", "x"), true);
    check(rule("default"), &case().peer("default2", "x"), false);
    check(rule("def*"), &case().peer("default2", "x"), true);
    check(rule("default"), &case(), false);
}

#[test]
fn service_accounts_are_literal() {
    let rule = from(Source {
        service_accounts: Constraint::any_of([ServiceAccount {
            namespace: "default".into(),
            name: "a.b".into(),
        }]),
        ..Source::default()
    });
    check(rule.clone(), &case().peer("default", "a.b"), true);
    check(rule.clone(), &case().peer("default", "axb"), false);
    check(rule, &case().peer("other", "a.b"), false);
}

#[test]
fn negated_identities_need_an_identity_to_allow() {
    for rule in [
        from(Source {
            principals: not(&["cluster.local/ns/a/sa/b"]),
            ..Source::default()
        }),
        from(Source {
            namespaces: not(&["a"]),
            ..Source::default()
        }),
        when(TextAttribute::SourceNamespace, not(&["a"])),
    ] {
        assert!(
            !passes(&allow(vec![rule.clone()]), &case()),
            "nobody is not somebody else"
        );
        assert!(
            !passes(&deny(vec![rule.clone()]), &case()),
            "nor exempt from a denial"
        );
        check(rule.clone(), &case().peer("other", "b"), true);
        check(rule, &case().peer("a", "b"), false);
    }
}

#[test]
fn request_principals_are_issuer_and_subject() {
    let rule = |text| {
        from(Source {
            request_principals: one(&[text]),
            ..Source::default()
        })
    };
    let token = || case().token(json!({"iss": "https://issuer/x", "sub": "me"}));
    check(rule("https://issuer/x/me"), &token(), true);
    check(rule("https://issuer/*"), &token(), true);
    check(rule("*/me"), &token(), true);
    check(rule("*"), &token(), true);
    check(rule("*"), &case(), false);
    check(rule("*"), &case().token(json!({"iss": "x"})), false);
    let none = from(Source {
        request_principals: not(&["*"]),
        ..Source::default()
    });
    check(none.clone(), &case(), true);
    check(none, &token(), false);
}

// === addresses ===

#[test]
fn ip_blocks_are_the_peer_and_remote_ip_blocks_the_client() {
    let block = || Constraint::any_of(["10.1.0.0/16".parse().unwrap()]);
    let peer = from(Source {
        ip_blocks: block(),
        ..Source::default()
    });
    let client = from(Source {
        remote_ip_blocks: block(),
        ..Source::default()
    });
    let behind = || case().header("x-forwarded-for", "192.0.2.1");
    check(peer.clone(), &behind(), true);
    check(client.clone(), &behind(), false);
    check(client, &case(), true);
    let negated = from(Source {
        ip_blocks: Constraint::none_of(["10.1.0.0/16".parse().unwrap()]),
        ..Source::default()
    });
    check(negated, &case(), false);
}

// === when ===

#[test]
fn conditions_know_every_key() {
    let claims = json!({
        "iss": "i", "sub": "s", "aud": ["a", "b"], "azp": "p", "groups": ["x", "y"],
        "scope": "read write", "nested": {"key": ["z"]}, "number": 7,
    });
    let full = Case {
        server_name: Some("outbound_.9080_._.reviews"),
        ..case()
            .peer("default", "reviews")
            .token(claims)
            .header("x-user", "jason")
    };
    let claim = |path: &[&str]| {
        TextAttribute::RequestClaim(path.iter().map(|name| Arc::from(*name)).collect())
    };
    for (attribute, good, bad) in [
        (
            TextAttribute::RequestHeader("x-user".into()),
            "jason",
            "jas",
        ),
        (
            TextAttribute::RequestHeader(":method".into()),
            "GET",
            "POST",
        ),
        (TextAttribute::SourceNamespace, "default", "x"),
        (
            TextAttribute::SourceServiceAccount,
            "default/reviews",
            "reviews",
        ),
        (
            TextAttribute::SourcePrincipal,
            "cluster.local/ns/default/sa/reviews",
            "x",
        ),
        (TextAttribute::SourceTrustDomain, "cluster.local", "x"),
        (TextAttribute::RequestPrincipal, "i/s", "i"),
        (TextAttribute::RequestAudiences, "b", "c"),
        (TextAttribute::RequestPresenter, "p", "q"),
        (claim(&["groups"]), "y", "z"),
        (claim(&["scope"]), "write", "writ"),
        (claim(&["nested", "key"]), "z", "x"),
        (claim(&["number"]), "*", "7"),
        (TextAttribute::ConnectionSni, "outbound_.9080_*", "x"),
    ] {
        let matches = attribute != claim(&["number"]);
        check(when(attribute.clone(), one(&[good])), &full, matches);
        check(when(attribute.clone(), one(&[bad])), &full, false);
        check(when(attribute, not(&[good])), &full, !matches);
    }
    let address = |attribute, block: &str| AuthorizationRule {
        when: vec![Condition::Address {
            attribute,
            values: Constraint::any_of([block.parse().unwrap()]),
        }],
        ..AuthorizationRule::default()
    };
    check(address(AddressAttribute::SourceIp, "10.1.2.3"), &full, true);
    check(
        address(AddressAttribute::RemoteIp, "10.1.2.4"),
        &full,
        false,
    );
    check(
        address(AddressAttribute::DestinationIp, "10.9.9.0/24"),
        &full,
        true,
    );
    let port = |port| AuthorizationRule {
        when: vec![Condition::DestinationPort(Constraint::any_of([port]))],
        ..AuthorizationRule::default()
    };
    check(port(9080), &full, true);
    check(port(9081), &full, false);
}

#[test]
fn each_value_of_a_repeated_header_is_looked_at() {
    let rule = |values| when(TextAttribute::RequestHeader("x".into()), values);
    let two = case().header("x", "good").header("x", "bad");
    assert!(
        !passes(&deny(vec![rule(one(&["bad"]))]), &two),
        "one is enough to deny"
    );
    assert!(
        !passes(&allow(vec![rule(one(&["good"]))]), &two),
        "all are needed to allow"
    );
    assert!(passes(&allow(vec![rule(one(&["good", "bad"]))]), &two));
    assert!(!passes(&deny(vec![rule(not(&["good"]))]), &two));
    assert!(!passes(&allow(vec![rule(not(&["bad"]))]), &two));
}

// === TCP ===

#[test]
fn http_fields_make_an_allow_rule_unusable_on_tcp_and_are_ignored_in_deny() {
    let rule = AuthorizationRule {
        to: vec![Operation {
            ports: Constraint::any_of([9080]),
            methods: one(&["GET"]),
            ..Operation::default()
        }],
        ..AuthorizationRule::default()
    };
    let plain = to(Operation {
        ports: Constraint::any_of([9080]),
        ..Operation::default()
    });
    let source = "10.1.2.3:40000".parse().unwrap();
    let connection = ConnectionFacts::plaintext(source, "10.9.9.9:9080".parse().unwrap());
    let check = |authorization: Authorization, expect: bool| {
        let policy = crate::evaluate::NetworkPolicy::new([&authorization]);
        let decision = policy.decide(&connection, 0, &mut ());
        let verdict = decision.authorized.unwrap().verdict;
        assert_eq!(
            matches!(verdict, Verdict::Allowed(_)),
            expect,
            "{authorization:?}"
        );
    };
    check(allow(vec![rule.clone()]), false);
    check(allow(vec![rule.clone(), plain]), true);
    check(deny(vec![rule]), false);
}

// === lookup ===

#[test]
fn a_thousand_rules_are_looked_up_and_not_tried() {
    let account = |index: usize| ServiceAccount {
        namespace: "default".into(),
        name: format!("account-{index}").into(),
    };
    let rules = (0..1000).map(|index| {
        from(Source {
            service_accounts: Constraint::any_of([account(index)]),
            ..Source::default()
        })
    });
    let set = RuleSet::new(
        &[policy("many", rules.collect())],
        false,
        AuthorizationAction::Allow,
    );
    assert_eq!(set.index.longest(), 1);
    let authorization = allow(
        set.rules
            .iter()
            .map(|rule| {
                from(Source {
                    service_accounts: Constraint::any_of([account(rule.id.index as usize)]),
                    ..Source::default()
                })
            })
            .collect(),
    );
    assert!(passes(
        &authorization,
        &case().peer("default", "account-999")
    ));
    assert!(!passes(
        &authorization,
        &case().peer("default", "account-1000")
    ));
}

#[test]
fn the_first_rule_by_name_is_told_whatever_it_is_filed_under() {
    let authorization = deny(vec![
        to(Operation {
            methods: one(&["G*"]),
            ..Operation::default()
        }),
        paths(&["/reviews/7"]),
        hosts(one(&["reviews.default"])),
    ]);
    let compiled = CompiledAuthorization::new(&authorization);
    case().with(|subject| {
        let quick = compiled.decide(subject, &mut ());
        assert_eq!(quick, compiled.decide(subject, &mut Explanation::default()));
        let Verdict::Denied(Some(rule)) = quick.verdict else {
            panic!("{quick:?}")
        };
        assert_eq!(rule.index, 0);
    });
}

// === explanations ===

#[test]
fn an_explanation_tells_every_rule_and_why_it_did_not_match() {
    let authorization = allow(vec![
        from(Source {
            namespaces: one(&["a", "b"]),
            ..Source::default()
        }),
        AuthorizationRule {
            to: vec![Operation {
                methods: one(&["POST"]),
                ..Operation::default()
            }],
            ..AuthorizationRule::default()
        },
        when(TextAttribute::RequestHeader("x".into()), not(&["1"])),
    ]);
    let compiled = CompiledAuthorization::new(&authorization);
    let mut explanation = Explanation::default();
    case().header("x", "1").with(|subject| {
        compiled.decide(subject, &mut explanation).verdict == Verdict::Denied(None)
    });
    let lines: Vec<String> = explanation.steps.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "authorization: ALLOW ns[default]-policy[allow]-rule[0]: not matched: from[0].namespaces is absent, expected one of [a, b] \
             (authorization-policy default/allow spec.rules[0])",
            "authorization: ALLOW ns[default]-policy[allow]-rule[1]: not matched: to[0].methods is \"GET\", expected one of [POST] \
             (authorization-policy default/allow spec.rules[1])",
            "authorization: ALLOW ns[default]-policy[allow]-rule[2]: not matched: when[0].request.headers[x] is \"1\", expected none of [1] \
             (authorization-policy default/allow spec.rules[2])",
        ]
    );
}
