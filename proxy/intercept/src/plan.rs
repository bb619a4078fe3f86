//! The rules for settings. Their order is Istio's, which users know from its documentation and from reading pods' rules.
//!
//! ```text
//! in   PREROUTING --> ISTIO_INBOUND --> ISTIO_IN_REDIRECT --> 15006
//! out  OUTPUT ------> ISTIO_OUTPUT ---> ISTIO_REDIRECT -----> 15001
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use mesh_ir::{Cidr, ports};

use crate::rule::{Action, Base, Chain, ChainKind, Family, Hook, Match, Protocol, Rule, Ruleset};
use crate::settings::{Dns, Selection, Settings};

/// The table, which is ours alone.
const TABLE: &str = "mesh_intercept";

const INBOUND: &str = "ISTIO_INBOUND";
const IN_REDIRECT: &str = "ISTIO_IN_REDIRECT";
const OUTPUT: &str = "ISTIO_OUTPUT";
const REDIRECT: &str = "ISTIO_REDIRECT";

/// Port of DNS servers.
const DNS_PORT: u16 = 53;

/// Where the proxy's connections to its own application come from, so that they are told from those of the application to itself.
const PROXY_SOURCES: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, 6)),
    IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 6)),
];

const LOOPBACK: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// Zones in which DNS is tracked: the application's queries to the proxy, and the proxy's to the server, have the same addresses.
const ZONE_OF_PROXY: u16 = 1;
const ZONE_OF_APPLICATION: u16 = 2;

/// Plans the rules for settings.
pub fn plan(settings: &Settings) -> Ruleset {
    let tcp = || Match::Protocol(Protocol::Tcp);
    let redirect = |name, port| Chain {
        name,
        base: None,
        rules: vec![rule([tcp()], Action::Redirect(port))],
    };
    let mut chains = vec![
        redirect(REDIRECT, settings.outbound_port),
        redirect(IN_REDIRECT, settings.inbound_port),
        Chain {
            name: INBOUND,
            base: None,
            rules: inbound(settings),
        },
        Chain {
            name: OUTPUT,
            base: None,
            rules: output(settings),
        },
        base("PREROUTING", Hook::Prerouting, prerouting(settings)),
        base("OUTPUT", Hook::Output, from_programs(settings)),
    ];
    if settings.dns != Dns::Untouched {
        chains.extend(zones(settings));
    }
    if !settings.ipv6 {
        for chain in &mut chains {
            chain.rules.retain(|rule| rule.family() != Some(Family::V6));
        }
    }
    Ruleset {
        table: TABLE,
        chains,
    }
}

fn rule<const N: usize>(matches: [Match; N], action: Action) -> Rule {
    Rule {
        matches: matches.into(),
        action,
    }
}

fn base(name: &'static str, hook: Hook, rules: Vec<Rule>) -> Chain {
    let kind = ChainKind::Nat;
    Chain {
        name,
        base: Some(Base { kind, hook }),
        rules,
    }
}

/// Without IPv6 its packets must not get into chains whose rules name no family.
fn only_v4(settings: &Settings) -> Option<Match> {
    let everything = Cidr::new(Ipv4Addr::UNSPECIFIED.into(), 0)?;
    (!settings.ipv6).then_some(Match::Source(everything))
}

fn prerouting(settings: &Settings) -> Vec<Rule> {
    let mut rules: Vec<Rule> = settings
        .exclude_interfaces
        .iter()
        .map(|name| rule([Match::FromInterface(name.clone())], Action::Return))
        .collect();
    for name in &settings.virtual_machine_interfaces {
        rules.extend(from_virtual_machine(settings, name));
    }
    if !settings.include_inbound_ports.is_empty() {
        let mut matches = vec![Match::Protocol(Protocol::Tcp)];
        matches.extend(only_v4(settings));
        rules.push(Rule {
            matches,
            action: Action::Jump(INBOUND),
        });
    }
    rules
}

/// What a virtual machine sends comes in by its interface, and is outbound traffic all the same.
fn from_virtual_machine(settings: &Settings, name: &str) -> Vec<Rule> {
    let from = || Match::FromInterface(name.to_owned());
    let to = |network: &Cidr| Match::Destination(*network, true);
    let tcp = || Match::Protocol(Protocol::Tcp);
    let mut rules: Vec<Rule> = settings
        .exclude_outbound_networks
        .iter()
        .map(|network| rule([from(), to(network)], Action::Return))
        .collect();
    match &settings.include_outbound_networks {
        Selection::All => {
            let mut matches = vec![from(), tcp()];
            matches.extend(only_v4(settings));
            rules.push(Rule {
                matches,
                action: Action::Jump(REDIRECT),
            });
        }
        Selection::Only(networks) => rules.extend(
            networks
                .iter()
                .map(|network| rule([from(), tcp(), to(network)], Action::Jump(REDIRECT))),
        ),
    }
    rules.push(rule([from()], Action::Return));
    rules
}

fn inbound(settings: &Settings) -> Vec<Rule> {
    let to_port = |port| {
        [
            Match::Protocol(Protocol::Tcp),
            Match::DestinationPort(port, true),
        ]
    };
    let mut rules = vec![rule(to_port(settings.tunnel_port), Action::Return)];
    for port in &settings.exclude_inbound_ports {
        rules.push(rule(to_port(*port), Action::Return));
    }
    match &settings.include_inbound_ports {
        Selection::All => {
            let tcp = Match::Protocol(Protocol::Tcp);
            rules.push(rule([tcp], Action::Jump(IN_REDIRECT)));
        }
        Selection::Only(ports) => rules.extend(
            ports
                .iter()
                .map(|port| rule(to_port(*port), Action::Jump(IN_REDIRECT))),
        ),
    }
    rules
}

/// Packets of this pod's programs, before their chain.
fn from_programs(settings: &Settings) -> Vec<Rule> {
    let mut rules: Vec<Rule> = settings
        .exclude_interfaces
        .iter()
        .map(|name| rule([Match::ToInterface(name.clone())], Action::Return))
        .collect();
    let jump = |protocol| {
        let mut matches = vec![Match::Protocol(protocol)];
        matches.extend(only_v4(settings));
        Rule {
            matches,
            action: Action::Jump(OUTPUT),
        }
    };
    rules.push(jump(Protocol::Tcp));
    if settings.dns != Dns::Untouched {
        rules.push(jump(Protocol::Udp));
    }
    rules
}

/// What becomes of the connections of this pod's programs.
fn output(settings: &Settings) -> Vec<Rule> {
    let tcp = || Match::Protocol(Protocol::Tcp);
    let to_port = |port| [tcp(), Match::DestinationPort(port, true)];
    let mut rules: Vec<Rule> = settings
        .exclude_outbound_ports
        .iter()
        .map(|port| rule(to_port(*port), Action::Return))
        .collect();
    for source in PROXY_SOURCES {
        let source = Match::Source(Cidr::single(source));
        rules.push(rule([loopback(), source], Action::Return));
    }
    for owner in owners(settings) {
        rules.extend(of_owner(settings, owner));
    }
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        rules.extend(queries(settings, protocol));
    }
    for address in LOOPBACK {
        let to = Match::Destination(Cidr::single(address), true);
        rules.push(rule([to], Action::Return));
    }
    for network in &settings.exclude_outbound_networks {
        rules.push(rule([Match::Destination(*network, true)], Action::Return));
    }
    match &settings.include_outbound_ports {
        Selection::All => rules.push(rule([tcp()], Action::Jump(REDIRECT))),
        Selection::Only(ports) => rules.extend(
            ports
                .iter()
                .map(|port| rule(to_port(*port), Action::Jump(REDIRECT))),
        ),
    }
    match &settings.include_outbound_networks {
        Selection::All => rules.push(rule([tcp()], Action::Jump(REDIRECT))),
        Selection::Only(networks) => rules.extend(networks.iter().map(|network| {
            rule(
                [tcp(), Match::Destination(*network, true)],
                Action::Jump(REDIRECT),
            )
        })),
    }
    rules
}

fn loopback() -> Match {
    Match::ToInterface("lo".to_owned())
}

/// By what packets are known to be the proxy's, or not: any of these.
fn owners(settings: &Settings) -> Vec<Box<dyn Fn(bool) -> Match>> {
    if let Some(mark) = settings.proxy_mark {
        return vec![Box::new(move |equal| Match::Mark(mark, equal))];
    }
    let of = |id: u32, of: fn(u32, bool) -> Match| -> Box<dyn Fn(bool) -> Match> {
        Box::new(move |equal| of(id, equal))
    };
    let users = settings.proxy_users.iter();
    let groups = settings.proxy_groups.iter();
    users
        .map(|id| of(*id, Match::User))
        .chain(groups.map(|id| of(*id, Match::Group)))
        .collect()
}

/// The proxy's own connections, told by an owner, and those of the application to itself.
fn of_owner(settings: &Settings, owner: impl Fn(bool) -> Match) -> Vec<Rule> {
    let tcp = || Match::Protocol(Protocol::Tcp);
    let mut rules = Vec::new();
    // A service that calls itself through the proxy comes in again like any other client.
    for address in LOOPBACK {
        let elsewhere = Match::Destination(Cidr::single(address), false);
        let no_tunnel = Match::DestinationPort(settings.tunnel_port, false);
        rules.push(rule(
            [loopback(), elsewhere, tcp(), no_tunnel, owner(true)],
            Action::Jump(IN_REDIRECT),
        ));
    }
    // The application's connections to itself by the pod's address stay direct.
    rules.push(match settings.dns {
        Dns::Untouched => rule([loopback(), owner(false)], Action::Return),
        _ => rule(
            [
                loopback(),
                tcp(),
                Match::DestinationPort(DNS_PORT, false),
                owner(false),
            ],
            Action::Return,
        ),
    });
    rules.push(rule([owner(true)], Action::Return));
    rules
}

/// DNS queries that go to the proxy.
fn queries(settings: &Settings, protocol: Protocol) -> Vec<Rule> {
    let to_dns = || {
        [
            Match::Protocol(protocol),
            Match::DestinationPort(DNS_PORT, true),
        ]
    };
    let action = Action::Redirect(ports::PROXY_DNS);
    match &settings.dns {
        Dns::Untouched => Vec::new(),
        Dns::All => vec![rule(to_dns(), action)],
        Dns::Servers(servers) => servers
            .iter()
            .map(|server| {
                let [protocol, port] = to_dns();
                let server = Match::Destination(Cidr::single(*server), true);
                rule([protocol, port, server], action)
            })
            .collect(),
    }
}

/// Keeps the application's queries and the proxy's apart where the kernel tracks them.
fn zones(settings: &Settings) -> [Chain; 2] {
    let udp = || Match::Protocol(Protocol::Udp);
    let mut out = Vec::new();
    // The first zone that a packet is given counts.
    let query = || Match::DestinationPort(DNS_PORT, true);
    for owner in owners(settings) {
        let owner = owner(true);
        let answer = Match::SourcePort(ports::PROXY_DNS);
        out.push(rule(
            [udp(), query(), owner.clone()],
            Action::TrackIn(ZONE_OF_PROXY),
        ));
        out.push(rule(
            [udp(), answer, owner],
            Action::TrackIn(ZONE_OF_APPLICATION),
        ));
    }
    out.push(rule([udp(), query()], Action::TrackIn(ZONE_OF_APPLICATION)));
    let from_server = [udp(), Match::SourcePort(DNS_PORT)];
    let inward = rule(from_server, Action::TrackIn(ZONE_OF_PROXY));
    let chain = |name, hook, rules| Chain {
        name,
        base: Some(Base {
            kind: ChainKind::Raw,
            hook,
        }),
        rules,
    };
    [
        chain("RAW_PREROUTING", Hook::Prerouting, vec![inward]),
        chain("RAW_OUTPUT", Hook::Output, out),
    ]
}

#[cfg(test)]
mod tests;
