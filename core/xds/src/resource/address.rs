//! Addresses.

use std::net::SocketAddr;

use envoy_types::pb::envoy::config::core::v3::{Address, SocketAddress, address, socket_address};

use super::border::{At, InvalidResource};
use super::values;

pub(super) fn to_proto(address: SocketAddr) -> Option<Address> {
    named(&address.ip().to_string(), address.port())
}

/// An address whose host is a name that the proxy resolves.
pub(super) fn named(host: &str, port: u16) -> Option<Address> {
    Some(Address {
        address: Some(address::Address::SocketAddress(SocketAddress {
            address: host.to_owned(),
            port_specifier: Some(socket_address::PortSpecifier::PortValue(port.into())),
            ..SocketAddress::default()
        })),
    })
}

pub(super) fn from_proto(
    address: Option<Address>,
    at: &At<'_>,
) -> Result<SocketAddr, InvalidResource> {
    let (host, port) = from_named(address, at)?;
    let ip = host
        .parse()
        .map_err(|_| at.value(format!("{host:?} is not an IP address")))?;
    Ok(SocketAddr::new(ip, port))
}

/// Host and port of a TCP address.
pub(super) fn from_named(
    address: Option<Address>,
    at: &At<'_>,
) -> Result<(String, u16), InvalidResource> {
    let Address { address } = address.ok_or_else(|| at.missing())?;
    let Some(address::Address::SocketAddress(socket)) = address else {
        return Err(at.value("only socket addresses can be used"));
    };
    let at = at.field("socket_address");
    // Protocol 0 is TCP.
    open!(&at, socket => SocketAddress {
        keep { address, port_specifier }
        refuse { protocol, resolver_name, network_namespace_filepath }
        ignore { ipv4_compat }
    });
    match port_specifier {
        Some(socket_address::PortSpecifier::PortValue(value)) => {
            Ok((address, values::port(value, &at.field("port_value"))?))
        }
        Some(socket_address::PortSpecifier::NamedPort(_)) => {
            Err(at.field("named_port").unsupported())
        }
        None => Err(at.field("port_value").missing()),
    }
}
