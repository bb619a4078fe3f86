//! Names and addresses: hosts, labels, namespaces, networks.

use std::net::IpAddr;

/// Letters, digits and `-`, which neither begins nor ends it; at most 63.
pub(super) fn is_label(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

/// A name of a Kubernetes object that becomes part of host names: a label in lower case.
pub(super) fn is_namespace(text: &str) -> bool {
    is_label(text) && !text.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// A fully qualified or short host name without a wildcard. Its last label is not all digits, so that no address is taken for one.
pub(super) fn fqdn(host: &str) -> Result<(), String> {
    if host.is_empty() {
        return Err("a host name is missing".to_owned());
    }
    if host.len() > 255 {
        return Err("a host name has at most 255 characters".to_owned());
    }
    let trimmed = host.strip_suffix('.').unwrap_or(host);
    let last = trimmed.rsplit('.').next().unwrap_or_default();
    if !host.ends_with('.') && !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!(
            "{host:?} is not a host name: its last label {last:?} is a number"
        ));
    }
    match trimmed.split('.').find(|label| !is_label(label)) {
        None => Ok(()),
        Some(label) if label == host => Err(format!(
            "{host:?} is not a host name: letters, digits and - are allowed, and dots between labels"
        )),
        Some(label) => Err(format!(
            "{host:?} is not a host name: {label:?} is not a label of letters, digits and -"
        )),
    }
}

/// A host name whose first label may be, or begin with, `*`.
pub(super) fn wildcard_host(host: &str) -> Result<(), String> {
    if host == "*" {
        return Ok(());
    }
    let Some(rest) = host.strip_prefix('*') else {
        if host.contains('*') {
            return Err(format!(
                "{host:?} has a wildcard that is not its first label"
            ));
        }
        // A short name may be a number: names of services may.
        return if is_label(host) { Ok(()) } else { fqdn(host) };
    };
    let in_label = !rest.starts_with('.');
    let rest = rest.strip_prefix(['.', '-']).unwrap_or(rest);
    if rest.contains('*') {
        return Err(format!("{host:?} has more than one wildcard"));
    }
    if in_label && is_label(rest) {
        return Ok(());
    }
    fqdn(rest)
        .map_err(|_| format!("{host:?} is not a host name with a wildcard such as *.example.com"))
}

/// A host name with a domain, perhaps with a wildcard: gateways and sidecars know no namespace that would complete a short name.
pub(super) fn qualified_host(host: &str) -> Result<(), String> {
    if host != "*" && !host.contains('.') {
        return Err(format!(
            "{host:?} is a short name, which is not known here; write the whole name, such as {host}.default.svc.cluster.local"
        ));
    }
    wildcard_host(host)
}

/// An address of either family.
pub(super) fn is_ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

/// An address or a network such as `10.0.0.0/8`.
pub(super) fn network(text: &str) -> Result<(), String> {
    let valid = match text.split_once('/') {
        None => is_ip(text),
        Some((address, bits)) => match (address.parse::<IpAddr>(), bits.parse::<u8>()) {
            (Ok(IpAddr::V4(_)), Ok(bits)) => bits <= 32,
            (Ok(IpAddr::V6(_)), Ok(bits)) => bits <= 128,
            _ => false,
        },
    };
    if valid {
        Ok(())
    } else {
        Err(format!(
            "{text:?} is neither an address nor a network such as 10.0.0.0/8"
        ))
    }
}

/// A label key: an optional DNS prefix and a name.
pub(super) fn label_key(key: &str) -> Result<(), String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if prefix.is_some_and(|prefix| fqdn(prefix).is_err()) || name.is_empty() || !is_label_text(name)
    {
        return Err(format!("{key:?} is not a label key"));
    }
    Ok(())
}

/// A label value: empty, or at most 63 letters, digits, `-`, `_` and `.`.
pub(super) fn label_value(value: &str) -> Result<(), String> {
    if value.is_empty() || is_label_text(value) {
        return Ok(());
    }
    Err(format!(
        "{value:?} is not a label value: at most 63 letters, digits, -, _ and ., and a letter or digit at both ends"
    ))
}

fn is_label_text(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_with_wildcards() {
        for host in [
            "*",
            "*.example.com",
            "*-api.example.com",
            "reviews",
            "reviews.prod.svc.cluster.local",
            "a.b.",
        ] {
            assert_eq!(wildcard_host(host), Ok(()), "{host}");
        }
        for host in [
            "", "**", "a.*.com", "*.*.com", "a..b", "-a.com", "a_b", "http://a", "a b", "a/b",
            "*.", "1.2.3.4", "a.1",
        ] {
            assert!(wildcard_host(host).is_err(), "{host}");
        }
    }

    #[test]
    fn networks() {
        for text in ["10.0.0.1", "10.0.0.0/8", "::1", "2001:db8::/32"] {
            assert_eq!(network(text), Ok(()), "{text}");
        }
        for text in ["", "10.0.0", "10.0.0.0/33", "::/129", "a/8", "10.0.0.0/8/8"] {
            assert!(network(text).is_err(), "{text}");
        }
    }
}
