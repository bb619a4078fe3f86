//! Host names and wildcard patterns as Istio compares them: lower-case, `*.suffix` at any depth, `*` for all.
//!
//! ```text
//! reviews --expand_host--> reviews.default.svc.cluster.local --HostMap--> the most specific entry
//! ```

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// The fully qualified lower-case form of a host: a name without dots belongs to the namespace of the object that
/// mentions it; names with dots, `*` and addresses stay as they are.
///
/// ```
/// use mesh_core::snapshot::expand_host;
/// assert_eq!(expand_host("reviews", "prod", "cluster.local"), "reviews.prod.svc.cluster.local");
/// assert_eq!(expand_host("reviews.prod", "default", "cluster.local"), "reviews.prod");
/// ```
pub fn expand_host(host: &str, namespace: &str, domain: &str) -> String {
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    if host.is_empty() || host.contains(['.', '*']) || host.parse::<IpAddr>().is_ok() {
        host.to_owned()
    } else {
        format!("{host}.{namespace}.svc.{domain}")
    }
}

/// Whether a host stands for several: it starts with `*`.
pub fn is_wildcard(host: &str) -> bool {
    host.starts_with('*')
}

/// Whether a pattern covers a host, or every host of another pattern: `*.com` covers `a.b.com` and `*.b.com`, but not `com`.
pub fn host_covers(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        None => pattern == host,
        Some("") => true,
        Some(suffix) => {
            let rest = host.strip_prefix('*').unwrap_or(host);
            if is_wildcard(host) {
                rest.ends_with(suffix)
            } else {
                rest.len() > suffix.len() && rest.ends_with(suffix)
            }
        }
    }
}

/// Whether two hosts or patterns have a host in common. Patterns are suffixes, so one then covers the other.
pub fn hosts_overlap(a: &str, b: &str) -> bool {
    host_covers(a, b) || host_covers(b, a)
}

/// Orders hosts from the most to the least specific: exact ones before wildcards, longer ones first, then by text.
pub fn by_specificity(a: &str, b: &str) -> Ordering {
    is_wildcard(a)
        .cmp(&is_wildcard(b))
        .then_with(|| b.len().cmp(&a.len()))
        .then_with(|| a.cmp(b))
}

/// Values by host or pattern, found by the most specific one that covers a host.
#[derive(Clone, Debug)]
pub struct HostMap<T> {
    exact: BTreeMap<Arc<str>, T>,
    /// By the text after the `*`.
    wildcards: BTreeMap<Arc<str>, T>,
}

impl<T> Default for HostMap<T> {
    fn default() -> Self {
        Self {
            exact: BTreeMap::new(),
            wildcards: BTreeMap::new(),
        }
    }
}

impl<T> HostMap<T> {
    /// The value of exactly this host or pattern, made when it is missing.
    pub fn entry(&mut self, host: &Arc<str>, make: impl FnOnce() -> T) -> &mut T {
        match host.strip_prefix('*') {
            Some(suffix) => self.wildcards.entry(suffix.into()),
            None => self.exact.entry(host.clone()),
        }
        .or_insert_with(make)
    }

    /// The value of exactly this host or pattern.
    pub fn get(&self, host: &str) -> Option<&T> {
        match host.strip_prefix('*') {
            Some(suffix) => self.wildcards.get(suffix),
            None => self.exact.get(host),
        }
    }

    /// The value of the most specific host or pattern that covers this host or pattern.
    pub fn find(&self, host: &str) -> Option<&T> {
        self.matches(host).next()
    }

    /// The values of all hosts and patterns that cover this host or pattern, the most specific first.
    pub fn matches<'a, 'h>(
        &'a self,
        host: &'h str,
    ) -> impl Iterator<Item = &'a T> + use<'a, 'h, T> {
        let exact = self.exact.get(host).into_iter();
        let (rest, wildcard) = match host.strip_prefix('*') {
            Some(rest) => (rest, true),
            None => (host, false),
        };
        // Every proper suffix of the host may be a pattern's; an empty map costs nothing.
        let starts = if self.wildcards.is_empty() {
            0..0
        } else {
            0..rest.len() + 1
        };
        exact.chain(
            starts
                .filter(move |start| wildcard || *start > 0)
                .filter(|start| rest.is_char_boundary(*start))
                .filter_map(move |start| self.wildcards.get(&rest[start..])),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_belong_to_the_namespace_of_the_object() {
        for (host, expanded) in [
            ("reviews", "reviews.prod.svc.cluster.local"),
            ("Reviews", "reviews.prod.svc.cluster.local"),
            ("reviews.default", "reviews.default"),
            ("example.com.", "example.com"),
            ("*", "*"),
            ("*.example.com", "*.example.com"),
            ("::1", "::1"),
            ("10.0.0.1", "10.0.0.1"),
            ("", ""),
        ] {
            assert_eq!(expand_host(host, "prod", "cluster.local"), expanded);
        }
    }

    #[test]
    fn patterns_cover_any_depth_below_them() {
        for (pattern, host, covers) in [
            ("*", "a", true),
            ("*.com", "a.b.com", true),
            ("*.com", ".com", false),
            ("*.com", "com", false),
            ("*.com", "*.b.com", true),
            ("*.b.com", "*.com", false),
            ("*.com", "*.com", true),
            ("a.com", "*.com", false),
            ("a.com", "a.com", true),
        ] {
            assert_eq!(host_covers(pattern, host), covers, "{pattern} {host}");
        }
    }

    #[test]
    fn the_most_specific_pattern_is_found() {
        let mut map = HostMap::default();
        for host in ["*", "*.com", "*.b.com", "a.b.com"] {
            map.entry(&host.into(), || host);
        }
        for (host, found) in [
            ("a.b.com", "a.b.com"),
            ("x.b.com", "*.b.com"),
            ("b.com", "*.com"),
            ("*.x.com", "*.com"),
            ("*.b.com", "*.b.com"),
            ("org", "*"),
        ] {
            assert_eq!(map.find(host), Some(&found), "{host}");
        }
    }

    #[test]
    fn specific_hosts_sort_first() {
        let mut hosts = ["*", "*.com", "b.com", "*.b.com", "a.com"];
        hosts.sort_by(|a, b| by_specificity(a, b));
        assert_eq!(hosts, ["a.com", "b.com", "*.b.com", "*.com", "*"]);
    }
}
