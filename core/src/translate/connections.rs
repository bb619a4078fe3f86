//! Where the connections of a listener go whose requests are not routed: by the name that a TLS client asks for, by the network that a
//! client wants to reach, and all others.

use std::collections::BTreeSet;
use std::sync::Arc;

use mesh_ir::{ChainMatch, Cidr, Direction, FilterChain, TcpProxy, Transport};

use super::http_server::HttpServerSettings;
use super::rules::CompiledConnection;
use super::view::View;

/// Where connections go.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Connections {
    /// Of those that some condition tells apart, in the order in which they win.
    pub(super) chains: Vec<ConnectionChain>,
    /// Of all others; none if they are not meant to be here.
    pub(super) other: Option<TcpProxy>,
}

/// Connections that meet a condition.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ConnectionChain {
    /// Whether they are TLS.
    pub(super) is_tls: bool,
    /// Names that clients ask for; empty for any.
    pub(super) server_names: BTreeSet<Arc<str>>,
    /// Networks that clients want to reach; empty for any.
    pub(super) networks: BTreeSet<Cidr>,
    pub(super) proxy: TcpProxy,
}

// === impl Connections ===

impl Connections {
    /// Adds where rules send connections. Behind one without conditions no other one of TCP is reached.
    pub(super) fn add_rules<'r>(
        &mut self,
        view: &View<'_>,
        rules: impl Iterator<Item = &'r CompiledConnection>,
        (port, is_tls): (u16, bool),
    ) {
        for rule in rules {
            let CompiledConnection {
                server_names,
                networks,
                destinations,
                ..
            } = rule;
            let clusters = destinations.iter();
            let clusters: Vec<(Arc<str>, u32)> = clusters
                .map(|(destination, weight)| (view.cluster(destination, port), *weight))
                .collect();
            let Some((first, _)) = clusters.first().cloned() else {
                continue;
            };
            let proxy = TcpProxy {
                clusters,
                ..TcpProxy::to(first)
            };
            if !is_tls && networks.is_empty() {
                self.other.get_or_insert(proxy);
                break;
            }
            self.add(ConnectionChain {
                is_tls,
                server_names: server_names.clone(),
                networks: networks.clone(),
                proxy,
            });
        }
    }

    /// Adds a chain for what none before it is for: Envoy takes no two chains for the same connections.
    pub(super) fn add(&mut self, mut chain: ConnectionChain) {
        let earlier = || {
            let same = |known: &&ConnectionChain| {
                known.is_tls == chain.is_tls && known.networks == chain.networks
            };
            self.chains.iter().filter(same)
        };
        if chain.server_names.is_empty() {
            if earlier().any(|known| known.server_names.is_empty()) {
                return;
            }
        } else {
            let taken: BTreeSet<Arc<str>> = earlier()
                .flat_map(|known| &known.server_names)
                .cloned()
                .collect();
            chain.server_names.retain(|name| !taken.contains(name));
            if chain.server_names.is_empty() {
                return;
            }
        }
        self.chains.push(chain);
    }

    /// Whether the first bytes of connections must be looked at for TLS.
    pub(super) fn looks_at_tls(&self) -> bool {
        self.chains.iter().any(|chain| chain.is_tls)
    }

    /// Whether nothing is here.
    pub(super) fn is_empty(&self) -> bool {
        self.chains.is_empty() && self.other.is_none()
    }

    /// The chains but for that of all others.
    pub(super) fn filter_chains(
        &self,
        settings: &HttpServerSettings,
    ) -> impl Iterator<Item = FilterChain> {
        self.chains.iter().map(|chain| {
            let ConnectionChain {
                is_tls,
                server_names,
                networks,
                proxy,
            } = chain;
            let matcher = ChainMatch {
                transport: is_tls.then_some(Transport::Tls),
                server_names: server_names.clone(),
                destination_prefixes: networks.clone(),
                ..ChainMatch::default()
            };
            let network = settings.tcp(Direction::Outbound, proxy.clone());
            FilterChain::new("", matcher, network)
        })
    }
}
