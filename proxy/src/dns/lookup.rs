//! Addresses of host names for the proxy itself, by the hosts file and the servers of `resolv.conf`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};

use mesh_ir::HostView;

use super::resolv_conf::ResolvConf;
use super::upstream::{Transport, Upstream};
use super::wire;

/// Looks host names up.
#[derive(Debug)]
pub struct Lookup {
    /// Files of hosts, the first one that has a name counts.
    pub hosts: Vec<PathBuf>,
    /// How names are completed.
    pub config: ResolvConf,
    /// Whom to ask.
    pub upstream: Arc<Upstream>,
}

/// What a host name leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Its addresses, sorted: of IPv4 where there is any.
    pub addresses: Vec<IpAddr>,
    /// How long they are valid; none where nobody says.
    pub valid: Option<Duration>,
}

// === impl Lookup ===

impl Lookup {
    /// The hosts files and servers of a proxy that runs there.
    pub fn of(view: &Arc<HostView>) -> Self {
        let config = ResolvConf::of_container();
        let hosts = view.hosts.clone().into_iter();
        Self {
            hosts: hosts.chain([PathBuf::from("/etc/hosts")]).collect(),
            upstream: Arc::new(Upstream::new(config.servers.clone(), view.clone())),
            config,
        }
    }

    /// The addresses of a host; nothing where it has none, or nobody answers.
    pub async fn find(&self, host: &str) -> Found {
        if let Ok(address) = host.parse() {
            return Found::forever(vec![address]);
        }
        for path in &self.hosts {
            // Read anew each time, since hosts come and go there; it is small and local.
            let listed = listed(&std::fs::read_to_string(path).unwrap_or_default(), host);
            if !listed.is_empty() {
                return Found::forever(listed);
            }
        }
        for name in self.config.candidates(host) {
            let Ok(name) = Name::from_utf8(name + ".") else {
                continue;
            };
            for kind in [RecordType::A, RecordType::AAAA] {
                match self.ask(&name, kind).await {
                    Some(found) if !found.addresses.is_empty() => return found,
                    Some(_) => {}
                    // Who does not answer one question does not answer the next.
                    None => break,
                }
            }
        }
        Found::default()
    }

    /// What servers say of a name; nothing if they do not answer, or there is no such name.
    async fn ask(&self, name: &Name, kind: RecordType) -> Option<Found> {
        let mut question = Message::new(0, MessageType::Query, OpCode::Query);
        question.metadata.recursion_desired = true;
        question.add_query(Query::query(name.clone(), kind));
        let question = question.to_vec().ok()?;
        let mut answer = self.upstream.ask(&question, Transport::Udp).await?;
        if wire::is_truncated(&answer)
            && let Some(whole) = self.upstream.ask(&question, Transport::Tcp).await
        {
            answer = whole;
        }
        let answer = Message::from_vec(&answer).ok()?;
        let is_good = answer.metadata.response_code == ResponseCode::NoError;
        is_good.then(|| Found::of(&answer))
    }
}

// === impl Found ===

impl Found {
    fn forever(addresses: Vec<IpAddr>) -> Self {
        Self {
            addresses,
            valid: None,
        }
    }

    /// The addresses of an answer, for as long as the shortest-lived of its records.
    fn of(answer: &Message) -> Self {
        let records = || answer.answers.iter();
        let addresses = records().filter_map(|record| match record.data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        });
        let mut addresses: Vec<IpAddr> = addresses.collect();
        addresses.sort();
        addresses.dedup();
        let valid = records().map(|record| record.ttl).min();
        Self {
            addresses,
            valid: valid.map(|seconds| Duration::from_secs(seconds.into())),
        }
    }
}

/// The addresses that a hosts file has for a name.
fn listed(text: &str, host: &str) -> Vec<IpAddr> {
    let host = host.trim_end_matches('.');
    let mut addresses = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_ascii_whitespace();
        let address = words.next().and_then(|word| word.parse().ok());
        if let Some(address) = address
            && words.any(|word| word.eq_ignore_ascii_case(host))
        {
            addresses.push(address);
        }
    }
    if addresses.iter().any(IpAddr::is_ipv4) {
        addresses.retain(IpAddr::is_ipv4);
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_files_are_read_as_everywhere() {
        let text = "127.0.0.1 localhost\n# no\n127.9.0.1\tReviews reviews.default # x\n::1 reviews\n127.9.0.2 reviews\n";
        let expect: Vec<IpAddr> = vec!["127.9.0.1".parse().unwrap(), "127.9.0.2".parse().unwrap()];
        assert_eq!(listed(text, "reviews."), expect);
        assert!(listed(text, "x").is_empty());
    }
}
