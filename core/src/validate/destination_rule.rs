//! `DestinationRule`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::common::{duration, export_to, labels, port};
use super::fault_injection::check_duration;
use super::names::{is_ip, is_label, wildcard_host};
use super::{At, Violations, tls_settings};
use crate::model::{
    ConnectionPoolSettings, DestinationRuleSpec, LoadBalancerSettings, TrafficPolicy,
};

pub(crate) fn check(object: &DestinationRuleSpec, at: &At<'_>, violations: &mut Violations) {
    let DestinationRuleSpec {
        host,
        subsets,
        traffic_policy,
        export_to: exported,
        workload_selector,
    } = object;
    let host_at = at.key("host");
    if host.is_empty() {
        violations.add(&host_at, "the host is missing");
    } else if !is_ip(host) {
        violations.check(&host_at, wildcard_host(host));
    }
    let mut names = BTreeSet::new();
    for (position, subset) in subsets.iter().enumerate() {
        let key = at.key("subsets");
        let at = key.index(position);
        let name_at = at.key("name");
        if subset.name.is_empty() {
            violations.add(&name_at, "the subset's name is missing");
        } else if !is_label(&subset.name) {
            let message = format!("{:?} is not a name of letters, digits and -", subset.name);
            violations.add(&name_at, message);
        } else if !names.insert(&subset.name) {
            violations.add(&name_at, format!("subset {:?} is repeated", subset.name));
        }
        labels(&subset.labels, &at.key("labels"), violations);
        if let Some(policy) = &subset.traffic_policy {
            check_policy(policy, &at.key("trafficPolicy"), violations);
        }
    }
    if let Some(policy) = traffic_policy {
        check_policy(policy, &at.key("trafficPolicy"), violations);
    }
    export_to(exported, &at.key("exportTo"), violations);
    if let Some(selector) = workload_selector {
        let at = at.key("workloadSelector");
        labels(&selector.match_labels, &at.key("matchLabels"), violations);
        if exported.iter().any(|namespace| namespace != ".") {
            let message = "a rule with a workloadSelector is for its own namespace only";
            violations.add(&at, message);
        }
    }
}

fn check_policy(policy: &TrafficPolicy, at: &At<'_>, violations: &mut Violations) {
    let TrafficPolicy {
        load_balancer,
        connection_pool,
        outlier_detection,
        tls,
        port_level_settings,
    } = policy;
    let block = Block {
        load_balancer: load_balancer.as_ref(),
        connection_pool: connection_pool.as_ref(),
        outlier_detection: outlier_detection.as_ref(),
        tls: tls.as_ref(),
    };
    block.check(at, violations);
    let mut ports = BTreeSet::new();
    for (position, settings) in port_level_settings.iter().enumerate() {
        let key = at.key("portLevelSettings");
        let at = key.index(position);
        let number = settings.port.number;
        violations.check(&at.key("port").key("number"), port(number));
        if !ports.insert(number) {
            violations.add(
                &at.key("port").key("number"),
                format!("port {number} is repeated"),
            );
        }
        let block = Block {
            load_balancer: settings.load_balancer.as_ref(),
            connection_pool: settings.connection_pool.as_ref(),
            outlier_detection: settings.outlier_detection.as_ref(),
            tls: settings.tls.as_ref(),
        };
        block.check(&at, violations);
    }
}

/// What policies of a host and of a port have in common.
struct Block<'p> {
    load_balancer: Option<&'p LoadBalancerSettings>,
    connection_pool: Option<&'p ConnectionPoolSettings>,
    outlier_detection: Option<&'p Value>,
    tls: Option<&'p Value>,
}

impl Block<'_> {
    fn check(&self, at: &At<'_>, violations: &mut Violations) {
        if let Some(balancer) = self.load_balancer {
            check_balancer(balancer, &at.key("loadBalancer"), violations);
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

fn check_balancer(balancer: &LoadBalancerSettings, at: &At<'_>, violations: &mut Violations) {
    let LoadBalancerSettings {
        simple,
        consistent_hash,
        locality_lb_setting,
        warmup: _,
    } = balancer;
    if let Some(hash) = consistent_hash {
        let at = at.key("consistentHash");
        if simple.is_some() {
            violations.add(&at, "only one of simple and consistentHash can be set");
        }
        const KEYS: [&str; 4] = [
            "httpHeaderName",
            "httpCookie",
            "useSourceIp",
            "httpQueryParameterName",
        ];
        match KEYS.iter().filter(|key| hash.get(**key).is_some()).count() {
            1 => {}
            0 => violations.add(&at, format!("one of {} is missing", KEYS.join(", "))),
            _ => violations.add(&at, format!("only one of {} can be set", KEYS.join(", "))),
        }
    }
    let Some(locality) = locality_lb_setting else {
        return;
    };
    let at = at.key("localityLbSetting");
    let given: Vec<&str> = ["distribute", "failover", "failoverPriority"]
        .into_iter()
        .filter(|key| {
            locality
                .get(*key)
                .and_then(Value::as_array)
                .is_some_and(|list| !list.is_empty())
        })
        .collect();
    if given.contains(&"distribute") && given.len() > 1 {
        violations.add(&at, format!("distribute cannot stand beside {}", given[1]));
    }
    let distribute = locality.get("distribute").and_then(Value::as_array);
    for (position, entry) in distribute.into_iter().flatten().enumerate() {
        let total: u64 = entry
            .get("to")
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(|to| to.values())
            .filter_map(Value::as_u64)
            .fold(0, u64::saturating_add);
        if total != 100 {
            let message = format!("the weights add up to {total}, not to 100");
            violations.add(&at.key("distribute").index(position).key("to"), message);
        }
    }
}

pub(super) fn check_pool(pool: &ConnectionPoolSettings, at: &At<'_>, violations: &mut Violations) {
    if let Some(tcp) = &pool.tcp {
        let at = at.key("tcp");
        not_negative(&[("maxConnections", tcp.max_connections)], &at, violations);
        for (key, value) in [
            ("connectTimeout", tcp.connect_timeout),
            ("maxConnectionDuration", tcp.max_connection_duration),
            ("idleTimeout", tcp.idle_timeout),
        ] {
            if let Some(value) = value {
                violations.check(&at.key(key), duration(value, key == "idleTimeout"));
            }
        }
    }
    if let Some(http) = &pool.http {
        let at = at.key("http");
        let numbers = [
            ("http1MaxPendingRequests", http.http1_max_pending_requests),
            ("http2MaxRequests", http.http2_max_requests),
            ("maxRequestsPerConnection", http.max_requests_per_connection),
            ("maxRetries", http.max_retries),
            ("maxConcurrentStreams", http.max_concurrent_streams),
        ];
        not_negative(&numbers, &at, violations);
        if let Some(timeout) = http.idle_timeout {
            violations.check(&at.key("idleTimeout"), duration(timeout, true));
        }
        const UPGRADES: [&str; 3] = ["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"];
        if let Some(policy) = &http.h2_upgrade_policy
            && !UPGRADES.contains(&policy.as_str())
        {
            let message = format!("{policy:?} is none of {}", UPGRADES.join(", "));
            violations.add(&at.key("h2UpgradePolicy"), message);
        }
    }
}

fn not_negative(numbers: &[(&str, Option<i32>)], at: &At<'_>, violations: &mut Violations) {
    for (key, number) in numbers {
        if let Some(number) = number.filter(|number| *number < 0) {
            violations.add(&at.key(key), format!("{number} is negative"));
        }
    }
}

fn check_outlier(outlier: &Value, at: &At<'_>, violations: &mut Violations) {
    const PERCENTS: [&str; 2] = ["maxEjectionPercent", "minHealthPercent"];
    const COUNTS: [&str; 3] = [
        "consecutive5xxErrors",
        "consecutiveGatewayErrors",
        "consecutiveLocalOriginFailures",
    ];
    for key in PERCENTS.into_iter().chain(COUNTS) {
        let Some(value) = outlier.get(key).filter(|value| !value.is_null()) else {
            continue;
        };
        let most = if PERCENTS.contains(&key) {
            100
        } else {
            i64::from(u32::MAX)
        };
        match value.as_i64() {
            Some(number) if (0..=most).contains(&number) => {}
            Some(number) => {
                violations.add(
                    &at.key(key),
                    format!("{number} is not in the range 0 to {most}"),
                );
            }
            None => violations.add(
                &at.key(key),
                format!("expected a whole number, found {value}"),
            ),
        }
    }
    for key in ["interval", "baseEjectionTime"] {
        check_duration(outlier, key, at, violations);
    }
}
