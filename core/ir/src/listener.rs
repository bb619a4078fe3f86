//! Where a proxy listens, and what it does with the connections.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::policy::{Authorization, ConnectionLimit, ConnectionRateLimit, ExternalAuthorization};
use crate::{Cidr, HttpConnectionManager, ServerTls, TelemetryPolicy, alpn};

/// Which way traffic flows, seen from the workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// To the local workload.
    Inbound,
    /// From the local workload, or through a gateway.
    Outbound,
}

/// One listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Listener {
    /// Unique name: `0.0.0.0_9080`, `10.96.0.7_3306`, `virtualOutbound`, ...
    pub name: Arc<str>,
    /// Address that is bound, or (when `bind` is false) matched against original destinations.
    pub address: SocketAddr,
    /// Whether a socket is opened; listeners of captured traffic only lend their chains to the virtual listener.
    pub bind: bool,
    /// Whether connections are handed to the listener of their original destination, if there is one.
    pub use_original_destination: bool,
    /// What is found out about a connection before a chain is chosen.
    pub inspect: Inspect,
    /// Which way its traffic flows.
    pub direction: Direction,
    /// Chains, of which the most specific match takes a connection.
    pub chains: Vec<FilterChain>,
    /// Taken when no chain matches; without it such connections are closed.
    pub default_chain: Option<FilterChain>,
}

/// What is found out about a connection before a chain is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Inspect {
    /// Whether a PROXY protocol header comes first and says who the client is.
    pub proxy_protocol: bool,
    /// Where the connection was meant to go before the kernel redirected it.
    pub original_destination: bool,
    /// Whether the first bytes are examined for a TLS client hello: server name, ALPN.
    pub tls: bool,
    /// Whether the first bytes are examined for HTTP, for chains that match `http/1.1` or `h2c`.
    pub http: bool,
}

/// What to do with the connections that match.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FilterChain {
    /// Name for dumps and metrics; may be empty.
    pub name: Arc<str>,
    /// Which connections.
    pub matcher: ChainMatch,
    /// How they speak TLS; none is plain text, or TLS that is left to somebody else.
    pub tls: Option<Arc<ServerTls>>,
    /// What is done with them before, in this order.
    pub filters: Vec<NetworkFilter>,
    /// What happens to them.
    pub network: Network,
}

/// What is done with connections before their bytes are read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NetworkFilter {
    /// An authorizer is asked about what its policies match.
    ExternalAuthorize(Arc<ExternalAuthorization>),
    /// Policies are enforced; what they deny is closed. Two in a row are one.
    Authorize(Arc<Authorization>),
    /// Connections that are too many as time goes by are closed.
    RateLimit(Arc<ConnectionRateLimit>),
    /// Connections that are too many at once are closed.
    ConnectionLimit(Arc<ConnectionLimit>),
    /// The name that the client asks for in TLS is the cluster's; that of the TCP proxy counts where there is none
    /// (`AUTO_PASSTHROUGH` of gateways).
    SniCluster,
}

/// Criteria of a chain; empty criteria match everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ChainMatch {
    /// Original destination port.
    pub destination_port: Option<u16>,
    /// Ranges of original destination addresses.
    pub destination_prefixes: BTreeSet<Cidr>,
    /// Names that TLS clients ask for (SNI): lower-case names, or `*.suffix`.
    pub server_names: BTreeSet<Arc<str>>,
    /// Whether the client speaks TLS.
    pub transport: Option<Transport>,
    /// Application protocols: those of ALPN, or the detected `http/1.1` or `h2c`.
    pub application_protocols: BTreeSet<Arc<str>>,
    /// Ranges of client addresses.
    pub source_prefixes: BTreeSet<Cidr>,
    /// Ports of clients.
    pub source_ports: BTreeSet<u16>,
}

/// What a connection is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Bytes as the application wrote them.
    Plaintext,
    /// TLS.
    Tls,
}

/// The terminal filter of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Network {
    /// Requests are routed one by one.
    Http(HttpConnectionManager),
    /// Bytes are copied.
    Tcp(TcpProxy),
}

/// How TCP connections are forwarded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TcpProxy {
    /// Prefix of this chain's statistics.
    pub stat_prefix: Arc<str>,
    /// Clusters with relative weights; one in most cases, never none.
    pub clusters: Vec<(Arc<str>, u32)>,
    /// How long a connection may stay without bytes in either direction.
    pub idle_timeout: Option<Duration>,
    /// What is told about its connections.
    pub telemetry: Arc<TelemetryPolicy>,
}

// === impl Listener ===

impl Listener {
    /// A listener with a socket of its own, without chains.
    pub fn new(name: Arc<str>, address: SocketAddr, direction: Direction) -> Self {
        Self {
            name,
            address,
            bind: true,
            use_original_destination: false,
            inspect: Inspect::default(),
            direction,
            chains: Vec::new(),
            default_chain: None,
        }
    }

    /// All chains, the default one last.
    pub fn all_chains(&self) -> impl Iterator<Item = &FilterChain> {
        self.chains.iter().chain(&self.default_chain)
    }
}

// === impl FilterChain ===

impl FilterChain {
    /// A chain that does nothing but its end.
    pub fn new(name: impl Into<Arc<str>>, matcher: ChainMatch, network: Network) -> Self {
        Self {
            name: name.into(),
            matcher,
            tls: None,
            filters: Vec::new(),
            network,
        }
    }
}

// === impl ChainMatch ===

impl ChainMatch {
    /// Connections to a port.
    pub fn port(port: u16) -> Self {
        Self {
            destination_port: Some(port),
            ..Self::default()
        }
    }

    /// Connections on which plain HTTP was detected.
    pub fn detected_http() -> Self {
        Self {
            application_protocols: alpn::DETECTED_HTTP.map(Arc::from).into(),
            ..Self::default()
        }
    }
}

// === impl TcpProxy ===

impl TcpProxy {
    /// Everything to one cluster, without limits or telemetry.
    pub fn to(cluster: impl Into<Arc<str>>) -> Self {
        let cluster = cluster.into();
        Self {
            stat_prefix: cluster.clone(),
            clusters: vec![(cluster, 1)],
            idle_timeout: None,
            telemetry: Arc::default(),
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::Inbound => "inbound",
            Direction::Outbound => "outbound",
        })
    }
}
