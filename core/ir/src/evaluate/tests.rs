//! Whole decisions.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::matching::PlainRequest;
use crate::policy::{
    AbortStatus, Authorization, AuthorizationPolicy, AuthorizationRule, Constraint,
    ExternalAuthorization, Fault, FaultAbort, JwtRule, Operation, PathPattern, PeerIdentity,
    RequestAuthentication, Source, StringPattern,
};
use crate::*;

fn table() -> RouteTable {
    let forward = |name: &str, path: PathMatch, target| {
        let matcher = RouteMatch {
            path,
            ..RouteMatch::everything()
        };
        Route {
            name: name.into(),
            ..Route::new(matcher, RouteAction::Forward(Forward::to(target)))
        }
    };
    let weighted = |cluster: &str, weight| WeightedCluster {
        cluster: cluster.into(),
        weight,
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
    };
    let split = Target::Weighted(vec![weighted("a", 90), weighted("b", 10)]);
    let config = RouteConfig {
        name: "80".into(),
        virtual_hosts: vec![Arc::new(VirtualHost {
            name: "reviews".into(),
            domains: vec!["reviews".into()],
            routes: vec![
                forward("split", PathMatch::Prefix("/split".into()), split),
                forward(
                    "one",
                    PathMatch::Exact("/one".into()),
                    Target::Cluster("one".into()),
                ),
            ],
        })],
        discovers_virtual_hosts: false,
        ignore_port_in_host: true,
    };
    RouteTable::compile(Arc::new(config)).0
}

fn connection<'a>(peer: Option<&'a PeerIdentity>) -> ConnectionFacts<'a> {
    let source = "10.0.0.1:1".parse().unwrap();
    ConnectionFacts {
        peer,
        ..ConnectionFacts::plaintext(source, "10.0.0.2:80".parse().unwrap())
    }
}

fn decide<'a>(
    policy: &'a HttpPolicy,
    table: &'a RouteTable,
    path: &str,
    tokens: Tokens<'_>,
) -> Decision<'a> {
    let server = Server {
        policy,
        routes: Some(table),
    };
    let request = Request {
        connection: &connection(None),
        head: &PlainRequest::get("reviews", path),
        tokens,
        edits: None,
        granted: None,
    };
    evaluate(server, &request, &mut || 95, &mut ())
}

fn everything(name: &str) -> AuthorizationPolicy {
    AuthorizationPolicy {
        namespace: "ns".into(),
        name: name.into(),
        dry_run: false,
        rules: vec![AuthorizationRule::default()],
    }
}

fn rejection<'a>(decision: &Decision<'a>) -> Rejection<'a> {
    match decision.action {
        Action::Reject(rejection) => rejection,
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn a_target_is_picked_by_weight_and_only_then_is_a_number_drawn() {
    let (policy, table) = (HttpPolicy::default(), table());
    let cluster = |path| match decide(&policy, &table, path, Tokens::None).action {
        Action::Forward(forwarding) => forwarding.picked.cluster.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!([cluster("/split"), cluster("/one")], ["b", "one"]);
    let request = Request {
        connection: &connection(None),
        head: &PlainRequest::get("reviews", "/one"),
        tokens: Tokens::None,
        edits: None,
        granted: None,
    };
    let server = Server {
        policy: &policy,
        routes: Some(&table),
    };
    evaluate(
        server,
        &request,
        &mut || panic!("nothing to draw for"),
        &mut (),
    );
}

#[test]
fn what_no_route_takes_and_unknown_routes_are_no_route() {
    let (policy, table) = (HttpPolicy::default(), table());
    let decision = decide(&policy, &table, "/other", Tokens::None);
    assert!(matches!(decision.action, Action::NoRoute));
}

#[test]
fn failures_of_a_route_are_injected_where_the_server_injects_any() {
    let fault = Fault {
        abort: Some(FaultAbort {
            status: AbortStatus::Http(503),
            percentage: Fraction::ALL,
        }),
        ..Fault::default()
    };
    let route = Route {
        policy: RoutePolicy {
            fault: Some(fault.into()),
            ..RoutePolicy::default()
        },
        ..Route::new(
            RouteMatch::everything(),
            RouteAction::Forward(Forward::to(Target::Cluster("one".into()))),
        )
    };
    let host = VirtualHost {
        name: "all".into(),
        domains: vec!["*".into()],
        routes: vec![route],
    };
    let config = RouteConfig {
        name: "80".into(),
        virtual_hosts: vec![host.into()],
        discovers_virtual_hosts: false,
        ignore_port_in_host: true,
    };
    let (table, _) = RouteTable::compile(Arc::new(config));
    let aborts = |policy: HttpPolicy| {
        let decision = decide(&policy, &table, "/", Tokens::None);
        assert!(matches!(decision.action, Action::Forward(_)));
        decision.fault.abort
    };
    let injects = HttpPolicy::builder().inject_faults().build();
    assert_eq!(aborts(injects), Some(InjectedAbort::Http(503)));
    assert_eq!(aborts(HttpPolicy::default()), None);
}

#[test]
fn a_denied_request_gets_403_before_it_is_routed() {
    let policy = HttpPolicy::builder()
        .authorize(&Authorization {
            deny: vec![everything("no")],
            ..Authorization::default()
        })
        .build();
    let table = table();
    for path in ["/one", "/other"] {
        let rejection = rejection(&decide(&policy, &table, path, Tokens::None));
        assert_eq!(
            (rejection.code(), rejection.body()),
            (403, "RBAC: access denied")
        );
        let details = rejection.details();
        assert_eq!(
            &*details,
            "rbac_access_denied_matched_policy[ns[ns]-policy[no]-rule[0]]"
        );
    }
}

#[test]
fn custom_comes_first_and_an_unknown_provider_denies() {
    let policy = HttpPolicy::builder()
        .external(&ExternalAuthorization {
            provider: None,
            policies: vec![everything("ask")],
        })
        .authorize(&Authorization {
            deny: vec![everything("no")],
            ..Authorization::default()
        })
        .build();
    let table = table();
    let rejection = rejection(&decide(&policy, &table, "/one", Tokens::None));
    assert!(matches!(rejection, Rejection::UnknownProvider(rule) if rule.name.contains("ask")));
    assert_eq!(rejection.code(), 403);
}

#[test]
fn a_wrong_token_gets_401_and_none_passes() {
    let rule = JwtRule {
        issuer: "i".into(),
        audiences: vec![],
        jwks: "".into(),
        locations: vec![],
        forward_original_token: false,
        output_payload_to_header: None,
        output_claims: vec![],
        origin: None,
    };
    let policy = HttpPolicy::builder()
        .authenticate(&RequestAuthentication { rules: vec![rule] })
        .build();
    let table = table();
    let wrong = Tokens::Invalid(TokenError::Expired);
    let rejection = rejection(&decide(&policy, &table, "/one", wrong));
    assert_eq!(
        (rejection.code(), rejection.body()),
        (401, "Jwt is expired")
    );
    assert_eq!(
        &*rejection.details(),
        "jwt_authn_access_denied{Jwt_is_expired}"
    );
    let without = decide(&policy, &table, "/one", Tokens::None);
    assert!(matches!(without.action, Action::Forward(_)));

    let preflight = PlainRequest {
        method: "OPTIONS".into(),
        ..PlainRequest::get("reviews", "/one")
    };
    let preflight = preflight
        .with_header("origin", "https://a.example")
        .with_header("access-control-request-method", "PUT");
    let request = Request {
        connection: &connection(None),
        head: &preflight,
        tokens: wrong,
        edits: None,
        granted: None,
    };
    let server = Server {
        policy: &policy,
        routes: Some(&table),
    };
    let decision = evaluate(server, &request, &mut || 0, &mut ());
    assert!(
        matches!(decision.action, Action::Forward(_)),
        "preflights pass"
    );
}

fn patterns() -> impl Strategy<Value = Constraint<StringPattern>> {
    let texts = || prop::collection::vec("[ab/]{0,3}[*]?|[*][ab/]{1,2}", 0..3);
    (texts(), texts()).prop_map(|(values, not_values)| {
        let parse = |texts: Vec<String>| {
            texts
                .iter()
                .map(|text| StringPattern::parse(text))
                .collect()
        };
        Constraint {
            values: parse(values),
            not_values: parse(not_values),
        }
    })
}

fn rules() -> impl Strategy<Value = Vec<AuthorizationRule>> {
    let rule = (patterns(), patterns(), patterns(), 0..4_u8).prop_map(
        |(namespaces, hosts, paths, parts)| {
            let path = |patterns: Vec<StringPattern>| {
                patterns.into_iter().map(PathPattern::Text).collect()
            };
            let source = Source {
                namespaces,
                ..Source::default()
            };
            let operation = Operation {
                hosts,
                paths: Constraint {
                    values: path(paths.values),
                    not_values: path(paths.not_values),
                },
                ..Operation::default()
            };
            AuthorizationRule {
                from: (parts & 1 == 1).then_some(source).into_iter().collect(),
                to: (parts & 2 == 2).then_some(operation).into_iter().collect(),
                ..AuthorizationRule::default()
            }
        },
    );
    prop::collection::vec(rule, 0..8).prop_map(|rules| {
        (0..)
            .zip(rules)
            .map(|(index, rule)| AuthorizationRule { index, ..rule })
            .collect()
    })
}

proptest! {
    /// Rules that are looked up and rules that are tried one by one, with reasons, lead to the same decision.
    #[test]
    fn a_trace_changes_no_decision(
        deny in rules(),
        allow in rules(),
        namespace in prop::option::of("[ab]{1,2}"),
        host in "[abAB/]{0,3}[.]?(:80)?",
        path in "[ab/]{0,4}",
        drawn in any::<u64>(),
    ) {
        let policy = |name: &str, rules| AuthorizationPolicy {
            namespace: "ns".into(),
            name: name.into(),
            dry_run: false,
            rules,
        };
        let policy = HttpPolicy::builder()
            .authorize(&Authorization {
                deny: vec![policy("deny", deny)],
                allow: vec![policy("allow", allow)],
                ..Authorization::default()
            })
            .build();
        let table = table();
        let peer = namespace.map(|namespace| {
            PeerIdentity::parse(&format!("spiffe://td/ns/{namespace}/sa/x")).unwrap()
        });
        let request = Request {
            connection: &connection(peer.as_ref()),
            head: &PlainRequest::get(&host, &path),
            tokens: Tokens::None,
            edits: None,
            granted: None,
        };
        let server = Server { policy: &policy, routes: Some(&table) };
        let quick = evaluate(server, &request, &mut || drawn, &mut ());
        let mut explanation = Explanation::default();
        let explained = evaluate(server, &request, &mut || drawn, &mut explanation);
        prop_assert_eq!(format!("{quick:?}"), format!("{explained:?}"));
        for step in &explanation.steps {
            prop_assert!(!step.to_string().is_empty());
        }
        // A rule is taken down as matched exactly when it is the one that decides.
        let matched = explanation.steps.iter().filter(|step| {
            step.stage == Stage::Authorization && step.outcome == StepOutcome::Matched
        });
        let decided = match quick.authorized.unwrap().verdict {
            Verdict::Allowed(rule) | Verdict::Denied(rule) => rule.is_some(),
        };
        prop_assert_eq!(matched.count(), usize::from(decided));
    }
}

/// A server that has these filters.
fn server(filters: Vec<HttpFilter>) -> HttpPolicy {
    let routes = Routes::Discovered("80".into());
    HttpPolicy::new(&HttpConnectionManager {
        filters,
        ..HttpConnectionManager::new("test".into(), Direction::Inbound, routes)
    })
}

#[test]
fn the_filters_of_a_server_decide_in_their_order() {
    let denies = || {
        HttpFilter::Authorize(Arc::new(Authorization {
            deny: vec![everything("no")],
            ..Authorization::default()
        }))
    };
    let unknown = || {
        HttpFilter::ExternalAuthorize(Arc::new(ExternalAuthorization {
            provider: None,
            policies: vec![everything("ask")],
        }))
    };
    let details = |filters| {
        let (policy, table) = (server(filters), table());
        let decision = decide(&policy, &table, "/one", Tokens::None);
        rejection(&decision).details().to_string()
    };
    let denied = |name| format!("rbac_access_denied_matched_policy[ns[ns]-policy[{name}]-rule[0]]");
    assert_eq!(
        details(vec![HttpFilter::Fault, denies(), unknown()]),
        denied("no")
    );
    assert_eq!(details(vec![unknown(), denies()]), denied("ask"));
}

#[test]
fn what_is_only_tried_in_one_filter_is_told_with_the_verdict_of_another() {
    let tried = AuthorizationPolicy {
        dry_run: true,
        ..everything("try")
    };
    let filters = vec![
        HttpFilter::Authorize(Arc::new(Authorization {
            deny: vec![tried],
            ..Authorization::default()
        })),
        HttpFilter::Cors,
        HttpFilter::Authorize(Arc::new(Authorization {
            allow: vec![everything("yes")],
            ..Authorization::default()
        })),
    ];
    let (policy, table) = (server(filters), table());
    let decision = decide(&policy, &table, "/one", Tokens::None);
    assert!(matches!(decision.action, Action::Forward(_)));
    let authorized = decision.authorized.unwrap();
    assert!(
        matches!(authorized.verdict, Verdict::Allowed(Some(rule)) if &*rule.policy.name == "yes")
    );
    assert!(
        matches!(authorized.shadow, Some(Verdict::Denied(Some(rule))) if &*rule.policy.name == "try")
    );
}

/// A server that asks about everything, then denies what the authorizer has marked.
fn asks(clear_route_cache: bool) -> HttpPolicy {
    let provider = policy::ExternalAuthorizer {
        clear_route_cache,
        ..policy::ExternalAuthorizer::grpc(
            "check".into(),
            "check".into(),
            std::time::Duration::from_secs(1),
        )
    };
    let marked = AuthorizationRule {
        when: vec![policy::Condition::Text {
            attribute: policy::TextAttribute::RequestHeader("x-mark".into()),
            values: Constraint::any_of([StringPattern::parse("bad")]),
        }],
        ..AuthorizationRule::default()
    };
    HttpPolicy::builder()
        .external(&ExternalAuthorization {
            provider: Some(provider),
            policies: vec![everything("ask")],
        })
        .authorize(&Authorization {
            deny: vec![AuthorizationPolicy {
                rules: vec![marked],
                ..everything("marked")
            }],
            ..Authorization::default()
        })
        .build()
}

#[track_caller]
fn after_grant(policy: &HttpPolicy, marks: &str, check: impl FnOnce(&Decision<'_>)) {
    let (table, head) = (table(), PlainRequest::get("reviews", "/one"));
    let connection = connection(None);
    let decide = |granted| {
        let request = Request {
            connection: &connection,
            head: &head,
            tokens: Tokens::None,
            edits: None,
            granted,
        };
        let server = Server {
            policy,
            routes: Some(&table),
        };
        evaluate(server, &request, &mut || 0, &mut ())
    };
    let Action::Ask(ask) = decide(None).action else {
        panic!("nobody is asked");
    };
    assert_eq!(&*ask.provider.name, "check");
    let mut granted = Granted::default();
    let grant = Grant {
        set: vec![("x-mark".into(), marks.into())],
        ..Grant::default()
    };
    granted.allow(ask, grant, &head);
    check(&decide(Some(&granted)));
}

#[test]
fn what_an_authorizer_allows_is_decided_about_from_there_on_by_what_it_has_made_of_it() {
    after_grant(&asks(false), "good", |decision| {
        assert!(matches!(decision.action, Action::Forward(_)));
    });
    after_grant(&asks(false), "bad", |decision| {
        assert_eq!(rejection(decision).code(), 403);
    });
}

#[test]
fn a_request_is_routed_by_what_an_authorizer_has_made_of_it_where_that_is_asked_for() {
    let by_mark = RouteMatch {
        headers: vec![HeaderMatch {
            name: "x-mark".into(),
            value: ValueMatch::Text(StringMatch::Exact("vip".into())),
            invert: false,
        }],
        ..RouteMatch::everything()
    };
    let route = |name: &str, matcher| Route {
        name: name.into(),
        ..Route::new(
            matcher,
            RouteAction::Forward(Forward::to(Target::Cluster(name.into()))),
        )
    };
    let config = RouteConfig {
        name: "80".into(),
        virtual_hosts: vec![Arc::new(VirtualHost {
            name: "all".into(),
            domains: vec!["*".into()],
            routes: vec![
                route("vip", by_mark),
                route("rest", RouteMatch::everything()),
            ],
        })],
        discovers_virtual_hosts: false,
        ignore_port_in_host: true,
    };
    let table = RouteTable::compile(Arc::new(config)).0;
    let head = PlainRequest::get("a", "/");
    let connection = connection(None);
    for (clear_route_cache, expected) in [(false, "rest"), (true, "vip")] {
        let policy = asks(clear_route_cache);
        let server = Server {
            policy: &policy,
            routes: Some(&table),
        };
        let mut granted = Granted::default();
        let decide = |granted: &Granted| {
            let request = Request {
                connection: &connection,
                head: &head,
                tokens: Tokens::None,
                edits: None,
                granted: Some(granted),
            };
            evaluate(server, &request, &mut || 0, &mut ())
        };
        let Action::Ask(ask) = decide(&granted).action else {
            panic!("nobody is asked");
        };
        let grant = Grant {
            set: vec![("x-mark".into(), b"vip".to_vec())],
            ..Grant::default()
        };
        granted.allow(ask, grant, &head);
        let Action::Forward(forwarding) = decide(&granted).action else {
            panic!("not forwarded");
        };
        assert_eq!(
            &**forwarding.picked.cluster, expected,
            "{clear_route_cache}"
        );
    }
}
