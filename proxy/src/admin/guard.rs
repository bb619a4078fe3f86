//! Who may ask. The ports have no passwords: whoever reaches them is trusted, and that is meant to be people and programs of this pod, not the
//! pages that a browser shows.
//!
//! A page of another origin can make a browser send a POST here, and by a name of its own that it has pointed at this address (DNS
//! rebinding) also read the answer. Both tell themselves by `Origin` and `Host`.

use std::net::IpAddr;

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, Uri};

use super::AdminPort;

/// What a request says of where it comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller<'a> {
    pub(super) address: IpAddr,
    pub(super) uri: &'a Uri,
    pub(super) headers: &'a HeaderMap,
}

/// How well a page is guarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guard {
    /// Not: health and counters, for which monitoring asks by whatever name.
    Open,
    /// Against pages of other origins.
    SameOrigin,
    /// The same, and only this pod may ask, as with Istio's agent.
    Local,
}

/// Whether the caller may have a page.
///
/// # Errors
/// Why not.
pub(super) fn check(port: AdminPort, caller: Caller<'_>) -> Result<(), String> {
    let guard = guard(port, caller.uri.path());
    if guard == Guard::Open {
        return Ok(());
    }
    let address = caller.address.to_canonical();
    if guard == Guard::Local && !address.is_loopback() {
        return Err(format!(
            "only this pod may ask for {}, and {address} is outside of it",
            caller.uri.path()
        ));
    }
    let named = caller.headers.get_all(HOST).iter();
    let named = named.map(|host| Authority::try_from(host.as_bytes()).ok());
    let hosts: Vec<_> = named
        .chain(caller.uri.authority().cloned().map(Some))
        .collect();
    if !hosts.iter().all(|host| host.as_ref().is_some_and(is_own)) {
        return Err("the request is for another host: ask by an IP address or as localhost".into());
    }
    let host = hosts.first().and_then(Option::as_ref);
    let is_same = |origin: &http::HeaderValue| {
        let origin = Uri::try_from(origin.as_bytes()).ok();
        origin.is_some_and(|origin| host.is_some() && origin.authority() == host)
    };
    if caller.headers.get_all(ORIGIN).iter().all(is_same) {
        Ok(())
    } else {
        Err("the request comes from a page of another origin".into())
    }
}

fn guard(port: AdminPort, path: &str) -> Guard {
    match (port, path) {
        (AdminPort::Admin, _) => Guard::SameOrigin,
        (AdminPort::Agent, "/quitquitquit" | "/drain") => Guard::Local,
        (AdminPort::Agent | AdminPort::Health | AdminPort::Metrics, _) => Guard::Open,
    }
}

/// Whether a host is one that no name server can point elsewhere.
fn is_own(authority: &Authority) -> bool {
    let host = authority.host();
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    !authority.as_str().contains('@')
        && (host.eq_ignore_ascii_case("localhost")
            || address.unwrap_or(host).parse::<IpAddr>().is_ok())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const LOCAL: &str = "127.0.0.1";

    fn may(port: AdminPort, address: &str, uri: &str, host: &str, origin: &str) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in [(HOST, host), (ORIGIN, origin)] {
            if !value.is_empty() {
                headers.insert(name, HeaderValue::from_str(value).unwrap());
            }
        }
        let caller = Caller {
            address: address.parse().unwrap(),
            uri: &uri.parse().unwrap(),
            headers: &headers,
        };
        check(port, caller).is_ok()
    }

    #[test]
    fn other_hosts_and_origins_are_refused() {
        for (uri, host, origin, expected) in [
            ("/config_dump", "localhost:15000", "", true),
            ("/config_dump", "LocalHost", "", true),
            ("/config_dump", "127.0.0.1:15000", "", true),
            ("/config_dump", "[::1]:15000", "", true),
            ("/config_dump", "10.1.2.3:15000", "", true),
            ("/config_dump", "", "", true),
            (
                "/config_dump",
                "localhost:15000",
                "http://localhost:15000",
                true,
            ),
            ("/config_dump", "evil.example", "", false),
            ("/config_dump", "localhost.evil.example:15000", "", false),
            ("/config_dump", "127.0.0.1.nip.io", "", false),
            ("/config_dump", "a@localhost", "", false),
            ("/config_dump", "a b", "", false),
            ("http://evil.example/config_dump", "localhost", "", false),
            (
                "/quitquitquit",
                "localhost:15000",
                "http://evil.example",
                false,
            ),
            (
                "/quitquitquit",
                "localhost:15000",
                "http://localhost:3000",
                false,
            ),
            ("/quitquitquit", "localhost:15000", "null", false),
            ("/quitquitquit", "", "http://localhost", false),
        ] {
            let found = may(AdminPort::Admin, LOCAL, uri, host, origin);
            assert_eq!(found, expected, "{uri} {host} {origin}");
        }
    }

    #[test]
    fn monitoring_may_ask_by_any_name_and_only_the_pod_may_end_the_proxy() {
        let agent = |address, uri| may(AdminPort::Agent, address, uri, "10.0.0.1:15020", "");
        assert!(may(
            AdminPort::Agent,
            "10.9.9.9",
            "/stats/prometheus",
            "a.b",
            ""
        ));
        assert!(may(
            AdminPort::Health,
            "10.9.9.9",
            "/healthz/ready",
            "a.b",
            ""
        ));
        assert!(may(
            AdminPort::Metrics,
            "10.9.9.9",
            "/stats/prometheus",
            "a.b",
            ""
        ));
        assert!(agent("127.0.0.1", "/quitquitquit"));
        assert!(agent("::ffff:127.0.0.6", "/quitquitquit"));
        for path in ["/quitquitquit", "/drain"] {
            assert!(!agent("10.9.9.9", path));
            assert!(!may(AdminPort::Agent, LOCAL, path, "evil.example", ""));
        }
    }
}
