//! Rules of the kernel's packet filter as values, apart from how the kernel is told.
//!
//! Their text is nftables' own language, so that what `--dry-run` prints can be read, compared with `nft list ruleset`, and loaded.

use std::fmt;
use std::net::IpAddr;

use mesh_ir::Cidr;

/// Chains in an order in which they can be made: what jumps comes after where it jumps to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruleset {
    /// Name of the table that holds them. Nothing else is in it, so that it can be replaced and removed as a whole.
    pub table: &'static str,
    /// The chains.
    pub chains: Vec<Chain>,
}

/// A list of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Its name, which is Istio's where Istio has the chain.
    pub name: &'static str,
    /// Where packets enter it; a chain without is jumped to.
    pub base: Option<Base>,
    /// Its rules; the first that decides counts.
    pub rules: Vec<Rule>,
}

/// Where packets enter a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    /// What the chain may do.
    pub kind: ChainKind,
    /// Where in a packet's way.
    pub hook: Hook,
}

/// What a chain may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainKind {
    /// Translate addresses; sees the first packet of each connection.
    Nat,
    /// See every packet before connections are tracked.
    Raw,
}

/// A point in a packet's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Packets that come in.
    Prerouting,
    /// Packets of this machine's programs.
    Output,
}

/// What matches all of the criteria is acted upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// All of them must hold.
    pub matches: Vec<Match>,
    /// What happens then.
    pub action: Action,
}

/// A criterion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// The transport protocol.
    Protocol(Protocol),
    /// The destination port equals this, or differs from it.
    DestinationPort(u16, bool),
    /// The source port.
    SourcePort(u16),
    /// The source address lies within.
    Source(Cidr),
    /// The destination address lies within, or outside. Either way only packets of the network's family match.
    Destination(Cidr, bool),
    /// The interface that the packet came by; a name that ends in `+` stands for all that begin so.
    FromInterface(String),
    /// The interface that the packet leaves by.
    ToInterface(String),
    /// The user of the socket is this one, or another one.
    User(u32, bool),
    /// The group of the socket is this one, or another one.
    Group(u32, bool),
    /// The packet's mark is this one, or another one.
    Mark(u32, bool),
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// What happens to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The rest of the chain is left out; of a base chain, nothing happens.
    Return,
    /// The rules of another chain decide.
    Jump(&'static str),
    /// The connection goes to this port of this machine instead.
    Redirect(u16),
    /// The connection is tracked in this zone, apart from connections with the same addresses in others.
    TrackIn(u16),
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

// === impl Ruleset ===

impl fmt::Display for Ruleset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "table inet {} {{", self.table)?;
        for chain in &self.chains {
            write!(f, "{chain}")?;
        }
        writeln!(f, "}}")
    }
}

// === impl Chain ===

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\tchain {} {{", self.name)?;
        if let Some(base) = &self.base {
            writeln!(f, "\t\t{base}")?;
        }
        for rule in &self.rules {
            writeln!(f, "\t\t{rule}")?;
        }
        writeln!(f, "\t}}")
    }
}

// === impl Base ===

impl Base {
    /// When this chain's turn is among those at the same hook: the number that iptables' tables of the same purpose have.
    pub const fn priority(self) -> i32 {
        match (self.kind, self.hook) {
            (ChainKind::Nat, _) => -100,
            (ChainKind::Raw, _) => -300,
        }
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ChainKind::Nat => "nat",
            ChainKind::Raw => "filter",
        };
        let hook = match self.hook {
            Hook::Prerouting => "prerouting",
            Hook::Output => "output",
        };
        let priority = self.priority();
        write!(
            f,
            "type {kind} hook {hook} priority {priority}; policy accept;"
        )
    }
}

// === impl Rule ===

impl Rule {
    /// The family whose packets the rule can match; none if both.
    pub fn family(&self) -> Option<Family> {
        self.matches.iter().find_map(|one| match one {
            Match::Source(network) | Match::Destination(network, _) => {
                Some(Family::of(network.address))
            }
            _ => None,
        })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut protocol = "th";
        for one in &self.matches {
            if let Match::Protocol(one) = one {
                protocol = one.name();
            }
        }
        for one in &self.matches {
            one.write(protocol, f)?;
            f.write_str(" ")?;
        }
        match self.action {
            Action::Return => f.write_str("return"),
            Action::Jump(chain) => write!(f, "jump {chain}"),
            Action::Redirect(port) => write!(f, "redirect to :{port}"),
            Action::TrackIn(zone) => write!(f, "ct zone set {zone}"),
        }
    }
}

// === impl Match ===

impl Match {
    fn write(&self, protocol: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = |equal: bool| if equal { "" } else { "!= " };
        match self {
            Self::Protocol(protocol) => write!(f, "meta l4proto {}", protocol.name()),
            Self::DestinationPort(port, equal) => {
                write!(f, "{protocol} dport {}{port}", not(*equal))
            }
            Self::SourcePort(port) => write!(f, "{protocol} sport {port}"),
            Self::Source(network) => write!(f, "{} saddr {network}", ip(network.address)),
            Self::Destination(network, within) => {
                let family = ip(network.address);
                write!(f, "{family} daddr {}{network}", not(*within))
            }
            Self::FromInterface(name) => write!(f, "iifname \"{}\"", wildcard(name)),
            Self::ToInterface(name) => write!(f, "oifname \"{}\"", wildcard(name)),
            Self::User(id, equal) => write!(f, "meta skuid {}{id}", not(*equal)),
            Self::Group(id, equal) => write!(f, "meta skgid {}{id}", not(*equal)),
            Self::Mark(mark, equal) => write!(f, "meta mark {}{mark}", not(*equal)),
        }
    }
}

fn ip(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => "ip",
        IpAddr::V6(_) => "ip6",
    }
}

/// nftables' wildcard for iptables' one.
fn wildcard(name: &str) -> String {
    match name.strip_suffix('+') {
        Some(prefix) => format!("{prefix}*"),
        None => name.to_owned(),
    }
}

// === impl Protocol ===

impl Protocol {
    /// Its name, as iptables and nftables write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }

    /// Its number in the header of IP packets.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

// === impl Family ===

impl Family {
    /// The family of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}
