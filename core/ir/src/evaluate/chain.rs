//! Which filter chain takes a connection.
//!
//! The rules are Envoy's. Criteria are compared one after the other: destination port, destination address, server name, transport
//! protocol, application protocols, source address, source port. At each step only the chains with the most specific value that fits
//! stay: a port before any port, a longer prefix before a shorter one, an exact name before the longest wildcard. What is lost at one
//! step does not come back at a later one; when no chain is left, the listener's default chain takes the connection.

use std::net::IpAddr;

use rustc_hash::FxHashMap;

use super::ConnectionFacts;
use crate::trace::{Mismatch, Stage, Step, StepOutcome, Trace};
use crate::{ChainMatch, Cidr, FilterChain, Transport};

/// The chains of a listener, ready for connections.
#[derive(Clone, Debug, Default)]
pub struct ChainSelector {
    ports: Level<u16, Addresses>,
    /// What chains look at, by destination port.
    looks_at: Level<u16, LooksAt>,
    /// Names and criteria in the order of the configuration, for explanations.
    chains: Box<[(String, ChainMatch)]>,
}

/// What must be known of a connection, besides its addresses, before its chain can be selected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LooksAt {
    /// Whether it begins with TLS, and which name is asked for there.
    pub tls: bool,
    /// Which protocol is spoken or offered.
    pub protocols: bool,
    /// Whether TLS may end here, for which it must be known what is asked for in any case.
    pub ends_tls: bool,
}

/// Chains by an exact value, and those of any value.
#[derive(Clone, Debug)]
struct Level<K, N> {
    exact: FxHashMap<K, N>,
    any: Option<Box<N>>,
}

/// Chains by a block of addresses, the longest first; none is any address.
#[derive(Clone, Debug)]
struct Blocks<N>(Vec<(Option<Cidr>, N)>);

type Addresses = Blocks<Names>;

/// Chains by server name. Wildcards are kept without their star: `.example.com`.
#[derive(Clone, Debug, Default)]
struct Names(Level<Box<str>, Transports>);

type Transports = Level<Transport, Protocols>;
type Protocols = Level<Box<str>, Sources>;
type Sources = Blocks<SourcePorts>;
/// Positions of chains.
type SourcePorts = Level<u16, Position>;

/// Position of a chain in the listener; the first of equal ones counts.
#[derive(Clone, Copy, Debug, Default)]
struct Position(Option<usize>);

// === impl ChainSelector ===

impl ChainSelector {
    /// Compiles the criteria of a listener's chains.
    pub fn new(chains: &[FilterChain]) -> Self {
        let mut selector = Self::default();
        for (position, chain) in chains.iter().enumerate() {
            selector.add(&chain.matcher, position);
            let looks_at = selector.looks_at.entry(chain.matcher.destination_port);
            looks_at.ends_tls |= chain.tls.is_some();
        }
        selector.chains = chains
            .iter()
            .map(|chain| (chain.name.to_string(), chain.matcher.clone()))
            .collect();
        selector
    }

    fn add(&mut self, matcher: &ChainMatch, position: usize) {
        let ChainMatch {
            destination_port,
            destination_prefixes,
            server_names,
            transport,
            application_protocols,
            source_prefixes,
            source_ports,
        } = matcher;
        let looks_at = self.looks_at.entry(*destination_port);
        looks_at.tls |= transport.is_some() || !server_names.is_empty();
        looks_at.protocols |= !application_protocols.is_empty();
        let addresses = self.ports.entry(*destination_port);
        for block in each(destination_prefixes) {
            let names = addresses.entry(block.copied());
            for name in each(server_names) {
                let transports = names.0.entry(name.map(|name| wildcard(name)));
                let protocols = transports.entry(*transport);
                for protocol in each(application_protocols) {
                    let sources = protocols.entry(protocol.map(|name| (**name).into()));
                    for block in each(source_prefixes) {
                        let ports = sources.entry(block.copied());
                        for port in each(source_ports) {
                            let found = ports.entry(port.copied());
                            found.0 = found.0.or(Some(position));
                        }
                    }
                }
            }
        }
    }

    /// The position of the chain that takes a connection; none if only the default chain is left.
    pub fn select<T: Trace>(
        &self,
        connection: &ConnectionFacts<'_>,
        trace: &mut T,
    ) -> Option<usize> {
        let found = self.find(connection);
        for (position, chain) in self.chains.iter().enumerate() {
            if !T::ENABLED {
                break;
            }
            trace.record(|| step(chain, position, connection, found));
        }
        found
    }

    fn find(&self, connection: &ConnectionFacts<'_>) -> Option<usize> {
        let destination = connection.destination;
        self.ports
            .get(&destination.port())?
            .get(destination.ip())?
            .get(connection.server_name.unwrap_or_default())?
            .get(&connection.transport)?
            .first(connection.application_protocols)?
            .get(connection.source.ip())?
            .get(&connection.source.port())?
            .0
    }

    /// What must be known of connections to a destination port before [`Self::select`] can tell.
    pub fn looks_at(&self, destination_port: u16) -> LooksAt {
        self.looks_at
            .get(&destination_port)
            .copied()
            .unwrap_or_default()
    }

    /// Whether it matters where connections were meant to go.
    pub fn looks_at_destination(&self) -> bool {
        self.chains.iter().any(|(_, matcher)| {
            matcher.destination_port.is_some() || !matcher.destination_prefixes.is_empty()
        })
    }
}

/// Every value, or once none where there is no value.
fn each<T>(values: &std::collections::BTreeSet<T>) -> impl Iterator<Item = Option<&T>> {
    let none = values.is_empty().then_some(None);
    values.iter().map(Some).chain(none)
}

fn wildcard(name: &str) -> Box<str> {
    name.strip_prefix('*').unwrap_or(name).into()
}

// === impl Level ===

impl<K, N> Default for Level<K, N> {
    fn default() -> Self {
        Self {
            exact: FxHashMap::default(),
            any: None,
        }
    }
}

impl<K: Eq + std::hash::Hash, N: Default> Level<K, N> {
    fn entry(&mut self, key: Option<K>) -> &mut N {
        match key {
            Some(key) => self.exact.entry(key).or_default(),
            None => self.any.get_or_insert_default(),
        }
    }

    fn get<Q>(&self, key: &Q) -> Option<&N>
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + std::hash::Hash + ?Sized,
    {
        self.exact.get(key).or(self.any.as_deref())
    }
}

impl Protocols {
    /// The chains of the first protocol for which there are any.
    fn first(&self, protocols: &[&str]) -> Option<&Sources> {
        let mut found = protocols.iter().map(|name| self.exact.get(*name));
        found.find_map(|found| found).or(self.any.as_deref())
    }
}

// === impl Names ===

impl Names {
    /// The chains of a name, of the longest wildcard that covers it, or of any name.
    fn get(&self, name: &str) -> Option<&Transports> {
        let Self(Level { exact, any }) = self;
        if exact.is_empty() {
            return any.as_deref();
        }
        let name = name.to_ascii_lowercase();
        // A wildcard stands for at least one character.
        let dots = name.char_indices().skip(1).filter(|(_, char)| *char == '.');
        let suffixes = dots.filter_map(|(at, _)| name.get(at..));
        std::iter::once(&*name)
            .chain(suffixes)
            .find_map(|name| exact.get(name))
            .or(any.as_deref())
    }
}

// === impl Blocks ===

impl<N> Default for Blocks<N> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<N: Default> Blocks<N> {
    fn entry(&mut self, block: Option<Cidr>) -> &mut N {
        let order = |block: Option<Cidr>| block.map(|block| block.length);
        let at = match self.0.iter().position(|(other, _)| *other == block) {
            Some(at) => at,
            None => {
                let at = self
                    .0
                    .partition_point(|(other, _)| order(*other) >= order(block));
                self.0.insert(at, (block, N::default()));
                at
            }
        };
        &mut self.0[at].1
    }
}

impl<N> Blocks<N> {
    /// The chains of the longest block that contains an address, or of any address.
    fn get(&self, address: IpAddr) -> Option<&N> {
        let contains = |block: &Option<Cidr>| block.is_none_or(|block| block.contains(address));
        let found = self.0.iter().find(|(block, _)| contains(block))?;
        Some(&found.1)
    }
}

// === explanations ===

fn step(
    (name, matcher): &(String, ChainMatch),
    position: usize,
    connection: &ConnectionFacts<'_>,
    found: Option<usize>,
) -> Step {
    let outcome = match mismatch(matcher, connection) {
        Some(mismatch) => StepOutcome::NotMatched(mismatch),
        None if found == Some(position) => StepOutcome::Matched,
        None => StepOutcome::Note("matches, but another chain is more specific".into()),
    };
    Step {
        stage: Stage::Chain,
        subject: match name.as_str() {
            "" => format!("#{position}"),
            name => format!("#{position} {name}"),
        },
        origin: None,
        outcome,
    }
}

/// The first criterion of a chain that a connection does not meet.
fn mismatch(matcher: &ChainMatch, connection: &ConnectionFacts<'_>) -> Option<Mismatch> {
    let ChainMatch {
        destination_port,
        destination_prefixes,
        server_names,
        transport,
        application_protocols,
        source_prefixes,
        source_ports,
    } = matcher;
    let differs = |holds: bool, criterion: &str, expected: String, actual: Option<String>| {
        (!holds).then(|| Mismatch::new(criterion, expected, actual.as_deref().map(str::as_bytes)))
    };
    let within = |blocks: &std::collections::BTreeSet<Cidr>, address: IpAddr| {
        blocks.is_empty() || blocks.iter().any(|block| block.contains(address))
    };
    let (source, destination) = (connection.source, connection.destination);
    let name = connection.server_name.map(str::to_ascii_lowercase);
    let covers = |pattern: &str| {
        let name = name.as_deref().unwrap_or_default();
        match pattern.strip_prefix('*') {
            Some(suffix) => name.len() > suffix.len() && name.ends_with(suffix),
            None => name == pattern,
        }
    };
    let offered = connection.application_protocols;
    differs(
        destination_port.is_none_or(|port| port == destination.port()),
        "destination port",
        list(destination_port),
        Some(destination.port().to_string()),
    )
    .or_else(|| {
        differs(
            within(destination_prefixes, destination.ip()),
            "destination address",
            list(destination_prefixes),
            Some(destination.ip().to_string()),
        )
    })
    .or_else(|| {
        let holds = server_names.is_empty() || server_names.iter().any(|name| covers(name));
        differs(holds, "server name", list(server_names), name.clone())
    })
    .or_else(|| {
        let shown = |transport: Transport| match transport {
            Transport::Plaintext => "plaintext",
            Transport::Tls => "TLS",
        };
        let holds = transport.is_none_or(|transport| transport == connection.transport);
        let actual = Some(shown(connection.transport).to_owned());
        differs(holds, "transport", list(transport.map(shown)), actual)
    })
    .or_else(|| {
        let holds = application_protocols.is_empty()
            || application_protocols
                .iter()
                .any(|name| offered.contains(&&**name));
        let actual = (!offered.is_empty()).then(|| offered.join(","));
        differs(
            holds,
            "application protocol",
            list(application_protocols),
            actual,
        )
    })
    .or_else(|| {
        differs(
            within(source_prefixes, source.ip()),
            "source address",
            list(source_prefixes),
            Some(source.ip().to_string()),
        )
    })
    .or_else(|| {
        differs(
            source_ports.is_empty() || source_ports.contains(&source.port()),
            "source port",
            list(source_ports),
            Some(source.port().to_string()),
        )
    })
}

fn list<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    format!("one of [{}]", texts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Explanation;
    use crate::{Network, TcpProxy};

    fn chain(name: &str, matcher: ChainMatch) -> FilterChain {
        FilterChain::new(name, matcher, Network::Tcp(TcpProxy::to("c")))
    }

    fn port(port: u16) -> ChainMatch {
        ChainMatch {
            destination_port: Some(port),
            ..ChainMatch::default()
        }
    }

    fn to(blocks: &[&str]) -> ChainMatch {
        ChainMatch {
            destination_prefixes: blocks.iter().map(|block| block.parse().unwrap()).collect(),
            ..ChainMatch::default()
        }
    }

    fn from(blocks: &[&str]) -> ChainMatch {
        ChainMatch {
            source_prefixes: blocks.iter().map(|block| block.parse().unwrap()).collect(),
            ..ChainMatch::default()
        }
    }

    fn name(names: &[&str]) -> ChainMatch {
        ChainMatch {
            server_names: names.iter().map(|name| (*name).into()).collect(),
            ..ChainMatch::default()
        }
    }

    fn speaks(protocols: &[&str]) -> ChainMatch {
        ChainMatch {
            application_protocols: protocols.iter().map(|name| (*name).into()).collect(),
            ..ChainMatch::default()
        }
    }

    fn tls() -> ChainMatch {
        ChainMatch {
            transport: Some(Transport::Tls),
            ..ChainMatch::default()
        }
    }

    fn plain() -> ConnectionFacts<'static> {
        let source = "10.0.0.1:40000".parse().unwrap();
        ConnectionFacts::plaintext(source, "10.1.2.3:80".parse().unwrap())
    }

    #[track_caller]
    fn check(matchers: &[ChainMatch], connection: ConnectionFacts<'_>, expect: Option<usize>) {
        let chains: Vec<FilterChain> = matchers
            .iter()
            .map(|matcher| chain("", matcher.clone()))
            .collect();
        let selector = ChainSelector::new(&chains);
        let mut explanation = Explanation::default();
        assert_eq!(selector.select(&connection, &mut explanation), expect);
        assert_eq!(selector.select(&connection, &mut ()), expect);
        assert_eq!(explanation.steps.len(), matchers.len());
        let matched = explanation
            .steps
            .iter()
            .position(|step| step.outcome == StepOutcome::Matched);
        assert_eq!(matched, expect, "{explanation}");
    }

    #[test]
    fn a_port_comes_before_any_port_and_does_not_fall_back() {
        check(&[ChainMatch::default(), port(80)], plain(), Some(1));
        check(&[ChainMatch::default(), port(81)], plain(), Some(0));
        let http_only = ChainMatch {
            destination_port: Some(80),
            ..speaks(&["http/1.1"])
        };
        check(&[ChainMatch::default(), http_only], plain(), None);
        check(&[], plain(), None);
    }

    #[test]
    fn the_longest_destination_prefix_counts() {
        let blocks = [
            to(&["10.0.0.0/8"]),
            to(&["10.1.0.0/16", "192.0.2.0/24"]),
            ChainMatch::default(),
        ];
        check(&blocks, plain(), Some(1));
        check(
            &[to(&["10.9.0.0/16"]), ChainMatch::default()],
            plain(),
            Some(1),
        );
        check(&[to(&["10.9.0.0/16"])], plain(), None);
    }

    #[test]
    fn names_are_exact_or_the_longest_wildcard_without_case() {
        let names = [
            name(&["*.example.com"]),
            name(&["a.example.com"]),
            name(&["*.com"]),
            ChainMatch::default(),
        ];
        let of = |server_name| ConnectionFacts {
            server_name: Some(server_name),
            transport: Transport::Tls,
            ..plain()
        };
        check(&names, of("A.example.com"), Some(1));
        check(&names, of("b.example.com"), Some(0));
        check(&names, of("c.b.example.com"), Some(0));
        check(&names, of("example.com"), Some(2));
        check(&names, of("example.org"), Some(3));
        check(&names, plain(), Some(3));
    }

    #[test]
    fn transport_and_protocols_tell_mesh_tls_from_an_applications_own() {
        let mesh = ChainMatch {
            transport: Some(Transport::Tls),
            ..speaks(&["istio", "istio-http/1.1"])
        };
        let chains = [
            mesh,
            tls(),
            speaks(&["http/1.1", "h2c"]),
            ChainMatch::default(),
        ];
        let offers = |application_protocols| ConnectionFacts {
            transport: Transport::Tls,
            application_protocols,
            ..plain()
        };
        check(&chains, offers(&["istio-peer-exchange", "istio"]), Some(0));
        check(&chains, offers(&["h2", "http/1.1"]), Some(1));
        check(&chains, offers(&[]), Some(1));
        check(&chains, plain(), Some(3));
        let http = ConnectionFacts {
            application_protocols: &["http/1.1"],
            ..plain()
        };
        check(&chains, http, Some(2));
    }

    #[test]
    fn the_first_protocol_that_is_offered_counts() {
        let chains = [speaks(&["b"]), speaks(&["a"])];
        let offers = ConnectionFacts {
            application_protocols: &["x", "a", "b"],
            ..plain()
        };
        check(&chains, offers, Some(1));
    }

    #[test]
    fn the_source_is_compared_last() {
        check(
            &[from(&["10.0.0.0/8"]), ChainMatch::default()],
            plain(),
            Some(0),
        );
        check(
            &[from(&["10.0.0.0/24"]), from(&["10.0.0.0/8"])],
            plain(),
            Some(0),
        );
        check(&[from(&["192.0.2.0/24"])], plain(), None);
        let source_port = ChainMatch {
            source_ports: [40000].into(),
            ..ChainMatch::default()
        };
        check(&[ChainMatch::default(), source_port], plain(), Some(1));
        check(&[from(&["10.0.0.1"]), to(&["10.1.2.3"])], plain(), Some(1));
    }

    #[test]
    fn the_first_of_equal_chains_counts() {
        check(&[port(80), port(80)], plain(), Some(0));
    }

    #[test]
    fn only_ports_whose_chains_differ_need_a_look_at_the_first_bytes() {
        let http = ChainMatch {
            destination_port: Some(80),
            ..speaks(&["http/1.1"])
        };
        let chains = [http, port(80), port(90), tls()].map(|matcher| chain("", matcher));
        let selector = ChainSelector::new(&chains);
        let looks = |tls, protocols| LooksAt {
            tls,
            protocols,
            ends_tls: false,
        };
        assert_eq!(selector.looks_at(80), looks(false, true));
        assert_eq!(selector.looks_at(90), looks(false, false));
        assert_eq!(selector.looks_at(99), looks(true, false));
        assert!(selector.looks_at_destination());
    }
}
