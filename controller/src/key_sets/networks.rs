//! Which addresses the control plane may be sent to by what users write: public ones, and private ones that are allowed by name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use mesh_ir::Cidr;

/// Networks that may be asked beside public ones.
#[derive(Clone, Debug, Default)]
pub struct Networks(Vec<Cidr>);

/// IPv4 networks that are not public (RFC 6890 and its successors).
const PRIVATE_V4: [&str; 13] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/3",
];

// === impl Networks ===

impl Networks {
    /// These networks beside public ones.
    pub fn new(allowed: Vec<Cidr>) -> Self {
        Self(allowed)
    }

    /// Whether an address may be asked.
    pub fn allow(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let allowed = self.0.iter().any(|network| network.contains(address));
        allowed
            || match address {
                IpAddr::V4(address) => is_public_v4(address),
                IpAddr::V6(address) => is_public_v6(address),
            }
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let networks = PRIVATE_V4
        .iter()
        .filter_map(|text| text.parse::<Cidr>().ok());
    !networks
        .into_iter()
        .any(|network| network.contains(address.into()))
}

/// Global unicast only, and not what leads to an IPv4 network by itself.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, third, ..] = address.segments();
    let is_global = first & 0xe000 == 0x2000;
    // 6to4 and Teredo.
    let is_transition = first == 0x2002 || (first == 0x2001 && second == 0);
    let is_documentation = first == 0x2001 && second == 0xdb8 || first == 0x3fff && second < 0x1000;
    // Benchmarks, ORCHID.
    let is_special =
        first == 0x2001 && (second == 2 && third == 0 || (0x10..0x40).contains(&second));
    is_global && !is_transition && !is_documentation && !is_special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_not_asked() {
        let none = Networks::default();
        for address in ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8"] {
            assert!(none.allow(address.parse().unwrap()), "{address}");
        }
        for address in [
            "0.0.0.0",
            "10.96.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.31.0.1",
            "192.168.1.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::a00:1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
            "2002:a00:1::",
            "2001:db8::1",
        ] {
            assert!(!none.allow(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn private_networks_can_be_allowed() {
        let some = Networks::new(vec!["10.96.0.0/12".parse().unwrap()]);
        assert!(some.allow("10.96.0.1".parse().unwrap()));
        assert!(some.allow("::ffff:10.96.0.1".parse().unwrap()));
        assert!(!some.allow("10.0.0.1".parse().unwrap()));
    }
}
