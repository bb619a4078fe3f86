//! Listeners with their chains.

use std::net::SocketAddr;
use std::sync::Arc;

use mesh_ir::evaluate::HttpPolicy;
use mesh_ir::{HttpConnectionManager, TcpProxy};

use super::{ClusterId, Routes};
use crate::telemetry::access_log::AccessLog;

/// A listener.
#[derive(Debug)]
pub struct Listener {
    /// As configured.
    pub config: Arc<mesh_ir::Listener>,
    /// Chains, and the one for what no chain takes.
    chains: Vec<Arc<Chain>>,
    default: Option<Arc<Chain>>,
}

/// What happens to the connections that a chain takes.
#[derive(Debug)]
pub struct Chain {
    /// Its name.
    pub name: Arc<str>,
    port: Option<u16>,
    http: bool,
    /// What happens.
    pub network: Network,
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
    /// The routes; none if they are not known yet.
    pub routes: Option<Arc<Routes>>,
    /// Where requests are logged.
    pub log: Option<AccessLog>,
}

/// How bytes are copied.
#[derive(Debug)]
pub struct Tcp {
    /// As configured.
    pub config: TcpProxy,
    /// The clusters in the order of the configuration; none for those that do not exist.
    pub clusters: Vec<Option<ClusterId>>,
    /// Where connections are logged.
    pub log: Option<AccessLog>,
}

// === impl Listener ===

impl Listener {
    pub(super) fn new(
        config: Arc<mesh_ir::Listener>,
        network: impl Fn(&mesh_ir::Network) -> Network,
    ) -> Self {
        let chain = |chain: &mesh_ir::FilterChain| {
            Arc::new(Chain {
                name: chain.name.clone(),
                port: chain.matcher.destination_port,
                http: !chain.matcher.application_protocols.is_empty(),
                network: network(&chain.network),
            })
        };
        Self {
            chains: config.chains.iter().map(chain).collect(),
            default: config.default_chain.as_ref().map(chain),
            config,
        }
    }

    /// The chain of a connection: the most specific one, by its destination's port first and then by what is spoken.
    ///
    /// `http` tells whether HTTP/1.1 was detected; none that it has not been looked for.
    pub fn chain(&self, destination: SocketAddr, http: Option<bool>) -> Option<&Arc<Chain>> {
        let by = |port: Option<u16>| {
            let of_port = move |chain: &&Arc<Chain>| chain.port == port;
            let detected = self.chains.iter().filter(of_port).find(|chain| chain.http);
            let plain = self.chains.iter().filter(of_port).find(|chain| !chain.http);
            // A port's chains are tried before those of all ports, as Envoy does: nothing falls back across.
            match (detected, plain) {
                (Some(detected), _) if http == Some(true) => Some(Some(detected)),
                (None, None) => None,
                (_, plain) => Some(plain),
            }
        };
        by(Some(destination.port()))
            .or_else(|| by(None))
            .flatten()
            .or(self.default.as_ref())
    }

    /// Whether the chain depends on what is spoken.
    pub fn detects(&self, destination: SocketAddr) -> bool {
        let of_port = |port| {
            self.chains
                .iter()
                .any(|chain| chain.http && chain.port == port)
        };
        self.config.inspect.http && (of_port(Some(destination.port())) || of_port(None))
    }

    /// Whether it matters where connections were meant to go, which only the kernel knows.
    pub fn needs_destination(&self) -> bool {
        self.config.inspect.original_destination
            || self.config.use_original_destination
            || self.chains.iter().any(|chain| chain.port.is_some())
    }
}
