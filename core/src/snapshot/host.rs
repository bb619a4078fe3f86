//! Host names and wildcard patterns as Istio compares them: lower-case, `*.suffix` at any depth, `*` for all.
//!
//! ```text
//! reviews --expand_host--> reviews.default.svc.cluster.local --HostMap--> the most specific entry
//! ```

use std::cmp::Ordering;
use std::net::IpAddr;
use std::sync::Arc;

use mesh_ir::PersistentMap;

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

/// Values by host or pattern, found by the most specific one that covers a host. Copies share what neither of them changes.
#[derive(Clone, Debug)]
pub struct HostMap<T> {
    exact: PersistentMap<Arc<str>, T>,
    /// By the text after the `*`.
    wildcards: PersistentMap<Arc<str>, T>,
}

impl<T> Default for HostMap<T> {
    fn default() -> Self {
        Self {
            exact: PersistentMap::default(),
            wildcards: PersistentMap::default(),
        }
    }
}

impl<T: Clone> HostMap<T> {
    /// Puts a value under exactly this host or pattern.
    pub fn insert(&mut self, host: &Arc<str>, value: T) {
        match host.strip_prefix('*') {
            Some(suffix) => self.wildcards.insert(suffix.into(), value),
            None => self.exact.insert(host.clone(), value),
        };
    }

    /// Takes the value of exactly this host or pattern out.
    pub fn remove(&mut self, host: &str) -> Option<T> {
        match host.strip_prefix('*') {
            Some(suffix) => self.wildcards.remove(suffix),
            None => self.exact.remove(host),
        }
    }
}

impl<T> HostMap<T> {
    /// All values: of patterns in the order of their suffixes, then of hosts in order.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.wildcards.values().chain(self.exact.values())
    }

    /// The values of all hosts and patterns that a host or pattern covers, the one of itself among them.
    pub fn covered_by<'a>(&'a self, pattern: &'a str) -> impl Iterator<Item = &'a T> + 'a {
        let suffix = pattern.strip_prefix('*');
        let wildcards = suffix.map(|suffix| {
            self.wildcards
                .iter()
                .filter(move |(known, _)| known.ends_with(suffix))
                .map(|(_, value)| value)
        });
        let below = suffix.map(|_| {
            self.exact
                .iter()
                .filter(|(host, _)| host_covers(pattern, host))
                .map(|(_, value)| value)
        });
        let exact = suffix.is_none().then(|| self.exact.get(pattern)).flatten();
        wildcards
            .into_iter()
            .flatten()
            .chain(below.into_iter().flatten())
            .chain(exact)
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
            map.insert(&host.into(), host);
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
    fn a_pattern_covers_what_is_below_it() {
        let mut map = HostMap::default();
        for host in ["*", "*.com", "*.b.com", "a.b.com", "com", "b.com"] {
            map.insert(&host.into(), host);
        }
        let covered = |pattern: &str| {
            map.covered_by(pattern)
                .copied()
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(covered("*.com"), "*.b.com *.com a.b.com b.com");
        assert_eq!(covered("*.b.com"), "*.b.com a.b.com");
        assert_eq!(covered("b.com"), "b.com");
        assert_eq!(covered("none"), "");
        map.remove("*.com");
        assert_eq!(map.values().count(), 5);
    }

    #[test]
    fn specific_hosts_sort_first() {
        let mut hosts = ["*", "*.com", "b.com", "*.b.com", "a.com"];
        hosts.sort_by(|a, b| by_specificity(a, b));
        assert_eq!(hosts, ["a.com", "b.com", "*.b.com", "*.com", "*"]);
    }
}
