//! Listeners with their chains.

use std::mem::discriminant;
use std::net::SocketAddr;
use std::sync::Arc;

use mesh_ir::evaluate::{
    ChainSelector, ConnectionFacts, HttpPolicy, NetworkDecision, NetworkPolicy,
};
use mesh_ir::policy::RequestAuthentication;
use mesh_ir::{FilterChain, HttpConnectionManager, HttpFilter, TcpProxy};
use mesh_token::TokenVerifier;

use super::{ClusterId, Routes};
use crate::rate_limit::{GlobalLimits, Limits};
use crate::telemetry::ListenerTelemetry;
use crate::tls::ServerSide;

/// A listener.
#[derive(Debug)]
pub struct Listener {
    /// As configured.
    pub config: Arc<mesh_ir::Listener>,
    selector: ChainSelector,
    /// Chains, and the one for what no chain takes.
    pub(super) chains: Vec<Arc<Chain>>,
    default: Option<Arc<Chain>>,
}

/// What happens to the connections that a chain takes.
#[derive(Debug)]
pub struct Chain {
    /// Its name.
    pub name: Arc<str>,
    /// What becomes of TLS.
    pub tls: ChainTls,
    /// Who may connect.
    policy: NetworkPolicy,
    /// What happens.
    pub network: Network,
}

/// What becomes of a client's TLS.
#[derive(Clone, Debug)]
pub enum ChainTls {
    /// The chain knows nothing of it: the bytes are taken as they are.
    None,
    /// It ends here.
    Ended(Arc<ServerSide>),
    /// It should end here, and cannot: connections are closed. Why was told when the configuration was applied.
    NotReady,
}

/// What must be found out from the first bytes of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looks {
    /// Whether they begin TLS, and what is asked for there.
    pub tls: bool,
    /// Whether they begin an HTTP request.
    pub http: bool,
}

/// The end of a chain.
#[derive(Debug)]
pub enum Network {
    /// Requests are routed.
    Http(Http),
    /// Bytes are copied.
    Tcp(Tcp),
}

/// How requests are served.
#[derive(Debug)]
pub struct Http {
    /// As configured.
    pub config: HttpConnectionManager,
    /// What acts on requests before they are routed.
    pub policy: HttpPolicy,
    /// How their rate is limited.
    pub limits: Limits,
    /// How it is limited by a service that counts for many proxies.
    pub global_limits: GlobalLimits,
    /// What checks tokens; none where none are checked.
    pub tokens: Option<TokenVerifier>,
    /// The routes; none if they are not known yet.
    pub routes: Option<Arc<Routes>>,
    /// What is told about requests.
    pub telemetry: Arc<ListenerTelemetry>,
}

/// How bytes are copied.
#[derive(Debug)]
pub struct Tcp {
    /// As configured.
    pub config: TcpProxy,
    /// The clusters in the order of the configuration; none for those that do not exist.
    pub clusters: Vec<Option<ClusterId>>,
    /// What is told about connections.
    pub telemetry: Arc<ListenerTelemetry>,
}

// === impl Listener ===

impl Listener {
    pub(super) fn new(
        config: Arc<mesh_ir::Listener>,
        network: impl Fn(&FilterChain) -> Network,
        mut tls: impl FnMut(&FilterChain) -> ChainTls,
    ) -> Self {
        let mut chain = |chain: &FilterChain| {
            Arc::new(Chain {
                name: chain.name.clone(),
                tls: tls(chain),
                policy: NetworkPolicy::of_filters(&chain.filters),
                network: network(chain),
            })
        };
        Self {
            selector: ChainSelector::new(&config.chains),
            chains: config.chains.iter().map(&mut chain).collect(),
            default: config.default_chain.as_ref().map(chain),
            config,
        }
    }

    /// Whether it would be compiled to the same from this configuration, with these routes and positions of clusters. Where TLS ends it
    /// must be compiled to be known.
    pub(super) fn is_of(
        &self,
        config: &Arc<mesh_ir::Listener>,
        routes: impl Fn(&mesh_ir::Routes) -> Option<Arc<Routes>>,
        same_positions: bool,
    ) -> bool {
        let is_of = |(config, chain): (&FilterChain, &Arc<Chain>)| {
            let same = match (&config.network, &chain.network) {
                (mesh_ir::Network::Http(config), Network::Http(http)) => {
                    let routes = routes(&config.routes);
                    routes.as_ref().map(Arc::as_ptr) == http.routes.as_ref().map(Arc::as_ptr)
                }
                (mesh_ir::Network::Tcp(_), Network::Tcp(_)) => same_positions,
                _ => false,
            };
            same && matches!(chain.tls, ChainTls::None)
        };
        let chains = self.chains.iter().chain(&self.default);
        Arc::ptr_eq(&self.config, config) && config.all_chains().zip(chains).all(is_of)
    }

    /// How the rate of requests is limited by the chains of a name; all of them.
    pub fn limits(&self, chain: Option<&str>) -> impl Iterator<Item = &Limits> {
        let chains = self.chains.iter().chain(&self.default);
        let chains = chains.filter(move |known| chain.is_none_or(|name| *known.name == *name));
        chains.filter_map(|chain| match &chain.network {
            Network::Http(http) => Some(&http.limits),
            Network::Tcp(_) => None,
        })
    }

    /// The chain of a connection.
    pub fn chain(&self, connection: &ConnectionFacts<'_>) -> Option<&Arc<Chain>> {
        let selected = self.selector.select(connection, &mut ());
        selected
            .and_then(|position| self.chains.get(position))
            .or(self.default.as_ref())
    }

    /// Whether a connection's chain in another version of the listener leads to one of the same kind here.
    pub fn has_chains_of(&self, other: &Listener) -> bool {
        let (mine, others) = (&self.config, &other.config);
        let alike = |(a, b): (&FilterChain, &FilterChain)| {
            a.matcher == b.matcher && discriminant(&a.network) == discriminant(&b.network)
        };
        Arc::ptr_eq(mine, others)
            || (mine.chains.len() == others.chains.len()
                && mine.default_chain.is_some() == others.default_chain.is_some()
                && mine.all_chains().zip(others.all_chains()).all(alike))
    }

    /// What a connection's chain depends on besides its addresses.
    pub fn looks(&self, destination: SocketAddr) -> Looks {
        let looks_at = self.selector.looks_at(destination.port());
        let inspect = self.config.inspect;
        let by_default = self.config.default_chain.as_ref();
        let ends_tls = looks_at.ends_tls || by_default.is_some_and(|chain| chain.tls.is_some());
        Looks {
            tls: (inspect.tls && (looks_at.tls || looks_at.protocols)) || ends_tls,
            http: inspect.http && looks_at.protocols,
        }
    }

    /// Whether it matters where connections were meant to go, which only the kernel knows.
    pub fn needs_destination(&self) -> bool {
        self.config.inspect.original_destination
            || self.config.use_original_destination
            || self.selector.looks_at_destination()
    }
}

// === impl Http ===

impl Http {
    /// What checks the tokens of requests to a server.
    pub(super) fn tokens(server: &HttpConnectionManager) -> Option<TokenVerifier> {
        let rules = server.filters.iter().flat_map(|filter| match filter {
            HttpFilter::Authenticate(authentication) => authentication.rules.as_slice(),
            _ => &[],
        });
        let rules: Vec<_> = rules.cloned().collect();
        (!rules.is_empty()).then(|| TokenVerifier::new(&RequestAuthentication { rules }))
    }
}

// === impl Chain ===

impl Chain {
    /// What policies say about a connection, from a stage of theirs on.
    pub fn authorize(&self, connection: &ConnectionFacts<'_>, first: usize) -> NetworkDecision<'_> {
        self.policy.decide(connection, first, &mut ())
    }
}
