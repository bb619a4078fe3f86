//! Services as rules of the kernel: what arrives for a ClusterIP is sent on to one of its endpoints.
//!
//! The whole table is written anew each time, in one transaction; connections keep the endpoint that they have.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

use super::world::{DNS, NODE, SERVICE_RANGE};

/// The name of the table.
const TABLE: &str = "meshctl-services";

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// A ClusterIP, or the node's address for a node port.
    pub address: Ipv4Addr,
    pub protocol: Protocol,
    pub port: u16,
    /// Ready endpoints.
    pub targets: Vec<(Ipv4Addr, u16)>,
    /// Each client keeps its endpoint, as `sessionAffinity: ClientIP` asks.
    pub is_sticky: bool,
}

/// Protocols of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

// === impl Protocol ===

impl Protocol {
    /// By the word in a Service; TCP without one.
    pub fn of(word: Option<&str>) -> Self {
        match word {
            Some("UDP") => Self::Udp,
            Some("SCTP") => Self::Sctp,
            _ => Self::Tcp,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// The rules, as `nft` reads them. What has no endpoints is refused at once.
pub fn render(forwards: &[Forward]) -> String {
    let mut text = format!("table ip {TABLE}\ndelete table ip {TABLE}\ntable ip {TABLE} {{\n");
    let (mut elements, mut endpoints) = (Vec::new(), Vec::new());
    for (number, forward) in forwards.iter().enumerate() {
        if forward.targets.is_empty() {
            continue;
        }
        let Forward {
            address,
            protocol,
            port,
            targets,
            is_sticky,
        } = forward;
        let word = protocol.word();
        let rule = destination(targets, *is_sticky);
        line(
            &mut text,
            &format!("  chain s{number} {{\n    meta l4proto {word} {rule}\n  }}"),
        );
        elements.push(format!("{address} . {word} . {port} : goto s{number}"));
        endpoints.extend(targets.iter().map(|(address, _)| *address));
    }
    endpoints.sort_unstable();
    endpoints.dedup();
    let own: Vec<String> = endpoints
        .iter()
        .map(|address| format!("{address} . {address}"))
        .collect();
    line(
        &mut text,
        &set(
            "map services",
            "ipv4_addr . inet_proto . inet_service : verdict",
            &elements,
        ),
    );
    // A pod that reaches itself by its Service must hear from somebody else.
    line(&mut text, &set("set own", "ipv4_addr . ipv4_addr", &own));
    let send = "ip daddr . meta l4proto . th dport vmap @services";
    for (name, kind, rule) in [
        ("incoming", "nat hook prerouting priority -100", send),
        ("outgoing", "nat hook output priority -100", send),
        (
            "leaving",
            "nat hook postrouting priority 100",
            &format!("ip saddr . ip daddr @own snat to {NODE}"),
        ),
        (
            "passing",
            "filter hook forward priority 0",
            &format!("ip daddr {SERVICE_RANGE} reject"),
        ),
        (
            "sent",
            "filter hook output priority 0",
            &format!("ip daddr {SERVICE_RANGE} ip daddr != {DNS} reject"),
        ),
    ] {
        line(
            &mut text,
            &format!("  chain {name} {{\n    type {kind};\n    {rule}\n  }}"),
        );
    }
    text.push_str("}\n");
    text
}

fn line(text: &mut String, line: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{line}");
}

fn set(name: &str, kind: &str, elements: &[String]) -> String {
    let elements = match elements {
        [] => String::new(),
        some => format!("    elements = {{ {} }}\n", some.join(", ")),
    };
    format!("  {name} {{\n    type {kind}\n{elements}  }}")
}

fn destination(targets: &[(Ipv4Addr, u16)], is_sticky: bool) -> String {
    match targets {
        [(address, port)] => format!("dnat to {address}:{port}"),
        several => {
            let entries: Vec<String> = several
                .iter()
                .enumerate()
                .map(|(number, (address, port))| format!("{number} : {address} . {port}"))
                .collect();
            let choice = if is_sticky {
                "jhash ip saddr"
            } else {
                "numgen random"
            };
            let count = several.len();
            format!(
                "dnat ip addr . port to {choice} mod {count} map {{ {} }}",
                entries.join(", ")
            )
        }
    }
}

/// The endpoints of IPv4 among some.
pub fn only_v4(targets: impl IntoIterator<Item = (IpAddr, u16)>) -> Vec<(Ipv4Addr, u16)> {
    let targets = targets.into_iter();
    targets
        .filter_map(|(address, port)| match address {
            IpAddr::V4(address) => Some((address, port)),
            IpAddr::V6(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_leads_to_each_of_its_endpoints() {
        let endpoint = |last: u8| (Ipv4Addr::new(10, 244, 0, last), 8080);
        let forward = |last: u8, targets: Vec<(Ipv4Addr, u16)>, is_sticky: bool| Forward {
            address: Ipv4Addr::new(10, 96, 1, last),
            protocol: Protocol::Tcp,
            port: 80,
            targets,
            is_sticky,
        };
        let text = render(&[
            forward(1, vec![endpoint(2)], false),
            forward(2, vec![endpoint(2), endpoint(3)], false),
            forward(3, vec![endpoint(2), endpoint(3)], true),
            forward(4, vec![], false),
        ]);
        for expected in [
            "chain s0 {\n    meta l4proto tcp dnat to 10.244.0.2:8080\n",
            "dnat ip addr . port to numgen random mod 2 map { 0 : 10.244.0.2 . 8080, 1 : 10.244.0.3 . 8080 }",
            "dnat ip addr . port to jhash ip saddr mod 2 map",
            "elements = { 10.96.1.1 . tcp . 80 : goto s0, 10.96.1.2 . tcp . 80 : goto s1, 10.96.1.3 . tcp . 80 : goto s2 }",
            "elements = { 10.244.0.2 . 10.244.0.2, 10.244.0.3 . 10.244.0.3 }",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
        assert!(!text.contains("10.96.1.4"), "nothing leads to no endpoint");
    }
}
