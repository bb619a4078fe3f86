//! The address that connections to a cluster come from.

#![expect(
    deprecated,
    reason = "messages are opened completely, deprecated fields included"
)]

use std::net::IpAddr;

use envoy_types::pb::envoy::config::core::v3::{
    BindConfig, SocketAddress, socket_address::PortSpecifier,
};

use super::border::{At, InvalidResource};

pub(super) fn to_proto(address: IpAddr) -> BindConfig {
    BindConfig {
        source_address: Some(SocketAddress {
            address: address.to_string(),
            port_specifier: Some(PortSpecifier::PortValue(0)),
            ..SocketAddress::default()
        }),
        ..BindConfig::default()
    }
}

pub(super) fn from_proto(proto: BindConfig, at: &At<'_>) -> Result<IpAddr, InvalidResource> {
    open!(at, proto => BindConfig {
        keep { source_address }
        refuse {
            freebind, socket_options, extra_source_addresses, additional_source_addresses, local_address_selector,
            validate_network_namespaces,
        }
        ignore {}
    });
    let source = at.require("source_address", source_address)?;
    let at = at.field("source_address");
    open!(&at, source => SocketAddress {
        keep { address, port_specifier }
        refuse { protocol, resolver_name, network_namespace_filepath }
        ignore { ipv4_compat }
    });
    match port_specifier {
        None | Some(PortSpecifier::PortValue(0)) => {}
        Some(_) => return Err(at.field("port_value").unsupported()),
    }
    address
        .parse()
        .map_err(|_| at.value(format!("{address:?} is not an IP address")))
}
