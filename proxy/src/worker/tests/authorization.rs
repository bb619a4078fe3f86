//! Policies of a configuration are enforced.

use std::sync::Arc;

use mesh_ir::policy::{
    Authorization, AuthorizationPolicy, AuthorizationRule, Constraint, Operation, PathPattern,
    Source, StringPattern,
};
use mesh_ir::*;

use super::harness::*;

fn policy(name: &str, rule: AuthorizationRule) -> AuthorizationPolicy {
    AuthorizationPolicy {
        namespace: "default".into(),
        name: name.into(),
        dry_run: false,
        rules: vec![rule],
    }
}

fn operation(operation: Operation) -> AuthorizationRule {
    AuthorizationRule {
        to: vec![operation],
        ..AuthorizationRule::default()
    }
}

fn exact(text: &str) -> StringPattern {
    StringPattern::Exact(text.into())
}

/// A proxy that serves one chain, changed by the caller.
fn serve(change: impl FnOnce(&mut FilterChain)) -> Proxy {
    let address = free();
    let mut chain = chain(Network::Http(manager(vec![to("/", "one")])));
    change(&mut chain);
    let config = ProxyConfig {
        listeners: vec![listener("http", address, true, vec![chain])].into(),
        clusters: vec![static_cluster("one", &[echo("one")])].into(),
        ..ProxyConfig::default()
    };
    start(address, Capture::Redirect, &config)
}

#[test]
fn requests_are_denied_by_path_and_allowed_by_method() {
    let admin = operation(Operation {
        paths: Constraint::any_of([PathPattern::Text(StringPattern::Prefix("/admin".into()))]),
        ..Operation::default()
    });
    let reads = operation(Operation {
        methods: Constraint::any_of([exact("GET")]),
        ..Operation::default()
    });
    let policies = Authorization {
        deny: vec![policy("admin", admin)],
        allow: vec![policy("reads", reads)],
        audit: vec![],
    };
    let proxy = serve(|chain| {
        if let Network::Http(http) = &mut chain.network {
            http.filters = vec![HttpFilter::Authorize(Arc::new(policies))];
        }
    });
    let mut wire = proxy.connect();
    for (head, code) in [
        ("GET /a", 200),
        ("GET /admin/x", 403),
        // The path that policies see is the normalized one.
        ("GET /a/../admin", 403),
        ("DELETE /a", 403),
        ("GET /b", 200),
    ] {
        wire.send(&format!("{head} HTTP/1.1\r\nHost: test\r\n\r\n"));
        let answer = wire.answer();
        assert_eq!(answer.code, code, "{head}");
        if code == 403 {
            assert_eq!(answer.body, "RBAC: access denied");
        }
    }
}

#[test]
fn connections_are_closed_by_address() {
    let from = |block: &str| AuthorizationRule {
        from: vec![Source {
            ip_blocks: Constraint::any_of([block.parse().unwrap()]),
            ..Source::default()
        }],
        ..AuthorizationRule::default()
    };
    for (block, answers) in [("127.0.0.0/8", false), ("10.0.0.0/8", true)] {
        let policies = Authorization {
            deny: vec![policy("from", from(block))],
            ..Authorization::default()
        };
        let proxy = serve(|chain| {
            chain.filters = vec![NetworkFilter::Authorize(Arc::new(policies))];
        });
        let mut wire = proxy.connect();
        wire.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        assert_eq!(wire.try_answer().is_some(), answers, "{block}");
    }
}
