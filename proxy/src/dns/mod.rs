//! DNS for the workload: names that the control plane knows are answered here, all others by the servers of the pod's `resolv.conf`.
//!
//! ```text
//! question (UDP, TCP on 15053) --answer::decide--> known: answer of our own
//!                                            '--> Upstream --> servers of resolv.conf --> their answer, as it is
//! host names of clusters -------Lookup-----------^
//! ```
//!
//! Questions are redirected here where `ISTIO_META_DNS_CAPTURE` says so. The proxy's own lookups ask the servers directly: an address that
//! stands for a host within the mesh only leads to the proxy.

mod answer;
mod lookup;
mod resolv_conf;
mod server;
mod upstream;
mod wire;

pub use lookup::{Found, Lookup};
pub use server::Server;

use std::net::IpAddr;
use std::sync::Arc;

/// The addresses that a pod can connect to: those that the mesh has made up (2001:2::/48) are of no use to one without IPv6.
pub fn reachable(addresses: Arc<[IpAddr]>, has_ipv6: bool) -> Arc<[IpAddr]> {
    let is_made_up = |address: &IpAddr| match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => matches!(address.segments(), [0x2001, 2, 0, ..]),
    };
    if has_ipv6 || !addresses.iter().any(is_made_up) {
        return addresses;
    }
    let others = addresses.iter().filter(|address| !is_made_up(address));
    others.copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_ipv6_are_for_pods_that_have_it() {
        let all: Arc<[IpAddr]> = ["240.240.0.1", "2001:2::1", "fd00::1"]
            .map(|address| address.parse().unwrap())
            .into();
        assert_eq!(reachable(all.clone(), true), all);
        assert_eq!(*reachable(all.clone(), false), [all[0], all[2]]);
    }
}
