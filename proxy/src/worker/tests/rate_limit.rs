//! Limits of rates.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mesh_ir::policy::{
    DescriptorLimit, LocalRateLimit, RateLimitAction, RateLimitRule, TokenBucket,
};
use mesh_ir::*;

use super::harness::*;

fn bucket(tokens: u32) -> TokenBucket {
    TokenBucket {
        max_tokens: tokens,
        tokens_per_fill: tokens,
        fill_interval: Duration::from_secs(3600),
    }
}

fn limit(tokens: Option<u32>) -> LocalRateLimit {
    LocalRateLimit {
        stat_prefix: "limiter".into(),
        bucket: tokens.map(bucket),
        status: 429,
        enabled: Fraction::ALL,
        enforced: Fraction::ALL,
        per_connection: false,
        descriptors: Vec::new(),
        response_headers: vec![HeaderValue {
            name: "x-local-rate-limit".into(),
            value: "true".into(),
            append: HeaderAppend::Overwrite,
        }],
        rate_limits: Vec::new(),
    }
}

fn limited(mut route: Route, limit: Option<LocalRateLimit>, rules: Vec<RateLimitRule>) -> Route {
    route.policy.local_rate_limit = limit.map(Arc::new);
    route.policy.rate_limits = rules;
    route
}

/// A configuration whose server has a limit.
fn config(
    address: std::net::SocketAddr,
    server: LocalRateLimit,
    routes: Vec<Route>,
    clusters: Vec<Arc<Cluster>>,
) -> ProxyConfig {
    let mut manager = manager(routes);
    manager.filters = vec![HttpFilter::LocalRateLimit(Arc::new(server))];
    ProxyConfig {
        listeners: vec![listener(
            "test",
            address,
            true,
            vec![chain(Network::Http(manager))],
        )]
        .into(),
        clusters: clusters.into(),
        ..ProxyConfig::default()
    }
}

#[test]
fn requests_beyond_the_bucket_are_answered_with_429() {
    let address = free();
    let routes = vec![
        limited(to("/few", "one"), Some(limit(Some(1))), Vec::new()),
        limited(to("/free", "one"), Some(limit(None)), Vec::new()),
        to("/", "one"),
    ];
    let clusters = vec![static_cluster("one", &[echo("one")])];
    let first = config(address, limit(Some(2)), routes.clone(), clusters.clone());
    let proxy = start(address, Capture::Redirect, &first);
    let codes = |path: &str, count: usize| -> Vec<u16> {
        (0..count).map(|_| proxy.get(path).code).collect()
    };
    assert_eq!(codes("/", 2), [200; 2]);
    let answer = proxy.get("/");
    assert_eq!((answer.code, &*answer.body), (429, "local_rate_limited"));
    assert_eq!(answer.field("x-local-rate-limit"), Some("true"));
    // Routes may have a limit of their own.
    assert_eq!(codes("/few", 2), [200, 429]);
    assert_eq!(codes("/free", 3), [200; 3]);
    // A gRPC client is told in its own way.
    let mut wire = proxy.connect();
    wire.send(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n",
    );
    let answer = wire.answer();
    assert_eq!(
        (answer.code, answer.field("grpc-status")),
        (200, Some("14"))
    );
    let limited = ["response_code=\"429\"", "response_flags=\"RL\""];
    assert_eq!(proxy.metric("istio_requests_total", &limited), 2);
    // Whatever else changes, what was counted stays.
    let other = static_cluster("another", &[]);
    let clusters = clusters.into_iter().chain([other]).collect();
    proxy.apply(&config(address, limit(Some(2)), routes, clusters));
    assert_eq!((codes("/", 1), codes("/few", 1)), (vec![429], vec![429]));
    let runtime = proxy.workers.runtime();
    let refused = runtime.limiters().map(|limiter| &limiter.counts.enforced);
    let refused: u64 = refused.map(|count| count.load(Ordering::Relaxed)).sum();
    assert_eq!(refused, 5);
    proxy.apply(&config(
        address,
        limit(Some(1)),
        vec![to("/", "one")],
        vec![static_cluster("one", &[echo("one")])],
    ));
    assert_eq!(codes("/", 2), [200, 429]);
}

#[test]
fn descriptors_have_buckets_of_their_own() {
    let rule = RateLimitRule {
        stage: 0,
        actions: vec![RateLimitAction::RequestHeader {
            name: "x-user".into(),
            key: "user".into(),
            skip_if_absent: false,
        }],
    };
    let mut server = limit(None);
    server.descriptors = [("jo", 1), ("", 2)]
        .map(|(value, tokens)| DescriptorLimit {
            entries: vec![("user".into(), value.into())],
            bucket: bucket(tokens),
        })
        .into();
    let address = free();
    let proxy = start(
        address,
        Capture::Redirect,
        &config(
            address,
            server,
            vec![limited(to("/", "one"), None, vec![rule])],
            vec![static_cluster("one", &[echo("one")])],
        ),
    );
    let codes = |user: &str| {
        let mut wire = proxy.connect();
        [(); 3].map(|()| {
            wire.send(&format!("GET / HTTP/1.1\r\nHost: a\r\n{user}\r\n"));
            wire.answer().code
        })
    };
    assert_eq!(codes("X-User: jo\r\n"), [200, 429, 429]);
    assert_eq!(codes("X-User: al\r\n"), [200, 200, 429]);
    assert_eq!(codes("X-User: bo\r\n"), [200, 200, 429]);
    assert_eq!(codes(""), [200; 3]);
}

#[test]
fn a_limit_that_is_not_enforced_only_counts() {
    let address = free();
    let server = LocalRateLimit {
        enforced: Fraction::NONE,
        ..limit(Some(1))
    };
    let proxy = start(
        address,
        Capture::Redirect,
        &config(
            address,
            server,
            vec![to("/", "one")],
            vec![static_cluster("one", &[echo("one")])],
        ),
    );
    for _ in 0..3 {
        assert_eq!(proxy.get("/").code, 200);
    }
    let runtime = proxy.workers.runtime();
    let counts = &runtime.limiters().next().unwrap().counts;
    let counted = [&counts.ok, &counts.rate_limited, &counts.enforced];
    assert_eq!(
        counted.map(|count| count.load(Ordering::Relaxed)),
        [1, 2, 0]
    );
}
