//! Which connections a filter chain takes.

use std::collections::BTreeSet;

use envoy_types::pb::envoy::config::core::v3::CidrRange;
use envoy_types::pb::envoy::config::listener::v3::FilterChainMatch as Proto;
use mesh_ir::{ChainMatch, Cidr, Transport};

use super::border::{At, InvalidResource};
use super::values;

const PLAINTEXT: &str = "raw_buffer";
const TLS: &str = "tls";

/// None if it takes every connection.
pub(super) fn to_proto(value: &ChainMatch) -> Option<Proto> {
    let ChainMatch {
        destination_port,
        destination_prefixes,
        server_names,
        transport,
        application_protocols,
        source_prefixes,
        source_ports,
    } = value;
    (*value != ChainMatch::default()).then(|| Proto {
        destination_port: destination_port.and_then(|port| values::u32_value(port.into())),
        prefix_ranges: destination_prefixes.iter().map(cidr).collect(),
        server_names: server_names.iter().map(ToString::to_string).collect(),
        transport_protocol: match transport {
            None => "",
            Some(Transport::Plaintext) => PLAINTEXT,
            Some(Transport::Tls) => TLS,
        }
        .to_owned(),
        application_protocols: application_protocols
            .iter()
            .map(ToString::to_string)
            .collect(),
        source_prefix_ranges: source_prefixes.iter().map(cidr).collect(),
        source_ports: source_ports.iter().map(|port| u32::from(*port)).collect(),
        ..Proto::default()
    })
}

pub(super) fn from_proto(proto: Option<Proto>, at: &At<'_>) -> Result<ChainMatch, InvalidResource> {
    open!(at, proto.unwrap_or_default() => Proto {
        keep {
            destination_port, prefix_ranges, server_names, transport_protocol, application_protocols,
            source_prefix_ranges, source_ports,
        }
        refuse { address_suffix, suffix_len, direct_source_prefix_ranges, source_type }
        ignore {}
    });
    let server_names: BTreeSet<_> = at
        .list("server_names", server_names, from_server_name)?
        .into_iter()
        .collect();
    Ok(ChainMatch {
        destination_port: destination_port
            .map(|port| values::port(port.value, &at.field("destination_port")))
            .transpose()?,
        destination_prefixes: from_ranges("prefix_ranges", prefix_ranges, at)?,
        server_names,
        transport: match transport_protocol.as_str() {
            "" => None,
            PLAINTEXT => Some(Transport::Plaintext),
            TLS => Some(Transport::Tls),
            _ => return Err(at.field("transport_protocol").unsupported()),
        },
        application_protocols: application_protocols.into_iter().map(Into::into).collect(),
        source_prefixes: from_ranges("source_prefix_ranges", source_prefix_ranges, at)?,
        source_ports: at
            .list("source_ports", source_ports, values::port)?
            .into_iter()
            .collect(),
    })
}

/// Envoy refuses names with `*` elsewhere than as the first label.
fn from_server_name(name: String, at: &At<'_>) -> Result<std::sync::Arc<str>, InvalidResource> {
    if name.strip_prefix("*.").unwrap_or(&name).contains('*') {
        return Err(at.value(format!(
            "{name:?} is neither a name nor of the form *.SUFFIX"
        )));
    }
    Ok(name.to_ascii_lowercase().into())
}

pub(super) fn cidr(value: &Cidr) -> CidrRange {
    CidrRange {
        address_prefix: value.address.to_string(),
        prefix_len: values::u32_value(value.length.into()),
    }
}

pub(super) fn from_cidr(proto: CidrRange, at: &At<'_>) -> Result<Cidr, InvalidResource> {
    let CidrRange {
        address_prefix,
        prefix_len,
    } = proto;
    let length = prefix_len.map_or(0, |length| length.value);
    let range = (address_prefix.parse().ok()).zip(u8::try_from(length).ok());
    range
        .and_then(|(address, length)| Cidr::new(address, length))
        .ok_or_else(|| at.value(format!("{address_prefix}/{length} is not an address range")))
}

fn from_ranges(
    field: &'static str,
    ranges: Vec<CidrRange>,
    at: &At<'_>,
) -> Result<BTreeSet<Cidr>, InvalidResource> {
    Ok(at.list(field, ranges, from_cidr)?.into_iter().collect())
}
