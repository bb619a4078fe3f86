//! How HTTP connections are served: what is trusted in requests, how their paths are read, and where they are routed.

use std::sync::Arc;
use std::time::Duration;

use crate::policy::{
    Authorization, ExtensionFilter, ExternalAuthorization, GlobalRateLimit, LocalRateLimit,
    RequestAuthentication,
};
use crate::{Direction, RouteConfig, TelemetryPolicy};

/// How HTTP connections are served.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpConnectionManager {
    /// Prefix of this listener's statistics, `outbound_0.0.0.0_9080`.
    pub stat_prefix: Arc<str>,
    /// Where the routes come from.
    pub routes: Routes,
    /// Which way its traffic flows, hence which side reports metrics. The same as the listener's.
    pub direction: Direction,
    /// Which HTTP versions clients may speak.
    pub codec: HttpCodec,
    /// The form of paths that policies and routes compare, and that is forwarded.
    pub normalization: PathNormalization,
    /// What is believed of what clients say about themselves and those before them.
    pub trust: Trust,
    /// What is done with requests before they are routed, in this order.
    pub filters: Vec<HttpFilter>,
    /// Whether `Upgrade: websocket` requests may turn into tunnels.
    pub websocket: bool,
    /// How long a connection may stay without requests.
    pub idle_timeout: Option<Duration>,
    /// What is told about its requests.
    pub telemetry: Arc<TelemetryPolicy>,
}

/// What is done with requests before they are routed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HttpFilter {
    /// Tokens are checked; what is wrong with one is the answer.
    Authenticate(Arc<RequestAuthentication>),
    /// An authorizer is asked about what its policies match.
    ExternalAuthorize(Arc<ExternalAuthorization>),
    /// Policies are enforced. Two in a row are one.
    Authorize(Arc<Authorization>),
    /// Requests that are too many for this proxy are refused.
    LocalRateLimit(Arc<LocalRateLimit>),
    /// Requests that are too many for all proxies are refused, as routes say ([`crate::RoutePolicy::rate_limits`]).
    RateLimit(Arc<GlobalRateLimit>),
    /// Something else, that only its own runtime knows.
    Extension(Arc<ExtensionFilter>),
    /// Failures are injected, as routes say ([`crate::RoutePolicy::fault`]).
    Fault,
    /// Pages of other origins are let in, as routes say ([`crate::RoutePolicy::cors`]).
    Cors,
}

/// Where an HTTP connection manager finds its routes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Routes {
    /// Discovered by name.
    Discovered(Arc<str>),
    /// Part of the listener.
    Inline(Arc<RouteConfig>),
}

/// Which HTTP versions clients may speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HttpCodec {
    /// What ALPN says, or else the first bytes.
    #[default]
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// What is done to a path once, before any policy or route looks at it. Each level includes the ones before it; the query is left
/// alone. (`MeshConfig.pathNormalization`.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PathNormalization {
    /// Nothing.
    None,
    /// Escaped unreserved characters are unescaped, `\` becomes `/`, the segments `.` and `..` are resolved (RFC 3986). Requests with an
    /// escaped NUL are refused. Istio's default.
    #[default]
    Base,
    /// Slashes that follow each other become one.
    MergeSlashes,
    /// `%2F` and `%5C` are unescaped first.
    DecodeAndMergeSlashes,
}

/// What is believed of what clients say about themselves and those before them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Trust {
    /// Whether the proxy is at the edge: the peer's address is the client's, `x-forwarded-for` is extended with it, and fields that only
    /// the mesh may write are removed.
    pub use_remote_address: bool,
    /// How many proxies in front of this one are trusted to have extended `x-forwarded-for` (`numTrustedProxies`).
    pub trusted_hops: u32,
    /// Whether `x-forwarded-for` is left as it came.
    pub skip_forwarded_for: bool,
    /// What becomes of `x-forwarded-client-cert`.
    pub client_certificate: ForwardClientCertificate,
    /// Which of a certificate's details are written to `x-forwarded-client-cert`.
    pub certificate_details: CertificateDetails,
    /// Whether the port is removed from the authority.
    pub strip_port: StripPort,
    /// Whether a dot at the end of the authority's host is removed.
    pub strip_trailing_dot: bool,
}

/// What becomes of `x-forwarded-client-cert`. Without a client certificate all but `AlwaysForward` remove it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ForwardClientCertificate {
    /// It is removed.
    #[default]
    Sanitize,
    /// It is forwarded.
    Forward,
    /// The client's certificate is appended to it.
    AppendForward,
    /// The client's certificate replaces it.
    SanitizeSet,
    /// It is forwarded, with or without a client certificate.
    AlwaysForward,
}

/// Which of a client certificate's details are written to `x-forwarded-client-cert`, beside its hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CertificateDetails {
    /// Subject.
    pub subject: bool,
    /// Issuer.
    pub issuer: bool,
    /// The certificate, PEM.
    pub certificate: bool,
    /// The whole chain, PEM.
    pub chain: bool,
    /// DNS names.
    pub dns: bool,
    /// URIs.
    pub uri: bool,
}

/// Whether the port is removed from the authority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StripPort {
    /// It stays.
    #[default]
    Never,
    /// It is removed if it is the listener's own.
    Matching,
    /// It is removed.
    Any,
}

// === impl HttpConnectionManager ===

impl HttpConnectionManager {
    /// A manager that trusts nobody, limits nothing but to defaults, logs nothing, and serves WebSockets; without filters.
    pub fn new(stat_prefix: Arc<str>, direction: Direction, routes: Routes) -> Self {
        Self {
            stat_prefix,
            routes,
            direction,
            codec: HttpCodec::default(),
            normalization: PathNormalization::default(),
            trust: Trust::default(),
            filters: Vec::new(),
            websocket: true,
            idle_timeout: None,
            telemetry: Arc::default(),
        }
    }
}
