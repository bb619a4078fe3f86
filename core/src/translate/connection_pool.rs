//! What a `connectionPool` and a port's protocol say about connections, on the side of clients and on that of servers.

use mesh_ir::{ClientPolicy, HttpProtocol, Limits, RetryBudget, TcpKeepalive};

use crate::model::{self, ConnectionPoolSettings, DurationText, H2UpgradePolicy};
use crate::snapshot::Protocol;

/// Sets the protocol of a port, and what the pool's settings ask for.
pub(super) fn apply(
    client: &mut ClientPolicy,
    protocol: Protocol,
    pool: Option<&ConnectionPoolSettings>,
) {
    client.protocol = http_protocol(protocol, pool);
    client.limits = limits(pool, client.protocol);
    let tcp = pool.and_then(|pool| pool.tcp.as_ref());
    let seconds = |text: DurationText| u32::try_from(text.0.as_secs()).unwrap_or(u32::MAX);
    client.keepalive = tcp
        .and_then(|tcp| tcp.tcp_keepalive.as_ref())
        .map(|probes| TcpKeepalive {
            probes: probes.probes.filter(|probes| *probes > 0),
            time: probes.time.map(seconds),
            interval: probes.interval.map(seconds),
        });
    let timeout = tcp.and_then(|tcp| tcp.connect_timeout);
    if let Some(timeout) = timeout.filter(|timeout| !timeout.0.is_zero()) {
        client.connect_timeout = timeout.0;
    }
}

/// The retries that a policy allows in proportion to requests; what is not said is Istio's: 20 percent, and 3 always.
pub(super) fn retry_budget(budget: &model::RetryBudget) -> RetryBudget {
    let percent = budget.percent.unwrap_or(20.0).clamp(0.0, 100.0);
    RetryBudget {
        percent: (percent * 1000.0).round() as u32,
        minimum: budget.min_retry_concurrency.unwrap_or(3),
    }
}

/// A port whose protocol is not said is spoken to as the client speaks, and so is an HTTP port that asks for it.
fn http_protocol(protocol: Protocol, pool: Option<&ConnectionPoolSettings>) -> HttpProtocol {
    let http = pool.and_then(|pool| pool.http.as_ref());
    let upgrade = http.is_some_and(|http| http.h2_upgrade_policy == Some(H2UpgradePolicy::Upgrade));
    let as_client = http.is_some_and(|http| http.use_client_protocol == Some(true));
    match protocol {
        Protocol::Http | Protocol::Http2 | Protocol::Grpc | Protocol::GrpcWeb if as_client => {
            HttpProtocol::AsClient
        }
        Protocol::Http2 | Protocol::Grpc | Protocol::GrpcWeb => HttpProtocol::Http2,
        Protocol::Http if upgrade => HttpProtocol::Http2,
        Protocol::Detect => HttpProtocol::AsClient,
        Protocol::Http | Protocol::Https | Protocol::Tls | Protocol::Tcp => HttpProtocol::Http1,
    }
}

/// Limits that are set; 0 is as good as none, negative values were reported with the rule.
fn limits(pool: Option<&ConnectionPoolSettings>, protocol: HttpProtocol) -> Limits {
    let tcp = pool.and_then(|pool| pool.tcp.as_ref());
    let http = pool.and_then(|pool| pool.http.as_ref());
    let limit = |value: Option<i32>| {
        value
            .and_then(|value| u32::try_from(value).ok())
            .filter(|value| *value > 0)
    };
    Limits {
        max_connections: limit(tcp.and_then(|tcp| tcp.max_connections)),
        max_pending_requests: limit(http.and_then(|http| http.http1_max_pending_requests)),
        max_requests: limit(http.and_then(|http| http.http2_max_requests)),
        max_requests_per_connection: limit(http.and_then(|http| http.max_requests_per_connection)),
        max_retries: limit(http.and_then(|http| http.max_retries)),
        idle_timeout: http
            .and_then(|http| http.idle_timeout)
            .map(|text| text.0)
            .filter(|timeout| !timeout.is_zero()),
        max_connection_duration: tcp
            .and_then(|tcp| tcp.max_connection_duration)
            .map(|text| text.0)
            .filter(|timeout| !timeout.is_zero()),
        // HTTP/1.1 has no streams.
        max_concurrent_streams: limit(http.and_then(|http| http.max_concurrent_streams))
            .filter(|_| protocol != HttpProtocol::Http1),
        ..Limits::default()
    }
}
