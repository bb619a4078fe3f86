//! Addresses of host names.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use super::local::Worker;
use crate::runtime::Runtime;

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
    let found = worker.shared.options.lookup.find(host).await;
    let first = found.addresses.first();
    first.map(|address| SocketAddr::new(*address, port))
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
}
