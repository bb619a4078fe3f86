//! Addresses of host names.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use super::local::Worker;
use crate::runtime::Runtime;

/// How long DNS may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Host and port of an authority.
pub fn split(authority: &str, default_port: u16) -> (&str, u16) {
    let bracket = authority.rfind(']').unwrap_or(0);
    match authority.rfind(':') {
        Some(colon) if colon >= bracket => {
            let (host, port) = authority.split_at(colon);
            let port = port.trim_start_matches(':').parse().unwrap_or(default_port);
            (strip_brackets(host), port)
        }
        _ => (strip_brackets(authority), default_port),
    }
}

fn strip_brackets(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// The address of a host that is one already, or that the control plane knows.
pub fn known(runtime: &Runtime, host: &str) -> Option<IpAddr> {
    if let Ok(address) = host.parse() {
        return Some(address);
    }
    let lower = host.trim_end_matches('.').to_ascii_lowercase();
    runtime.addresses(&lower)?.first().copied()
}

/// The address of an authority, looked for everywhere.
pub async fn lookup(worker: &Rc<Worker>, authority: &str, default_port: u16) -> Option<SocketAddr> {
    let (host, port) = split(authority, default_port);
    if let Some(address) = known(&worker.runtime().shared, host) {
        return Some(SocketAddr::new(address, port));
    }
    let hosts = worker.shared.options.view.hosts.as_deref();
    let found = host_addresses(hosts, host).await;
    found.first().map(|address| SocketAddr::new(*address, port))
}

/// The addresses of a host name: those of the hosts file where it has any, else those of DNS. IPv4 where there is any.
pub async fn host_addresses(hosts: Option<&Path>, host: &str) -> Vec<IpAddr> {
    if let Ok(address) = host.parse() {
        return vec![address];
    }
    let listed = match hosts {
        // A short file in memory.
        Some(path) => listed(&std::fs::read_to_string(path).unwrap_or_default(), host),
        None => Vec::new(),
    };
    if !listed.is_empty() {
        return listed;
    }
    let found = tokio::time::timeout(LIMIT, tokio::net::lookup_host((host, 0))).await;
    let mut addresses: Vec<IpAddr> = match found {
        Ok(Ok(found)) => found.map(|address| address.ip()).collect(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    };
    if addresses.iter().any(IpAddr::is_ipv4) {
        addresses.retain(IpAddr::is_ipv4);
    }
    addresses.sort();
    addresses.dedup();
    addresses
}

/// The addresses that a hosts file has for a name.
fn listed(text: &str, host: &str) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for line in text.lines() {
        let mut words = line
            .split('#')
            .next()
            .unwrap_or_default()
            .split_ascii_whitespace();
        let address = words.next().and_then(|word| word.parse().ok());
        if let Some(address) = address
            && words.any(|word| word.eq_ignore_ascii_case(host))
        {
            addresses.push(address);
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_split_at_their_port() {
        assert_eq!(split("reviews:9080", 80), ("reviews", 9080));
        assert_eq!(split("reviews", 80), ("reviews", 80));
        assert_eq!(split("[::1]:15", 80), ("::1", 15));
        assert_eq!(split("[::1]", 80), ("::1", 80));
    }

    #[test]
    fn hosts_files_are_read_as_everywhere() {
        let text = "127.0.0.1 localhost\n# no\n127.9.0.1\tReviews reviews.default # x\n127.9.0.2 reviews\n";
        let expect: Vec<IpAddr> = vec!["127.9.0.1".parse().unwrap(), "127.9.0.2".parse().unwrap()];
        assert_eq!(listed(text, "reviews"), expect);
        assert!(listed(text, "x").is_empty());
    }
}
