//! How a proxy talks to a cluster as its client.

use std::net::IpAddr;
use std::time::Duration;

use crate::{HealthCheck, OutlierDetection, UpstreamTls};

/// How a proxy talks to a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientPolicy {
    /// Limit for a connection to be established; Istio's default is 10 s.
    pub connect_timeout: Duration,
    /// Whether and how TLS is spoken.
    pub tls: UpstreamTls,
    /// How an endpoint is chosen.
    pub balancing: LoadBalancing,
    /// How new endpoints are spared, for round robin and least requests.
    pub slow_start: Option<SlowStart>,
    /// Whether localities are chosen by their weights before endpoints are.
    pub weighted_localities: bool,
    /// Share of healthy endpoints, in percent, below which unhealthy ones get traffic too; none is Envoy's default of 50.
    pub panic_threshold: Option<u8>,
    /// Which HTTP version is spoken to it.
    pub protocol: HttpProtocol,
    /// Connection and request limits.
    pub limits: Limits,
    /// Probes that keep idle connections open and find dead ones.
    pub keepalive: Option<TcpKeepalive>,
    /// Ejection of failing endpoints.
    pub outliers: Option<OutlierDetection>,
    /// Active health checks.
    pub health_checks: Vec<HealthCheck>,
    /// PROXY protocol header that connections begin with.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Address that connections come from; none is the kernel's choice.
    pub source_address: Option<IpAddr>,
}

/// How an endpoint is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LoadBalancing {
    /// One after the other.
    RoundRobin,
    /// The one with fewer active requests of two random ones. Istio's default.
    LeastRequest,
    /// Any.
    Random,
    /// The one that the hash of a property of the request leads to ([`crate::Forward::hash`]), so that equal requests go to the same one.
    ConsistentHash(ConsistentHash),
    /// None is chosen: the original destination, for [`crate::ClusterKind::OriginalDestination`].
    ClusterProvided,
}

/// How hashes lead to endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConsistentHash {
    /// A ring of hashes (Ketama).
    RingHash {
        /// Smallest number of entries; none is 1,024.
        minimum_size: Option<u64>,
    },
    /// A table that is filled by turns (Maglev).
    Maglev {
        /// Number of entries, a prime; none is 65,537.
        table_size: Option<u64>,
    },
}

/// How new endpoints are spared: their weight grows with time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SlowStart {
    /// How long an endpoint counts as new.
    pub window: Duration,
    /// How the weight grows, in thousandths: 1,000 is linear, more grows faster at first.
    pub aggression: u32,
    /// Weight at the beginning, in percent of the full one.
    pub minimum_percent: u8,
}

/// HTTP version towards an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HttpProtocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
    /// The one that the client speaks.
    AsClient,
}

/// Probes on idle connections; none is the kernel's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpKeepalive {
    /// Probes without answer after which a connection is dead.
    pub probes: Option<u32>,
    /// Seconds without traffic before the first probe.
    pub time: Option<u32>,
    /// Seconds between probes.
    pub interval: Option<u32>,
}

/// Versions of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyProtocol {
    /// Text.
    V1,
    /// Binary.
    V2,
}

/// Retries that may be under way, in proportion to the requests that are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RetryBudget {
    /// Share of the active requests, in thousandths of a percent.
    pub percent: u32,
    /// Retries that are always allowed.
    pub minimum: u32,
}

/// Limits of a cluster (`connectionPool`); none means Envoy's maximum, as Istio configures it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Limits {
    /// `tcp.maxConnections`.
    pub max_connections: Option<u32>,
    /// `http.http1MaxPendingRequests`.
    pub max_pending_requests: Option<u32>,
    /// `http.http2MaxRequests`.
    pub max_requests: Option<u32>,
    /// `http.maxRequestsPerConnection`; 0 is no limit.
    pub max_requests_per_connection: Option<u32>,
    /// `http.maxRetries`.
    pub max_retries: Option<u32>,
    /// Replaces `max_retries` where it is set (`retryBudget`).
    pub retry_budget: Option<RetryBudget>,
    /// `http.idleTimeout`, how long a pooled connection may stay idle.
    pub idle_timeout: Option<Duration>,
    /// `tcp.maxConnectionDuration`, the longest life of a pooled connection.
    pub max_connection_duration: Option<Duration>,
    /// `http.maxConcurrentStreams`, of one HTTP/2 connection.
    pub max_concurrent_streams: Option<u32>,
}

// === impl ClientPolicy ===

impl ClientPolicy {
    /// Istio's limit for a connection to be established.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
}

impl Default for ClientPolicy {
    /// Istio's, for a service that nothing is said about: least requests, HTTP/1.1, no limits.
    fn default() -> Self {
        Self {
            connect_timeout: Self::CONNECT_TIMEOUT,
            tls: UpstreamTls::default(),
            balancing: LoadBalancing::LeastRequest,
            slow_start: None,
            weighted_localities: false,
            panic_threshold: None,
            protocol: HttpProtocol::Http1,
            limits: Limits::default(),
            keepalive: None,
            outliers: None,
            health_checks: Vec::new(),
            proxy_protocol: None,
            source_address: None,
        }
    }
}
