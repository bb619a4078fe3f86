//! Deciding a request that takes a plain route allocates nothing, with policies or without.

use std::sync::Arc;

use mesh_ir::evaluate::{
    Action, ConnectionFacts, Explanation, HttpPolicy, Request, Server, Tokens, evaluate,
};
use mesh_ir::matching::{PlainRequest, RouteTable};
use mesh_ir::policy::{
    Authorization, AuthorizationPolicy, AuthorizationRule, Constraint, Operation, PathPattern,
    PeerIdentity, Source, StringPattern,
};
use mesh_ir::{
    Forward, HeaderMatch, Route, RouteAction, RouteConfig, RouteMatch, StringMatch, Target,
    ValueMatch, VirtualHost,
};

fn table() -> RouteTable {
    let route = |cluster: &str, headers| {
        let matcher = RouteMatch {
            headers,
            ..RouteMatch::everything()
        };
        let forward = Forward::to(Target::Cluster(cluster.into()));
        Route {
            name: cluster.into(),
            ..Route::new(matcher, RouteAction::Forward(forward))
        }
    };
    let jason = HeaderMatch {
        name: "end-user".into(),
        value: ValueMatch::Text(StringMatch::Exact("jason".into())),
        invert: false,
    };
    let config = RouteConfig {
        name: "9080".into(),
        virtual_hosts: vec![Arc::new(VirtualHost {
            name: "reviews".into(),
            domains: vec!["reviews".into()],
            routes: vec![route("v2", vec![jason]), route("v1", vec![])],
        })],
        discovers_virtual_hosts: false,
        ignore_port_in_host: true,
    };
    RouteTable::compile(Arc::new(config)).0
}

fn policy() -> HttpPolicy {
    let rule = AuthorizationRule {
        from: vec![Source {
            namespaces: Constraint::any_of([StringPattern::parse("default")]),
            ..Source::default()
        }],
        to: vec![Operation {
            hosts: Constraint::any_of([StringPattern::parse("reviews")]),
            paths: Constraint::any_of([PathPattern::Text(StringPattern::parse("/reviews/*"))]),
            ..Operation::default()
        }],
        ..AuthorizationRule::default()
    };
    let allow = AuthorizationPolicy {
        namespace: "default".into(),
        name: "allow".into(),
        dry_run: false,
        rules: vec![rule],
    };
    HttpPolicy::builder()
        .authorize(&Authorization {
            allow: vec![allow],
            ..Authorization::default()
        })
        .build()
}

#[test]
fn a_plain_route_is_decided_without_allocation() {
    let table = table();
    let peer = PeerIdentity::parse("spiffe://cluster.local/ns/default/sa/x").unwrap();
    let connection = ConnectionFacts {
        peer: Some(&peer),
        ..ConnectionFacts::plaintext(
            "10.0.0.1:1".parse().unwrap(),
            "10.0.0.2:9080".parse().unwrap(),
        )
    };
    let head = PlainRequest::get("Reviews:9080", "/reviews/0?x=1").with_header("end-user", "anna");
    let request = Request {
        connection: &connection,
        head: &head,
        tokens: Tokens::None,
        edits: None,
        granted: None,
    };
    for policy in [HttpPolicy::default(), policy()] {
        let server = Server {
            policy: &policy,
            routes: Some(&table),
        };
        let counted = allocation_counter::measure(|| {
            let decision = evaluate(server, &request, &mut || 0, &mut ());
            assert!(matches!(decision.action, Action::Forward(to) if &**to.picked.cluster == "v1"));
        });
        assert_eq!(counted.count_total, 0);
        let mut explanation = Explanation::default();
        let counted = allocation_counter::measure(|| {
            evaluate(server, &request, &mut || 0, &mut explanation);
        });
        assert!(counted.count_total > 0, "the counter counts");
    }
}
