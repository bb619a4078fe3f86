//! Checks that several kinds share.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::names::{is_ip, is_label, is_namespace, label_key, label_value};
use super::{At, Violations};
use crate::model::{DurationText, Percent, PortProtocol, StringMatch};

/// Longest expression in bytes, as Istio limits it.
pub(super) const REGEX_LENGTH: usize = 1024;

/// From 1 to 65535.
pub(super) fn port(number: u32) -> Result<(), String> {
    if (1..=65_535).contains(&number) {
        Ok(())
    } else {
        Err(format!("port {number} is not in the range 1 to 65535"))
    }
}

/// A protocol of a port.
pub(super) fn protocol(name: &str) -> Result<PortProtocol, String> {
    let names = || PortProtocol::names().collect::<Vec<_>>().join(", ");
    PortProtocol::parse(name).ok_or_else(|| format!("{name:?} is not a protocol; {} are", names()))
}

/// The name of a port: it becomes part of other names.
pub(super) fn port_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        Err("the port's name is missing".to_owned())
    } else if is_label(name) {
        Ok(())
    } else {
        Err(format!(
            "{name:?} is not the name of a port: at most 63 letters, digits and -"
        ))
    }
}

/// Numbers that are at least zero.
pub(super) fn not_negative(
    numbers: &[(&str, Option<i32>)],
    at: &At<'_>,
    violations: &mut Violations,
) {
    for (key, number) in numbers {
        if let Some(number) = number.filter(|number| *number < 0) {
            violations.add(&at.key(key), format!("{number} is negative"));
        }
    }
}

/// From 0 to 100.
pub(super) fn percent(value: f64) -> Result<(), String> {
    if (0.0..=100.0).contains(&value) {
        Ok(())
    } else {
        Err(format!("{value} is not in the range 0 to 100"))
    }
}

/// Whole milliseconds, at least one. Zero passes where it means "none".
pub(super) fn duration(text: DurationText, zero_means_none: bool) -> Result<(), String> {
    let duration = text.0;
    if duration.is_zero() && zero_means_none {
        return Ok(());
    }
    if duration < Duration::from_millis(1) {
        return Err(format!("{text} is too short: at least 1ms"));
    }
    if !duration.subsec_nanos().is_multiple_of(1_000_000) {
        return Err(format!("{text} is finer than milliseconds"));
    }
    Ok(())
}

/// A share of requests: from 0 to 100, and not so small that Envoy's millionths would make it none.
pub(super) fn share(value: &Percent) -> Result<(), String> {
    let value = value.value;
    percent(value)?;
    if value > 0.0 && value < 0.0001 {
        return Err(format!("{value} is less than the smallest share, 0.0001"));
    }
    Ok(())
}

/// An RE2 expression.
pub(super) fn regex(pattern: &str) -> Result<(), String> {
    if pattern.len() > REGEX_LENGTH {
        return Err(format!(
            "the expression is longer than {REGEX_LENGTH} bytes"
        ));
    }
    mesh_ir::matching::check_regex(pattern).map_err(|invalid| {
        let reason = invalid.reason;
        format!("{pattern:?} is not a regular expression: {reason}")
    })
}

/// A comparison of texts.
pub(super) fn string_match(text: &StringMatch, at: &At<'_>, violations: &mut Violations) {
    let StringMatch {
        exact,
        prefix,
        regex: pattern,
    } = text;
    let given = [exact, prefix, pattern]
        .iter()
        .filter(|field| field.is_some())
        .count();
    if given > 1 {
        violations.add(at, "only one of exact, prefix and regex can be set");
    }
    if prefix.as_deref() == Some("") {
        violations.add(
            &at.key("prefix"),
            "an empty prefix matches everything; leave the condition out instead",
        );
    }
    match pattern.as_deref() {
        None => {}
        Some("") => violations.add(&at.key("regex"), "the expression is empty"),
        Some(pattern) => violations.check(&at.key("regex"), regex(pattern)),
    }
}

/// Labels.
pub(super) fn labels(labels: &BTreeMap<String, String>, at: &At<'_>, violations: &mut Violations) {
    for (key, value) in labels {
        violations.check(
            &at.key(key),
            label_key(key).and_then(|()| label_value(value)),
        );
    }
}

/// Networks or addresses.
pub(super) fn networks(networks: &[String], at: &At<'_>, violations: &mut Violations) {
    for (position, network) in networks.iter().enumerate() {
        violations.check(&at.index(position), super::names::network(network));
    }
}

/// Labels that select workloads.
pub(super) fn selector_labels(
    labels: &BTreeMap<String, String>,
    at: &At<'_>,
    field: &str,
    violations: &mut Violations,
) {
    if labels.is_empty() {
        violations.warn(at, "a selector without labels selects all workloads");
    }
    super::policy::check_literal(labels, &at.key(field), violations);
}

/// `exportTo`: namespaces, `.`, or alone `*` and, where an object may be seen by nobody, `~`.
pub(super) fn export_to(
    export_to: &[String],
    may_be_none: bool,
    at: &At<'_>,
    violations: &mut Violations,
) {
    let mut seen = BTreeSet::new();
    for (position, namespace) in export_to.iter().enumerate() {
        let at = at.index(position);
        match namespace.as_str() {
            "*" | "~" if export_to.len() > 1 => {
                violations.add(
                    &at,
                    format!("{namespace:?} cannot stand beside other namespaces"),
                );
            }
            "~" if !may_be_none => {
                violations.add_hint(
                    &at,
                    "only a ServiceEntry can be exported to nobody",
                    "use . for the object's own namespace",
                );
            }
            "*" | "~" | "." => {}
            name if is_namespace(name) => {}
            name => violations.add(&at, format!("{name:?} is not a namespace, nor *, . or ~")),
        }
        if !seen.insert(namespace) {
            violations.add(&at, format!("{namespace:?} is repeated"));
        }
    }
}

/// Names of gateways: `mesh`, `NAME`, `NAMESPACE/NAME`, or an old fully qualified name.
pub(super) fn gateway_names(names: &[String], at: &At<'_>, violations: &mut Violations) {
    for (position, name) in names.iter().enumerate() {
        let at = at.index(position);
        let valid = match name.split_once('/') {
            None => super::names::fqdn(name).is_ok(),
            Some((namespace, name)) => (namespace == "." || is_label(namespace)) && is_label(name),
        };
        if !valid {
            let message =
                format!("{name:?} is not the name of a gateway: NAME, NAMESPACE/NAME or mesh");
            violations.add(&at, message);
        } else if let (None, Some((own, rest))) = (name.split_once('/'), name.split_once('.')) {
            let namespace = rest.split('.').next().unwrap_or_default();
            violations.warn_hint(
                &at,
                "gateways are no longer named by host names",
                format!("write {namespace}/{own}"),
            );
        }
    }
}

/// Name of a header.
pub(super) fn header_name(name: &str) -> Result<(), String> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() {
        Err("the name of a header is missing".to_owned())
    } else if name.bytes().all(token) {
        Ok(())
    } else {
        Err(format!("{name:?} is not the name of a header"))
    }
}

/// Weights of several destinations: none negative, and not all zero. With one destination its weight does not matter.
pub(super) fn weights(weights: &[Option<i32>], at: &At<'_>, violations: &mut Violations) {
    let mut total = 0u64;
    for (position, weight) in weights.iter().enumerate() {
        let weight = weight.unwrap_or(0);
        if weight < 0 {
            let at = at.index(position);
            violations.add(&at.key("weight"), format!("weight {weight} is negative"));
        }
        total += u64::from(weight.max(0).unsigned_abs());
    }
    if weights.len() > 1 && total == 0 && weights.iter().all(|weight| weight.unwrap_or(0) == 0) {
        violations.add_hint(
            at,
            "the weights of all destinations are zero",
            "give each destination a weight, such as 90 and 10",
        );
    }
    if total > u64::from(u32::MAX) {
        violations.add(at, "the sum of the weights is larger than 4294967295");
    }
}

/// An address to bind or to reach, either an IP or a Unix socket path.
pub(super) fn bind_address(text: &str) -> Result<(), String> {
    let unix = text.strip_prefix("unix://");
    if is_ip(text) || unix.is_some_and(|path| path.starts_with(['/', '@'])) {
        Ok(())
    } else {
        Err(format!("{text:?} is not an address"))
    }
}
