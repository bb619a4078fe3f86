//! Traffic policies of a host, a subset or a port.

use std::collections::BTreeSet;

use super::common::{duration, not_negative, percent, port};
use super::load_balancer;
use super::names::{fqdn, is_ip};
use super::{At, Violations, tls_settings};
use crate::model::{
    ClientTls, ConnectionPoolSettings, DurationText, H2UpgradePolicy, Http2KeepAlive, HttpSettings,
    LoadBalancerSettings, OutlierDetection, PortTrafficPolicy, RetryBudget, TcpKeepalive,
    TcpSettings, TrafficPolicy, TunnelSettings,
};

/// A policy with those of its ports.
pub(super) fn check_policy(policy: &TrafficPolicy, at: &At<'_>, violations: &mut Violations) {
    let TrafficPolicy {
        load_balancer,
        connection_pool,
        outlier_detection,
        tls,
        port_level_settings,
        tunnel,
        proxy_protocol,
        retry_budget,
    } = policy;
    if *policy == TrafficPolicy::default() {
        violations.add(at, "the policy is empty; leave it out instead");
    }
    let settings = Settings {
        load_balancer: load_balancer.as_ref(),
        connection_pool: connection_pool.as_ref(),
        outlier_detection: outlier_detection.as_ref(),
        tls: tls.as_ref(),
    };
    settings.check(at, violations);
    if tunnel.is_some() && proxy_protocol.is_some() {
        violations.add(
            &at.key("proxyProtocol"),
            "only one of tunnel and proxyProtocol can be set",
        );
    }
    if let Some(tunnel) = tunnel {
        check_tunnel(tunnel, &at.key("tunnel"), violations);
    }
    if let Some(RetryBudget {
        percent: share,
        min_retry_concurrency: _,
        budget_interval: _,
    }) = retry_budget
        && let Some(share) = share
    {
        violations.check(&at.key("retryBudget").key("percent"), percent(*share));
    }
    check_ports(
        port_level_settings,
        &at.key("portLevelSettings"),
        violations,
    );
}

fn check_ports(policies: &[PortTrafficPolicy], at: &At<'_>, violations: &mut Violations) {
    let mut ports = BTreeSet::new();
    for (position, policy) in policies.iter().enumerate() {
        let PortTrafficPolicy {
            port: selector,
            load_balancer,
            connection_pool,
            outlier_detection,
            tls,
        } = policy;
        let at = at.index(position);
        let number_at = at.key("port");
        let number_at = number_at.key("number");
        violations.check(&number_at, port(selector.number));
        if !ports.insert(selector.number) {
            let message = format!(
                "port {} is repeated; the first policy counts",
                selector.number
            );
            violations.warn(&number_at, message);
        }
        let settings = Settings {
            load_balancer: load_balancer.as_ref(),
            connection_pool: connection_pool.as_ref(),
            outlier_detection: outlier_detection.as_ref(),
            tls: tls.as_ref(),
        };
        if settings.is_empty() {
            violations.add(&at, "the policy of the port is empty");
        }
        settings.check(&at, violations);
    }
}

/// What policies of a host and of a port have in common.
struct Settings<'p> {
    load_balancer: Option<&'p LoadBalancerSettings>,
    connection_pool: Option<&'p ConnectionPoolSettings>,
    outlier_detection: Option<&'p OutlierDetection>,
    tls: Option<&'p ClientTls>,
}

impl Settings<'_> {
    fn is_empty(&self) -> bool {
        self.load_balancer.is_none()
            && self.connection_pool.is_none()
            && self.outlier_detection.is_none()
            && self.tls.is_none()
    }

    fn check(&self, at: &At<'_>, violations: &mut Violations) {
        if let Some(balancer) = self.load_balancer {
            load_balancer::check(
                balancer,
                self.outlier_detection.is_some(),
                &at.key("loadBalancer"),
                violations,
            );
        }
        if let Some(pool) = self.connection_pool {
            check_pool(pool, &at.key("connectionPool"), violations);
        }
        if let Some(outlier) = self.outlier_detection {
            check_outlier(outlier, &at.key("outlierDetection"), violations);
        }
        if let Some(tls) = self.tls {
            tls_settings::check_client(tls, &at.key("tls"), violations);
        }
    }
}

/// Limits for connections and requests.
pub(super) fn check_pool(pool: &ConnectionPoolSettings, at: &At<'_>, violations: &mut Violations) {
    let ConnectionPoolSettings { tcp, http } = pool;
    if tcp.is_none() && http.is_none() {
        violations.add(at, "tcp or http is missing");
    }
    if let Some(tcp) = tcp {
        check_tcp(tcp, &at.key("tcp"), violations);
    }
    if let Some(http) = http {
        check_http(http, &at.key("http"), violations);
    }
}

fn check_tcp(tcp: &TcpSettings, at: &At<'_>, violations: &mut Violations) {
    let TcpSettings {
        max_connections,
        connect_timeout,
        tcp_keepalive,
        max_connection_duration,
        idle_timeout,
    } = tcp;
    not_negative(&[("maxConnections", *max_connections)], at, violations);
    let times = [
        ("connectTimeout", *connect_timeout),
        ("maxConnectionDuration", *max_connection_duration),
    ];
    durations(&times, at, violations);
    // Less than a millisecond turns it off, as zero does.
    if let Some(timeout) = idle_timeout.filter(|timeout| timeout.0.as_millis() > 0) {
        violations.check(&at.key("idleTimeout"), duration(timeout, true));
    }
    if let Some(TcpKeepalive {
        probes: _,
        time,
        interval,
    }) = tcp_keepalive
    {
        let at = at.key("tcpKeepalive");
        durations(&[("time", *time), ("interval", *interval)], &at, violations);
    }
}

fn check_http(http: &HttpSettings, at: &At<'_>, violations: &mut Violations) {
    let HttpSettings {
        http1_max_pending_requests,
        http2_max_requests,
        max_requests_per_connection,
        max_retries,
        idle_timeout,
        h2_upgrade_policy,
        use_client_protocol,
        max_concurrent_streams,
        http2_keep_alive,
    } = http;
    let numbers = [
        ("http1MaxPendingRequests", *http1_max_pending_requests),
        ("http2MaxRequests", *http2_max_requests),
        ("maxRequestsPerConnection", *max_requests_per_connection),
        ("maxRetries", *max_retries),
        ("maxConcurrentStreams", *max_concurrent_streams),
    ];
    not_negative(&numbers, at, violations);
    durations(&[("idleTimeout", *idle_timeout)], at, violations);
    if let Some(Http2KeepAlive { interval, timeout }) = http2_keep_alive {
        let at = at.key("http2KeepAlive");
        let times = [("interval", *interval), ("timeout", *timeout)];
        for (key, _) in times.iter().filter(|(_, time)| time.is_none()) {
            violations.add(&at.key(key), format!("{key} is missing"));
        }
        durations(&times, &at, violations);
    }
    if *h2_upgrade_policy == Some(H2UpgradePolicy::Upgrade) && *use_client_protocol == Some(true) {
        violations.add(
            &at.key("useClientProtocol"),
            "the client's protocol cannot be kept with h2UpgradePolicy UPGRADE",
        );
    }
}

fn durations(times: &[(&str, Option<DurationText>)], at: &At<'_>, violations: &mut Violations) {
    for (key, time) in times {
        if let Some(time) = time {
            violations.check(&at.key(key), duration(*time, false));
        }
    }
}

fn check_outlier(outlier: &OutlierDetection, at: &At<'_>, violations: &mut Violations) {
    let OutlierDetection {
        consecutive_errors,
        split_external_local_origin_errors,
        consecutive_local_origin_failures,
        consecutive_gateway_errors: _,
        consecutive_5xx_errors: _,
        interval,
        base_ejection_time,
        max_ejection_percent,
        min_health_percent,
        outlier_detection_http_error_codes: _,
    } = outlier;
    if consecutive_errors.is_some_and(|errors| errors != 0) {
        violations.warn_hint(
            &at.key("consecutiveErrors"),
            "consecutiveErrors is deprecated",
            "set consecutiveGatewayErrors or consecutive5xxErrors",
        );
    }
    if consecutive_local_origin_failures.is_some_and(|failures| failures > 0)
        && *split_external_local_origin_errors != Some(true)
    {
        violations.add_hint(
            &at.key("consecutiveLocalOriginFailures"),
            "failures to connect are not counted apart from other errors",
            "set splitExternalLocalOriginErrors: true",
        );
    }
    let times = [
        ("interval", *interval),
        ("baseEjectionTime", *base_ejection_time),
    ];
    durations(&times, at, violations);
    for (key, share) in [
        ("maxEjectionPercent", max_ejection_percent),
        ("minHealthPercent", min_health_percent),
    ] {
        if let Some(share) = share {
            violations.check(&at.key(key), percent(f64::from(*share)));
        }
    }
}

fn check_tunnel(tunnel: &TunnelSettings, at: &At<'_>, violations: &mut Violations) {
    let TunnelSettings {
        protocol,
        target_host,
        target_port,
    } = tunnel;
    if let Some(protocol) = protocol.as_deref().filter(|text| !text.is_empty())
        && !["CONNECT", "POST"].contains(&protocol)
    {
        let message = format!("{protocol:?} is neither CONNECT nor POST");
        violations.add(&at.key("protocol"), message);
    }
    if !is_ip(target_host) {
        violations.check(&at.key("targetHost"), fqdn(target_host));
    }
    violations.check(&at.key("targetPort"), port(*target_port));
}
