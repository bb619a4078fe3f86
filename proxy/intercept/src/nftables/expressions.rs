//! A rule as the kernel's virtual machine runs it: load something into a register, compare it, and act.

use std::net::IpAddr;

use mesh_ir::Cidr;

use super::netlink::Attributes;
use crate::rule::{Action, Match, Rule};

/// The register that everything is loaded into.
const REGISTER: u32 = 1;

/// Attributes of a list of expressions.
const ELEMENT: u16 = 1;
const NAME: u16 = 1;
const DATA: u16 = 2;

/// What `meta` loads.
const INPUT_INTERFACE: u32 = 6;
const OUTPUT_INTERFACE: u32 = 7;
const MARK: u32 = 3;
const SOCKET_USER: u32 = 10;
const SOCKET_GROUP: u32 = 11;
const NETWORK_PROTOCOL: u32 = 15;
const TRANSPORT_PROTOCOL: u32 = 16;

/// Headers that `payload` loads from.
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;

/// Netfilter's numbers of IPv4 and IPv6.
const IPV4: u8 = 2;
const IPV6: u8 = 10;

/// Length of an interface's name with the zero behind it.
const INTERFACE_NAME: usize = 16;

/// `ct`'s number of the zone.
const ZONE: u32 = 17;

/// Verdicts, which are negative where chains go on.
const RETURN: i32 = -5;
const JUMP: i32 = -3;

/// Writes the expressions of a rule.
pub(super) fn expressions(list: &mut Attributes<'_>, rule: &Rule) {
    for one in &rule.matches {
        criterion(list, one);
    }
    act(list, rule.action);
}

fn expression(list: &mut Attributes<'_>, name: &str, data: impl FnOnce(&mut Attributes<'_>)) {
    list.nest(ELEMENT, |element| {
        element.text(NAME, name);
        element.nest(DATA, data);
    });
}

fn criterion(list: &mut Attributes<'_>, one: &Match) {
    match one {
        Match::Protocol(protocol) => {
            meta(list, TRANSPORT_PROTOCOL);
            compare(list, true, &[protocol.number()]);
        }
        Match::DestinationPort(port, equal) => {
            payload(list, TRANSPORT_HEADER, 2, 2);
            compare(list, *equal, &port.to_be_bytes());
        }
        Match::SourcePort(port) => {
            payload(list, TRANSPORT_HEADER, 0, 2);
            compare(list, true, &port.to_be_bytes());
        }
        Match::Source(network) => within(list, *network, 12, 8, true),
        Match::Destination(network, equal) => within(list, *network, 16, 24, *equal),
        Match::FromInterface(name) => interface(list, INPUT_INTERFACE, name),
        Match::ToInterface(name) => interface(list, OUTPUT_INTERFACE, name),
        Match::User(id, equal) => {
            meta(list, SOCKET_USER);
            compare(list, *equal, &id.to_ne_bytes());
        }
        Match::Group(id, equal) => {
            meta(list, SOCKET_GROUP);
            compare(list, *equal, &id.to_ne_bytes());
        }
        Match::Mark(mark, equal) => {
            meta(list, MARK);
            compare(list, *equal, &mark.to_ne_bytes());
        }
    }
}

/// An address of the network's family lies within it, or outside. The offsets are those of the address in the header.
fn within(list: &mut Attributes<'_>, network: Cidr, at_v4: u32, at_v6: u32, equal: bool) {
    let (family, at, address) = match network.address {
        IpAddr::V4(v4) => (IPV4, at_v4, v4.octets().to_vec()),
        IpAddr::V6(v6) => (IPV6, at_v6, v6.octets().to_vec()),
    };
    meta(list, NETWORK_PROTOCOL);
    compare(list, true, &[family]);
    if network.length == 0 && equal {
        return;
    }
    let length = u32::try_from(address.len()).unwrap_or_default();
    payload(list, NETWORK_HEADER, at, length);
    if u32::from(network.length) < length * 8 {
        mask(list, network.length, &address);
    }
    compare(list, equal, &address);
}

fn mask(list: &mut Attributes<'_>, bits: u8, address: &[u8]) {
    let mask: Vec<u8> = (0..address.len())
        .map(|at| {
            let left = usize::from(bits).saturating_sub(at * 8).min(8);
            u8::try_from(0xff00_u16 >> left & 0xff).unwrap_or_default()
        })
        .collect();
    expression(list, "bitwise", |data| {
        data.number(1, REGISTER);
        data.number(2, REGISTER);
        data.number(3, u32::try_from(mask.len()).unwrap_or_default());
        data.nest(4, |value| value.bytes(1, &mask));
        data.nest(5, |value| value.bytes(1, &vec![0; mask.len()]));
    });
}

/// A name that ends in `+` stands for all that begin with it.
fn interface(list: &mut Attributes<'_>, key: u32, name: &str) {
    meta(list, key);
    match name.strip_suffix('+') {
        Some("") => {}
        Some(prefix) => compare(list, true, prefix.as_bytes()),
        None => {
            let mut padded = name.as_bytes().to_vec();
            padded.resize(INTERFACE_NAME, 0);
            compare(list, true, &padded);
        }
    }
}

fn meta(list: &mut Attributes<'_>, key: u32) {
    expression(list, "meta", |data| {
        data.number(2, key);
        data.number(1, REGISTER);
    });
}

fn payload(list: &mut Attributes<'_>, header: u32, offset: u32, length: u32) {
    expression(list, "payload", |data| {
        data.number(1, REGISTER);
        data.number(2, header);
        data.number(3, offset);
        data.number(4, length);
    });
}

fn compare(list: &mut Attributes<'_>, equal: bool, value: &[u8]) {
    expression(list, "cmp", |data| {
        data.number(1, REGISTER);
        data.number(2, u32::from(!equal));
        data.nest(3, |data| data.bytes(1, value));
    });
}

fn act(list: &mut Attributes<'_>, action: Action) {
    match action {
        Action::Return => verdict(list, RETURN, None),
        Action::Jump(chain) => verdict(list, JUMP, Some(chain)),
        Action::Redirect(port) => {
            immediate(list, &port.to_be_bytes());
            expression(list, "redir", |data| data.number(1, REGISTER));
        }
        Action::TrackIn(zone) => {
            immediate(list, &zone.to_ne_bytes());
            expression(list, "ct", |data| {
                data.number(2, ZONE);
                data.number(4, REGISTER);
            });
        }
    }
}

fn immediate(list: &mut Attributes<'_>, value: &[u8]) {
    expression(list, "immediate", |data| {
        data.number(1, REGISTER);
        data.nest(2, |data| data.bytes(1, value));
    });
}

fn verdict(list: &mut Attributes<'_>, code: i32, chain: Option<&str>) {
    expression(list, "immediate", |data| {
        // Register 0 holds what becomes of the packet.
        data.number(1, 0);
        data.nest(2, |data| {
            data.nest(2, |verdict| {
                verdict.number(1, code.cast_unsigned());
                if let Some(chain) = chain {
                    verdict.text(2, chain);
                }
            });
        });
    });
}
