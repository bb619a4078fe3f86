//! `/etc/resolv.conf`: whom to ask, and how short names are completed.

use std::net::{IpAddr, SocketAddr};

/// Port of DNS servers.
const PORT: u16 = 53;

/// Servers that count, as with the C library.
const MAX_SERVERS: usize = 3;

/// Search domains that count.
const MAX_SEARCH: usize = 32;

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvConf {
    /// Servers, in the order in which they are asked.
    pub servers: Vec<SocketAddr>,
    /// Domains that complete short names: lower-case, without a final dot.
    pub search: Vec<String>,
    /// Names with at least so many dots are asked for as they are before they are completed.
    pub ndots: usize,
}

// === impl ResolvConf ===

impl Default for ResolvConf {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
        }
    }
}

impl ResolvConf {
    /// The file of the container; one that cannot be read says nothing.
    pub fn of_container() -> Self {
        Self::parse(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default())
    }

    /// Reads the text. Lines that cannot be understood are skipped, as everybody does.
    pub fn parse(text: &str) -> Self {
        let mut config = Self::default();
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let server = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    if let Some(server) = server.filter(|_| config.servers.len() < MAX_SERVERS) {
                        config.servers.push(SocketAddr::new(server, PORT));
                    }
                }
                // The last line of these counts.
                Some("search" | "domain") => {
                    let domains = words.map(|word| word.trim_matches('.').to_ascii_lowercase());
                    let domains = domains.filter(|domain| !domain.is_empty());
                    config.search = domains.take(MAX_SEARCH).collect();
                }
                Some("options") => {
                    let ndots = words.find_map(|word| word.strip_prefix("ndots:")?.parse().ok());
                    config.ndots = ndots.unwrap_or(config.ndots);
                }
                _ => {}
            }
        }
        config
    }

    /// The names that a name may stand for, in the order in which they are asked for; without a final dot.
    pub fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(whole) = name.strip_suffix('.') {
            return vec![whole.to_owned()];
        }
        let completed = self.search.iter().map(|domain| [name, domain].join("."));
        let mut candidates: Vec<String> = completed.collect();
        let dots = name.bytes().filter(|byte| *byte == b'.').count();
        let place = if dots >= self.ndots {
            0
        } else {
            candidates.len()
        };
        candidates.insert(place, name.to_owned());
        candidates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = "# by the kubelet\nsearch a.svc.cluster.local svc.cluster.local. \nnameserver 10.96.0.10\n\
                       nameserver fd00::a\nnameserver x\noptions edns0 ndots:2\n";

    #[test]
    fn files_of_pods_are_understood() {
        let servers = ["10.96.0.10:53", "[fd00::a]:53"].map(|server| server.parse().unwrap());
        let expected = ResolvConf {
            servers: servers.into(),
            search: vec!["a.svc.cluster.local".into(), "svc.cluster.local".into()],
            ndots: 2,
        };
        assert_eq!(ResolvConf::parse(POD), expected);
        assert_eq!(ResolvConf::parse("\nnonsense\n"), ResolvConf::default());
    }

    #[test]
    fn short_names_are_completed_first() {
        let config = ResolvConf::parse(POD);
        for (name, expected) in [
            (
                "x",
                vec!["x.a.svc.cluster.local", "x.svc.cluster.local", "x"],
            ),
            (
                "a.b.c",
                vec![
                    "a.b.c",
                    "a.b.c.a.svc.cluster.local",
                    "a.b.c.svc.cluster.local",
                ],
            ),
            ("x.", vec!["x"]),
        ] {
            assert_eq!(config.candidates(name), expected, "{name}");
        }
    }
}
