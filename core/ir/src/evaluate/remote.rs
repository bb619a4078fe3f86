//! The address of the client behind trusted proxies.

use std::net::IpAddr;

use crate::matching::RequestView;

/// How far `x-forwarded-for` is trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RemoteAddress {
    /// Whether the peer's own address is the client's (gateways) unless hops are trusted.
    pub use_peer: bool,
    /// How many proxies before this one are trusted: `numTrustedProxies`, Envoy's `xff_num_trusted_hops`.
    pub trusted_hops: u32,
}

/// The client's address, by Envoy's rules.
///
/// With the peer's address as the client's, the address that many trusted hops from the right of `x-forwarded-for` counts, or the peer's
/// without trusted hops. Otherwise it is the one behind the trusted hops. Where the header is too short or no address is there, the
/// peer's counts.
pub fn remote_address(how: RemoteAddress, peer: IpAddr, request: &impl RequestView) -> IpAddr {
    let skip = match (how.use_peer, how.trusted_hops) {
        (true, 0) => return peer,
        (true, hops) => hops - 1,
        (false, hops) => hops,
    };
    let found = request.header("x-forwarded-for").and_then(|value| {
        let mut from_right = value.rsplit(|byte| *byte == b',');
        let text = from_right.nth(usize::try_from(skip).ok()?)?;
        std::str::from_utf8(text.trim_ascii()).ok()?.parse().ok()
    });
    found.unwrap_or(peer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::PlainRequest;

    #[track_caller]
    fn check(use_peer: bool, trusted_hops: u32, forwarded_for: &str, expect: &str) {
        let request = PlainRequest::get("a", "/").with_header("x-forwarded-for", forwarded_for);
        let how = RemoteAddress {
            use_peer,
            trusted_hops,
        };
        let peer = "10.0.0.9".parse().unwrap();
        assert_eq!(
            remote_address(how, peer, &request).to_string(),
            expect,
            "{how:?} {forwarded_for}"
        );
    }

    #[test]
    fn remote_ip_is_the_address_behind_the_trusted_proxies() {
        check(true, 0, "1.1.1.1, 2.2.2.2", "10.0.0.9");
        check(true, 1, "1.1.1.1, 2.2.2.2", "2.2.2.2");
        check(true, 2, "1.1.1.1, 2.2.2.2", "1.1.1.1");
        check(true, 3, "1.1.1.1, 2.2.2.2", "10.0.0.9");
        check(false, 0, "1.1.1.1, 2.2.2.2", "2.2.2.2");
        check(false, 1, "1.1.1.1, 2.2.2.2", "1.1.1.1");
        check(false, 2, "1.1.1.1, 2.2.2.2", "10.0.0.9");
        check(false, 0, "1.1.1.1, unknown", "10.0.0.9");
        check(false, 0, "2001:db8::1", "2001:db8::1");
    }
}
