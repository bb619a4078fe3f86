//! Addresses and ports of Services: which ones are free.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;

const NODE_PORTS: std::ops::RangeInclusive<u16> = 30000..=32767;

/// The first addresses are for Services with an address of their own, such as the API server's.
const RESERVED: u32 = 16;

/// The range of ClusterIPs.
#[derive(Debug)]
pub struct ServiceAddresses {
    base: u32,
    size: u32,
    next: AtomicU32,
}

// === impl ServiceAddresses ===

impl ServiceAddresses {
    /// A range in CIDR notation.
    pub fn parse(range: &str) -> anyhow::Result<Self> {
        let bad = || format!("the range of service addresses {range:?} is none of IPv4");
        let (address, bits) = range.split_once('/').with_context(bad)?;
        let address: Ipv4Addr = address.parse().with_context(bad)?;
        let bits: u32 = bits.parse().with_context(bad)?;
        let size = 32_u32
            .checked_sub(bits)
            .and_then(|bits| 1_u32.checked_shl(bits))
            .filter(|size| *size > RESERVED + 1)
            .with_context(bad)?;
        Ok(Self {
            base: u32::from(address) & !(size - 1),
            size,
            next: AtomicU32::new(0),
        })
    }

    /// The address of the Service `kubernetes`, the first of the range.
    pub fn first(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.base + 1)
    }

    /// True for addresses of the range.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        u32::from(address) & !(self.size - 1) == self.base
    }

    /// A free address; one that was given back is not used again until all others had their turn.
    pub fn pick(&self, used: &BTreeSet<Ipv4Addr>) -> Option<Ipv4Addr> {
        let usable = self.size - RESERVED - 1;
        for _ in 0..usable {
            let step = self.next.fetch_add(1, Ordering::Relaxed);
            let address = Ipv4Addr::from(self.base + RESERVED + step % usable);
            if !used.contains(&address) {
                return Some(address);
            }
        }
        None
    }
}

/// A free port for a Service of type `NodePort` or `LoadBalancer`.
pub fn node_port(used: &BTreeSet<u16>) -> Option<u16> {
    NODE_PORTS.into_iter().find(|port| !used.contains(port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_given_out_once() {
        let range = ServiceAddresses::parse("127.9.128.0/27").unwrap();
        assert_eq!(range.first(), Ipv4Addr::new(127, 9, 128, 1));
        let mut used = BTreeSet::new();
        while let Some(address) = range.pick(&used) {
            assert!(range.contains(address) && address != range.first());
            assert!(used.insert(address));
        }
        assert_eq!(used.len(), 15);
        let freed = Ipv4Addr::new(127, 9, 128, 20);
        used.remove(&freed);
        assert_eq!(range.pick(&used), Some(freed));
        for bad in ["", "127.0.0.1", "127.0.0.0/33", "127.0.0.0/31", "x/8"] {
            assert!(ServiceAddresses::parse(bad).is_err(), "{bad}");
        }
    }
}
