//! Upstreams and how to talk to them.

use std::sync::Arc;
use std::time::Duration;

use crate::{ConfigRef, Endpoints};

/// One upstream: a service port, a subset of it, or one of the fixed clusters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cluster {
    /// Unique name; see [`crate::ClusterName`] for services.
    pub name: Arc<str>,
    /// Where its endpoints come from.
    pub kind: ClusterKind,
    /// Limit for a connection to be established; Istio's default is 10 s.
    pub connect_timeout: Duration,
    /// How an endpoint is chosen.
    pub load_balancing: LoadBalancing,
    /// Which HTTP version is spoken to it.
    pub protocol: HttpProtocol,
    /// Connection and request limits.
    pub limits: Limits,
    /// The services behind it, for metrics (`destination_service`); the first one counts.
    pub services: Vec<ServiceRef>,
    /// The `DestinationRule` that shaped it.
    pub origin: Option<ConfigRef>,
}

/// Where endpoints come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClusterKind {
    /// Discovered, under the cluster's own name.
    Eds,
    /// Part of the cluster.
    Static(Arc<Endpoints>),
    /// Host names (as endpoint addresses) that the proxy resolves.
    StrictDns(Vec<(Arc<str>, u16)>),
    /// The original destination of the connection.
    OriginalDestination,
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
    /// None is chosen: the original destination, for [`ClusterKind::OriginalDestination`].
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

/// A service as metrics name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceRef {
    /// Fully qualified host.
    pub host: Arc<str>,
    /// Short name.
    pub name: Arc<str>,
    /// Namespace.
    pub namespace: Arc<str>,
}
