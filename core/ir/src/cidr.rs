//! Blocks of IP addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A block of addresses, `10.0.0.0/8` or `2001:db8::/32`; a single address is a block of `/32` or `/128`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr {
    /// First address; its host bits are 0.
    pub address: IpAddr,
    /// Bits that count: at most 32 for IPv4, 128 for IPv6.
    pub length: u8,
}

/// Why a text is no block of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an IP address nor a CIDR block such as 10.0.0.0/8 or 2001:db8::/32")]
pub struct InvalidCidr(pub String);

// === impl Cidr ===

impl Cidr {
    /// The block of so many bits around an address; none if the address has fewer bits.
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        let address = match address {
            IpAddr::V4(v4) => {
                let host = 32_u32.checked_sub(length.into())?;
                let mask = u32::MAX.checked_shl(host).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
            }
            IpAddr::V6(v6) => {
                let host = 128_u32.checked_sub(length.into())?;
                let mask = u128::MAX.checked_shl(host).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
            }
        };
        Some(Self { address, length })
    }

    /// The block of one address.
    pub fn single(address: IpAddr) -> Self {
        let length = if address.is_ipv4() { 32 } else { 128 };
        Self { address, length }
    }

    /// Whether an address lies within. An IPv4 address that is mapped into IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4()
            && Self::new(address, self.length).is_some_and(|block| block.address == self.address)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidCidr(text.to_owned());
        let Some((address, length)) = text.split_once('/') else {
            return text.parse().map(Self::single).map_err(|_| invalid());
        };
        let address = address.parse().map_err(|_| invalid())?;
        // `u8::from_str` takes a sign, a prefix length has none.
        if !length.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(invalid());
        }
        let length = length.parse().map_err(|_| invalid())?;
        Self::new(address, length).ok_or_else(invalid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(block: &str, address: &str, expect: bool) {
        let cidr: Cidr = block.parse().unwrap();
        assert_eq!(cidr.contains(address.parse().unwrap()), expect);
    }

    #[test]
    fn blocks_contain_the_addresses_that_share_their_bits() {
        check("10.1.0.0/16", "10.1.255.255", true);
        check("10.1.0.0/16", "10.2.0.0", false);
        check("10.1.2.3", "10.1.2.3", true);
        check("10.1.2.3", "10.1.2.4", false);
        check("0.0.0.0/0", "203.0.113.9", true);
        check("0.0.0.0/0", "::1", false);
        check("::/0", "2001:db8::1", true);
        check("2001:db8::/32", "2001:db9::1", false);
        check("10.0.0.0/8", "::ffff:10.9.9.9", true);
    }

    #[test]
    fn host_bits_are_cleared() {
        assert_eq!(
            "10.1.2.3/8".parse::<Cidr>().unwrap().to_string(),
            "10.0.0.0/8"
        );
        assert_eq!("::1".parse::<Cidr>().unwrap().to_string(), "::1/128");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "10.0.0",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "a/8",
        ] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }
}
