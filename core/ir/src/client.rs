//! How a proxy talks to a cluster as its client.

use std::net::IpAddr;
use std::time::Duration;

/// How a proxy talks to a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientPolicy {
    /// Limit for a connection to be established; Istio's default is 10 s.
    pub connect_timeout: Duration,
    /// How an endpoint is chosen.
    pub balancing: LoadBalancing,
    /// Which HTTP version is spoken to it.
    pub protocol: HttpProtocol,
    /// Connection and request limits.
    pub limits: Limits,
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
    /// None is chosen: the original destination, for [`crate::ClusterKind::OriginalDestination`].
    ClusterProvided,
}

/// HTTP version towards an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HttpProtocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
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
    /// `http.idleTimeout`, how long a pooled connection may stay idle.
    pub idle_timeout: Option<Duration>,
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
            balancing: LoadBalancing::LeastRequest,
            protocol: HttpProtocol::Http1,
            limits: Limits::default(),
            source_address: None,
        }
    }
}
