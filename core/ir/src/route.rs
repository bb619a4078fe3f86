//! Route tables: virtual hosts by domain, and in each the first route that matches.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use crate::policy::{Fault, LocalRateLimit, RateLimitRule, StringPattern};
use crate::{ConfigRef, Fraction, HeaderOps};

/// A route table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RouteConfig {
    /// Name that listeners refer to: `9080`, `http.8080`, `inbound|9080||`.
    pub name: Arc<str>,
    /// Virtual hosts; their domains do not overlap.
    pub virtual_hosts: Vec<Arc<VirtualHost>>,
    /// Whether the table has more virtual hosts, each a resource of its own (VHDS). A table that a proxy works with never has.
    pub discovers_virtual_hosts: bool,
    /// Whether the port of the `Host` header is ignored when domains are compared (Istio ignores it).
    pub ignore_port_in_host: bool,
}

/// The routes of some domains.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VirtualHost {
    /// Unique name, `reviews.default.svc.cluster.local:9080`.
    pub name: Arc<str>,
    /// Lower-case exact names, `*.suffix`, `prefix.*` or `*`.
    pub domains: Vec<Arc<str>>,
    /// Routes, of which the first match is taken.
    pub routes: Vec<Route>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// Name for logs and explanations; may be empty.
    pub name: Arc<str>,
    /// Which requests.
    pub matcher: RouteMatch,
    /// What happens to them.
    pub action: RouteAction,
    /// What the filters of the HTTP server do to them before.
    pub policy: RoutePolicy,
    /// Changes to request headers.
    pub request_headers: HeaderOps,
    /// Changes to response headers.
    pub response_headers: HeaderOps,
    /// The object that this rule came from.
    pub origin: Option<ConfigRef>,
}

/// What the filters of the HTTP server do to the requests of one route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RoutePolicy {
    /// Failures that are injected, if the server has [`crate::HttpFilter::Fault`].
    pub fault: Option<Arc<Fault>>,
    /// Which other origins may read the answers, if the server has [`crate::HttpFilter::Cors`].
    pub cors: Option<Arc<CorsPolicy>>,
    /// A limit in place of that of [`crate::HttpFilter::LocalRateLimit`], if the server has one.
    pub local_rate_limit: Option<Arc<LocalRateLimit>>,
    /// What is told to [`crate::HttpFilter::RateLimit`], if the server has one; only where requests are forwarded.
    pub rate_limits: Vec<RateLimitRule>,
}

/// Cross-origin resource sharing: what browsers let pages of other origins do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CorsPolicy {
    /// Origins.
    pub allow_origins: Vec<StringMatch>,
    /// Methods.
    pub allow_methods: Vec<Arc<str>>,
    /// Request headers.
    pub allow_headers: Vec<Arc<str>>,
    /// Response headers that pages may read.
    pub expose_headers: Vec<Arc<str>>,
    /// Seconds for which browsers may remember the answer to a preflight.
    pub max_age: Option<u64>,
    /// Whether requests may carry credentials; none says nothing about it.
    pub allow_credentials: Option<bool>,
    /// Whether preflights of other origins go upstream; otherwise they are answered with 200 and without permission.
    pub forward_unmatched_preflights: bool,
}

/// Criteria of a route; all must hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RouteMatch {
    /// The path, without query.
    pub path: PathMatch,
    /// Whether the path's case counts (prefix and exact only).
    pub case_sensitive: bool,
    /// Headers, including the pseudo-headers `:method`, `:authority` and `:scheme`.
    pub headers: Vec<HeaderMatch>,
    /// Query parameters.
    pub query: Vec<QueryMatch>,
    /// Claims of the request's tokens, which gateways check before they route.
    pub claims: Vec<ClaimMatch>,
}

/// How a path is compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathMatch {
    /// Starts with this text; not aware of segments (`/foo` matches `/foobar`).
    Prefix(Arc<str>),
    /// Equals this path or continues it with a `/`; never ends in `/` itself.
    SegmentPrefix(Arc<str>),
    /// Equals this text.
    Exact(Arc<str>),
    /// Matches this RE2 expression as a whole.
    Regex(Arc<str>),
}

/// How one header is compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HeaderMatch {
    /// Lower-case name.
    pub name: Arc<str>,
    /// What its value must be. Several values of one header are joined with commas first.
    pub value: ValueMatch,
    /// Whether the result is inverted. Then a missing header counts as an empty one (Envoy's `treat_missing_header_as_empty`, which
    /// Istio sets for `withoutHeaders`), and `Present` becomes absence. Otherwise a missing header never matches.
    pub invert: bool,
}

/// How one query parameter is compared; parameters are neither decoded nor joined, the first of a name counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QueryMatch {
    /// Case-sensitive name.
    pub name: Arc<str>,
    /// What its value must be.
    pub value: ValueMatch,
}

/// How one claim of tokens is compared: the claim itself, or an item of it if it is a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClaimMatch {
    /// Names of nested claims.
    pub path: Vec<Arc<str>>,
    /// What it must be.
    pub value: StringPattern,
    /// Whether the result is inverted; then a missing claim matches.
    pub invert: bool,
}

/// What a value must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ValueMatch {
    /// There, whatever it is.
    Present,
    /// As the pattern says.
    Text(StringMatch),
}

/// How a text is compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StringMatch {
    /// Equals.
    Exact(Arc<str>),
    /// Starts with.
    Prefix(Arc<str>),
    /// Ends with.
    Suffix(Arc<str>),
    /// Matches this RE2 expression as a whole.
    Regex(Arc<str>),
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RouteAction {
    /// It goes upstream.
    Forward(Forward),
    /// The client is sent elsewhere.
    Redirect(Redirect),
    /// The proxy answers.
    Direct(DirectResponse),
}

/// How a request goes upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Forward {
    /// Where to.
    pub target: Target,
    /// For the whole request with all tries, from the end of the request to the end of the response head; none is no limit.
    pub timeout: Option<Duration>,
    /// Whether and when to try again.
    pub retry: Option<RetryPolicy>,
    /// Change of the path.
    pub path_rewrite: Option<PathRewrite>,
    /// New `Host`.
    pub host_rewrite: Option<Arc<str>>,
    /// Clusters that get copies of requests; their answers are thrown away.
    pub mirrors: Vec<Mirror>,
    /// What is hashed for [`crate::LoadBalancing::ConsistentHash`]; all that a request has are combined, and without any the endpoint is a
    /// random one.
    pub hash: Vec<HashPolicy>,
    /// How long a request or response may rest; none is the HTTP server's limit.
    pub idle_timeout: Option<Duration>,
    /// Longest time from the request's head to the response's end.
    pub max_stream_duration: Option<Duration>,
}

/// A cluster that gets copies of requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mirror {
    /// Name of the cluster.
    pub cluster: Arc<str>,
    /// Share of the requests.
    pub fraction: Fraction,
}

/// A property of a request that is hashed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HashPolicy {
    /// A header, by its lower-case name.
    Header(Arc<str>),
    /// A cookie.
    Cookie {
        /// Name.
        name: Arc<str>,
        /// Path of the cookie that is made where a request has none.
        path: Arc<str>,
        /// Its life; without one no cookie is made, and 0 makes one for the browser's session.
        ttl: Option<Duration>,
    },
    /// A query parameter.
    QueryParameter(Arc<str>),
    /// The client's address.
    SourceAddress,
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// One cluster, by name. A cluster that does not exist answers 503 with the flag NC.
    Cluster(Arc<str>),
    /// One of several; weights are relative, their sum is positive and fits `u32`.
    Weighted(Vec<WeightedCluster>),
}

/// One of several targets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WeightedCluster {
    /// Cluster.
    pub cluster: Arc<str>,
    /// Share relative to the sum of all weights; not 0.
    pub weight: u32,
    /// Changes to request headers, applied after the route's.
    pub request_headers: HeaderOps,
    /// Changes to response headers, applied after the route's.
    pub response_headers: HeaderOps,
}

/// Change of the path before a request goes upstream; the query stays.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathRewrite {
    /// Replaces what the matcher's prefix or exact path matched.
    Prefix(Arc<str>),
    /// Replaces the whole path.
    Full(Arc<str>),
    /// Replaces every match of the RE2 pattern; `\1` refers to groups.
    Regex {
        /// The pattern.
        pattern: Arc<str>,
        /// The replacement.
        substitution: Arc<str>,
    },
}

/// When a request is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RetryPolicy {
    /// Tries after the first one.
    pub attempts: u32,
    /// The failures that are worth another try.
    pub on: Vec<RetryOn>,
    /// Response codes that are, with [`RetryOn::RetriableStatusCodes`].
    pub status_codes: Vec<u16>,
    /// Limit of each try; none is the limit of the route.
    pub per_try_timeout: Option<Duration>,
    /// Shortest pause before a try; pauses grow exponentially with full jitter. Envoy's default is 25 ms.
    pub base_interval: Option<Duration>,
    /// How often another host is picked when a tried one comes up again (`host_selection_retry_max_attempts`).
    pub host_selection_attempts: u32,
}

/// Failures that are worth another try, in Envoy's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RetryOn {
    /// No connection.
    ConnectFailure,
    /// HTTP/2 REFUSED_STREAM.
    RefusedStream,
    /// gRPC status 14.
    Unavailable,
    /// gRPC status 1.
    Cancelled,
    /// The codes of the policy.
    RetriableStatusCodes,
    /// Any 5xx, or no response.
    FiveXx,
    /// 502, 503 or 504, or no response.
    GatewayError,
    /// The connection ended before the response began.
    Reset,
    /// As `Reset`, before any of the request was sent.
    ResetBeforeRequest,
    /// 409.
    Retriable4xx,
    /// gRPC status 4.
    DeadlineExceeded,
    /// gRPC status 13.
    Internal,
    /// gRPC status 8.
    ResourceExhausted,
    /// The header `x-envoy-ratelimited` says that a limit was reached.
    EnvoyRateLimited,
    /// Headers that a request names in `x-envoy-retriable-header-names`.
    RetriableHeaders,
    /// A connection of HTTP/3 failed after it was made.
    Http3PostConnectFailure,
}

/// An answer that sends the client elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub code: u16,
    /// New scheme.
    pub scheme: Option<Arc<str>>,
    /// New host.
    pub host: Option<Arc<str>>,
    /// New port; a port that is the scheme's default is not written.
    pub port: Option<NonZeroU16>,
    /// New path: whole, or in place of the matched prefix.
    pub path: Option<PathRewrite>,
}

/// An answer of the proxy itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DirectResponse {
    /// Status code.
    pub code: u16,
    /// Body; may be empty.
    pub body: Arc<str>,
}

// === impl RouteConfig ===

impl RouteConfig {
    /// The table with these virtual hosts and no others; those that take any domain come last.
    pub fn with_all<'a>(&self, hosts: impl Iterator<Item = &'a Arc<VirtualHost>>) -> Self {
        let takes_any =
            |host: &Arc<VirtualHost>| host.domains.iter().any(|domain| &**domain == "*");
        let (last, mut virtual_hosts): (Vec<_>, Vec<_>) = hosts.cloned().partition(takes_any);
        virtual_hosts.extend(last);
        Self {
            name: self.name.clone(),
            virtual_hosts,
            discovers_virtual_hosts: false,
            ignore_port_in_host: self.ignore_port_in_host,
        }
    }
}

// === impl Route ===

impl Route {
    /// A rule without name that changes no headers and comes from no object.
    pub fn new(matcher: RouteMatch, action: RouteAction) -> Self {
        Self {
            name: "".into(),
            matcher,
            action,
            policy: RoutePolicy::default(),
            request_headers: HeaderOps::default(),
            response_headers: HeaderOps::default(),
            origin: None,
        }
    }
}

// === impl PathMatch ===

impl PathMatch {
    /// Whether every path matches: the prefix `/`, or `.*` as a regular expression, as in Istio.
    pub fn is_catch_all(&self) -> bool {
        match self {
            Self::Prefix(prefix) => matches!(&**prefix, "" | "/"),
            Self::Regex(pattern) => &**pattern == ".*",
            Self::SegmentPrefix(_) | Self::Exact(_) => false,
        }
    }
}

// === impl RouteMatch ===

impl RouteMatch {
    /// Requests whose path begins with a text.
    pub fn prefix(prefix: impl Into<Arc<str>>) -> Self {
        Self {
            path: PathMatch::Prefix(prefix.into()),
            case_sensitive: true,
            headers: Vec::new(),
            query: Vec::new(),
            claims: Vec::new(),
        }
    }

    /// Every request.
    pub fn everything() -> Self {
        Self::prefix("/")
    }

    /// Whether every request matches, so that no route behind this one is ever taken.
    pub fn is_catch_all(&self) -> bool {
        self.path.is_catch_all()
            && self.headers.is_empty()
            && self.query.is_empty()
            && self.claims.is_empty()
    }
}

// === impl Forward ===

impl Forward {
    /// To a target without limits, retries or changes.
    pub fn to(target: Target) -> Self {
        Self {
            target,
            timeout: None,
            retry: None,
            path_rewrite: None,
            host_rewrite: None,
            mirrors: Vec::new(),
            hash: Vec::new(),
            idle_timeout: None,
            max_stream_duration: None,
        }
    }
}

// === impl RetryOn ===

impl RetryOn {
    /// Every failure with the token that Envoy and `retryOn` write for it.
    pub const TOKENS: [(RetryOn, &'static str); 16] = [
        (RetryOn::ConnectFailure, "connect-failure"),
        (RetryOn::RefusedStream, "refused-stream"),
        (RetryOn::Unavailable, "unavailable"),
        (RetryOn::Cancelled, "cancelled"),
        (RetryOn::RetriableStatusCodes, "retriable-status-codes"),
        (RetryOn::FiveXx, "5xx"),
        (RetryOn::GatewayError, "gateway-error"),
        (RetryOn::Reset, "reset"),
        (RetryOn::ResetBeforeRequest, "reset-before-request"),
        (RetryOn::Retriable4xx, "retriable-4xx"),
        (RetryOn::DeadlineExceeded, "deadline-exceeded"),
        (RetryOn::Internal, "internal"),
        (RetryOn::ResourceExhausted, "resource-exhausted"),
        (RetryOn::EnvoyRateLimited, "envoy-ratelimited"),
        (RetryOn::RetriableHeaders, "retriable-headers"),
        (
            RetryOn::Http3PostConnectFailure,
            "http3-post-connect-failure",
        ),
    ];

    /// The token of this failure.
    pub fn token(self) -> &'static str {
        Self::TOKENS
            .iter()
            .find(|(on, _)| *on == self)
            .map_or("", |(_, token)| token)
    }

    /// The failure of a token.
    pub fn from_token(token: &str) -> Option<Self> {
        Self::TOKENS
            .iter()
            .find(|(_, name)| *name == token)
            .map(|(on, _)| *on)
    }
}
