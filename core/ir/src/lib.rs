//! The narrow waist of the mesh: what a proxy must do, as plain values.
//!
//! ```text
//! mesh-core --translate--> ProxyConfig --mesh-xds--> Envoy protobuf --mesh-xds--> ProxyConfig --compile--> proxy
//! ```
//!
//! Everything here is `Clone + Debug + PartialEq + Eq + Hash`, so that a resource's version is a hash of its value. The crate
//! also holds the pure decisions that proxy, controller and command line share (route matching).

#![warn(missing_docs)]

pub mod scope;

pub mod persistent;
pub mod table;

pub mod alpn;
pub mod cidr;
pub mod client;
pub mod cluster;
pub mod config;
pub mod endpoint;
pub mod evaluate;
pub mod expression;
pub mod fraction;
pub mod headers;
pub mod health;
pub mod host_view;
pub mod http;
pub mod listener;
pub mod matching;
pub mod name_table;
pub mod names;
pub mod patch;
pub mod policy;
pub mod ports;
pub mod route;
pub mod secret;
pub mod substitution;
pub mod telemetry;
pub mod tls;
pub mod trace;

pub use cidr::{Cidr, InvalidCidr};
pub use client::{
    ClientPolicy, ConsistentHash, HttpProtocol, Limits, LoadBalancing, ProxyProtocol, RetryBudget,
    SlowStart, TcpKeepalive,
};
pub use cluster::{Cluster, ClusterKind, ServiceRef};
pub use config::{ConfigRef, List, ProxyConfig, ProxyTables};
pub use endpoint::{Endpoint, EndpointHealth, Endpoints, Locality, LocalityEndpoints, Workload};
pub use fraction::{Denominator, Fraction};
pub use headers::{HeaderAppend, HeaderOps, HeaderValue};
pub use health::{HealthCheck, OutlierDetection, Probe};
pub use host_view::{HostView, PodAddresses};
pub use http::{
    CertificateDetails, ForwardClientCertificate, HttpCodec, HttpConnectionManager, HttpFilter,
    PathNormalization, Routes, StripPort, Trust,
};
pub use listener::{
    ChainMatch, Direction, FilterChain, Inspect, Listener, Network, NetworkFilter, TcpProxy,
    Transport,
};
pub use name_table::{NameTable, NamedHost, resolvable_names};
pub use names::ClusterName;
pub use persistent::PersistentMap;
pub use route::{
    ClaimMatch, CorsPolicy, DirectResponse, Forward, HashPolicy, HeaderMatch, Mirror, PathMatch,
    PathRewrite, QueryMatch, Redirect, RetryOn, RetryPolicy, Route, RouteAction, RouteConfig,
    RouteMatch, RoutePolicy, StringMatch, Target, ValueMatch, VirtualHost, WeightedCluster,
};
pub use scope::{Capture, ProxyKind, ProxyScope};
pub use secret::{Secret, SecretKind, SecretText};
pub use table::{Item, Layer, LayerEdit, LayerId, Table, version_of};
pub use telemetry::{
    AccessLog, FileLog, GrpcLog, LogSink, Metric, MetricChange, MetricsPolicy, OtlpLog, SpanTag,
    TagSource, TelemetryPolicy, TraceProvider, Tracing,
};
pub use tls::{
    CertificateSource, ClientCertificate, ClientTls, NameKind, PeerValidation, ServerName,
    ServerTls, SubjectAltName, TlsParameters, TlsSources, TlsVersion, TrustSource, UpstreamTls,
};
