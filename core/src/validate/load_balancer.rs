//! How an endpoint is chosen: stickiness, locality, warm-up.

use super::common::duration;
use super::{At, Violations};
use crate::model::{
    ConsistentHash, HashCookie, LoadBalancerSettings, LocalityDistribute, LocalityFailover,
    LocalityLbSetting, Maglev, Warmup, ZoneAwareLbSetting,
};

/// Entries that a Maglev table has less of, as Envoy limits it.
const MAGLEV_LIMIT: u64 = 5_000_011;

/// `loadBalancer`. Failing over needs outlier detection beside it, which says when an endpoint is not healthy.
pub(super) fn check(
    balancer: &LoadBalancerSettings,
    has_outlier_detection: bool,
    at: &At<'_>,
    violations: &mut Violations,
) {
    let LoadBalancerSettings {
        simple,
        consistent_hash,
        locality_lb_setting,
        zone_aware_lb_setting,
        warmup,
        warmup_duration_secs,
    } = balancer;
    if let Some(hash) = consistent_hash {
        let at = at.key("consistentHash");
        if simple.is_some() {
            violations.add(&at, "only one of simple and consistentHash can be set");
        }
        check_hash(hash, &at, violations);
    }
    if let Some(locality) = locality_lb_setting {
        let at = at.key("localityLbSetting");
        check_locality(locality, has_outlier_detection, &at, violations);
    }
    if let Some(zones) = zone_aware_lb_setting {
        let at = at.key("zoneAwareLbSetting");
        if locality_lb_setting.is_some() {
            let message = "only one of localityLbSetting and zoneAwareLbSetting can be set";
            violations.add(&at, message);
        }
        check_zones(zones, has_outlier_detection, &at, violations);
    }
    if let Some(warmup) = warmup {
        check_warmup(warmup, &at.key("warmup"), violations);
    }
    if let Some(time) = warmup_duration_secs {
        let at = at.key("warmupDurationSecs");
        violations.warn_hint(
            &at,
            "warmupDurationSecs is deprecated",
            "set warmup.duration",
        );
        violations.check(&at, duration(*time, false));
    }
}

/// What `MeshConfig` says of localities and zones. Unlike in a DestinationRule both may be there, and zones count then.
pub(super) fn check_mesh(
    locality: Option<&LocalityLbSetting>,
    zones: Option<&ZoneAwareLbSetting>,
    at: &At<'_>,
    violations: &mut Violations,
) {
    // Whether endpoints are ejected is for each DestinationRule to say.
    if let Some(locality) = locality {
        check_locality(locality, true, &at.key("localityLbSetting"), violations);
    }
    if let Some(zones) = zones {
        check_zones(zones, true, &at.key("zoneAwareLbSetting"), violations);
    }
}

fn check_hash(hash: &ConsistentHash, at: &At<'_>, violations: &mut Violations) {
    let ConsistentHash {
        http_header_name,
        http_cookie,
        use_source_ip,
        http_query_parameter_name,
        ring_hash,
        maglev,
        minimum_ring_size,
    } = hash;
    let keys = [
        ("httpHeaderName", http_header_name.is_some()),
        ("httpCookie", http_cookie.is_some()),
        ("useSourceIp", use_source_ip.is_some()),
        (
            "httpQueryParameterName",
            http_query_parameter_name.is_some(),
        ),
    ];
    let names = keys.map(|(name, _)| name).join(", ");
    match keys.iter().filter(|(_, given)| *given).count() {
        1 => {}
        0 => violations.warn_hint(
            at,
            "nothing is hashed, so that requests are spread at random",
            format!("set one of {names}"),
        ),
        _ => violations.add(at, format!("only one of {names} can be set")),
    }
    if let Some(HashCookie {
        name,
        path: _,
        ttl: _,
        attributes,
    }) = http_cookie
    {
        let at = at.key("httpCookie");
        if name.is_empty() {
            violations.add(&at.key("name"), "the cookie's name is missing");
        }
        let key = at.key("attributes");
        for (position, attribute) in attributes.iter().enumerate() {
            let at = key.index(position);
            let at = at.key("name");
            let mut earlier = attributes.iter().take(position);
            if attribute.name.is_empty() {
                violations.add(&at, "the attribute's name is missing");
            } else if earlier.any(|other| other.name == attribute.name) {
                violations.add(&at, format!("attribute {:?} is repeated", attribute.name));
            }
        }
    }
    let sizes = [
        ("ringHash", ring_hash.is_some()),
        ("maglev", maglev.is_some()),
        (
            "minimumRingSize",
            minimum_ring_size.is_some_and(|size| size != 0),
        ),
    ];
    let given: Vec<&str> = sizes
        .into_iter()
        .filter_map(|(name, given)| given.then_some(name))
        .collect();
    for other in given.iter().skip(1) {
        let message = format!("only one of {} and {other} can be set", given[0]);
        violations.add(&at.key(other), message);
    }
    if given.contains(&"minimumRingSize") {
        violations.warn_hint(
            &at.key("minimumRingSize"),
            "minimumRingSize is deprecated",
            "set ringHash.minimumRingSize",
        );
    }
    if let Some(Maglev { table_size }) = maglev {
        let size = table_size.unwrap_or_default();
        if size >= MAGLEV_LIMIT || !is_prime(size) {
            let message = format!("{size} is not a prime number below {MAGLEV_LIMIT}");
            violations.add_hint(
                &at.key("maglev").key("tableSize"),
                message,
                "65537 is usual",
            );
        }
    }
}

/// Whether Envoy counts a number among the primes; to Envoy, 1 is one.
fn is_prime(number: u64) -> bool {
    let mut factors = (2..).take_while(|factor| factor * factor <= number);
    number > 0 && factors.all(|factor| !number.is_multiple_of(factor))
}

fn check_locality(
    locality: &LocalityLbSetting,
    has_outlier_detection: bool,
    at: &At<'_>,
    violations: &mut Violations,
) {
    let LocalityLbSetting {
        distribute,
        failover,
        failover_priority,
        enabled: _,
    } = locality;
    if !distribute.is_empty() && !failover.is_empty() {
        violations.add(
            &at.key("failover"),
            "only one of distribute and failover can be set",
        );
    }
    if (!failover.is_empty() || !failover_priority.is_empty()) && !has_outlier_detection {
        warn_without_outlier_detection(at, violations);
    }
    let topology = |label: &String| TOPOLOGY_LABELS.contains(&label.as_str());
    if !failover.is_empty()
        && let Some(position) = failover_priority.iter().position(topology)
    {
        let message = "a topology label cannot stand beside failover";
        violations.add(&at.key("failoverPriority").index(position), message);
    }
    for (position, LocalityDistribute { from, to }) in distribute.iter().enumerate() {
        let key = at.key("distribute");
        let at = key.index(position);
        violations.check(&at.key("from"), locality_text(from));
        let mut earlier = distribute.iter().take(position);
        if let Some(other) = earlier.find(|other| overlap(&other.from, from)) {
            let message = format!(
                "{from:?} overlaps {:?}, which has shares of its own",
                other.from
            );
            violations.add(&at.key("from"), message);
        }
        let to_at = at.key("to");
        let names: Vec<&String> = to.keys().collect();
        for (position, one) in names.iter().enumerate() {
            let mut others = names.iter().take(position);
            if let Some(other) = others.find(|other| overlap(other, one)) {
                let message = format!("{one:?} overlaps {other:?}");
                violations.add(&to_at.key(one), message);
            }
        }
        for (locality, share) in to {
            violations.check(&to_at.key(locality), locality_text(locality));
            if !(1..=100).contains(share) {
                let message = format!("{share} is not in the range 1 to 100");
                violations.add(&to_at.key(locality), message);
            }
        }
        let total: u64 = to.values().map(|share| u64::from(*share)).sum();
        if total != 100 {
            let message = format!("the weights add up to {total}, not to 100");
            violations.add(&to_at, message);
        }
    }
    check_failover(failover, at, violations);
}

/// Labels by which Envoy knows where an endpoint is.
const TOPOLOGY_LABELS: [&str; 3] = [
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.istio.io/subzone",
];

/// Whether a locality exists that both stand for.
fn overlap(one: &str, other: &str) -> bool {
    let parts = |text: &str| -> Vec<String> {
        let parts = text.splitn(3, '/').map(str::to_owned);
        parts.filter(|part| part != "*").collect()
    };
    let (one, other) = (parts(one), parts(other));
    let common = one.len().min(other.len());
    one[..common] == other[..common]
}

/// What region, zone and subzone mean is settled, so that other labels alone can be named.
fn check_zones(
    zones: &ZoneAwareLbSetting,
    has_outlier_detection: bool,
    at: &At<'_>,
    violations: &mut Violations,
) {
    let ZoneAwareLbSetting {
        enabled: _,
        failover,
        failover_priority,
        min_cluster_size: _,
    } = zones;
    for (position, label) in failover_priority.iter().enumerate() {
        if TOPOLOGY_LABELS.contains(&label.as_str()) {
            let message = "region and zone count by themselves here; name other labels";
            violations.add(&at.key("failoverPriority").index(position), message);
        }
    }
    if (!failover.is_empty() || !failover_priority.is_empty()) && !has_outlier_detection {
        warn_without_outlier_detection(at, violations);
    }
    check_failover(failover, at, violations);
}

fn warn_without_outlier_detection(at: &At<'_>, violations: &mut Violations) {
    violations.warn_hint(
        at,
        "failing over needs outlierDetection, which finds endpoints that are not healthy",
        "set outlierDetection in the same policy",
    );
}

fn check_failover(failover: &[LocalityFailover], at: &At<'_>, violations: &mut Violations) {
    for (position, LocalityFailover { from, to }) in failover.iter().enumerate() {
        let key = at.key("failover");
        let at = key.index(position);
        for (key, region) in [("from", from), ("to", to)] {
            if region.contains(['*', '/']) {
                violations.add(&at.key(key), format!("{region:?} is not a region"));
            }
        }
        if from == to {
            violations.add(&at.key("to"), "a region cannot fail over to itself");
        }
    }
}

/// `region/zone/subzone`, of which later parts may be missing, and the last one `*`.
fn locality_text(text: &str) -> Result<(), String> {
    let parts: Vec<&str> = text.splitn(3, '/').collect();
    let names = parts.strip_suffix(&["*"]).unwrap_or(&parts);
    // As in Istio, a part may end in a wildcard where the whole does.
    let stars = text.matches('*').count();
    let at_end = stars == 0 || (stars == 1 && text.ends_with('*'));
    let valid = at_end && names.iter().all(|name| !name.is_empty());
    if valid {
        Ok(())
    } else {
        Err(format!(
            "{text:?} is not a locality: region/zone/subzone, which may end in *"
        ))
    }
}

fn check_warmup(warmup: &Warmup, at: &At<'_>, violations: &mut Violations) {
    let Warmup {
        duration: time,
        minimum_percent,
        aggression,
    } = warmup;
    let duration_at = at.key("duration");
    match time {
        Some(time) => violations.check(&duration_at, duration(*time, false)),
        None => violations.add(&duration_at, "the duration is missing"),
    }
    if let Some(share) = minimum_percent {
        violations.check(&at.key("minimumPercent"), super::common::percent(*share));
    }
    if let Some(aggression) = aggression
        && *aggression <= 0.0
    {
        let message = format!("{aggression} is not above 0");
        violations.add(&at.key("aggression"), message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primes_of_maglev_tables() {
        for (number, prime) in [
            (0, false),
            (1, true),
            (2, true),
            (65_537, true),
            (65_536, false),
        ] {
            assert_eq!(is_prime(number), prime, "{number}");
        }
    }

    #[test]
    fn localities_have_three_parts_of_which_the_last_may_be_any() {
        for text in ["*", "r", "r/*", "r/z", "r/z/s", "r/z/*"] {
            assert_eq!(locality_text(text), Ok(()), "{text}");
        }
        for text in ["", "r//s", "*/z", "r/*/s", "*a"] {
            assert!(locality_text(text).is_err(), "{text}");
        }
    }
}
