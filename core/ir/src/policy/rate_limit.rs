//! Limits of rates: by the proxy's own count, and by a service that counts for many proxies.

use std::sync::Arc;
use std::time::Duration;

use crate::{Fraction, HeaderMatch, HeaderValue};

/// A bucket of tokens: each request takes one, and there are new ones as time goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenBucket {
    /// How many there are at most, and at first.
    pub max_tokens: u32,
    /// How many are added each time.
    pub tokens_per_fill: u32,
    /// How often.
    pub fill_interval: Duration,
}

/// What the proxy counts by itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LocalRateLimit {
    /// Prefix of its statistics.
    pub stat_prefix: Arc<str>,
    /// For all requests; none limits nothing.
    pub bucket: Option<TokenBucket>,
    /// Status code of the answer to what is too much; Envoy's default is 429.
    pub status: u16,
    /// Share of the requests that are counted.
    pub enabled: Fraction,
    /// Share of those that are refused when they are too many.
    pub enforced: Fraction,
    /// Whether each connection has a bucket of its own.
    pub per_connection: bool,
    /// Buckets for requests with certain descriptors, in place of the one for all.
    pub descriptors: Vec<DescriptorLimit>,
    /// Headers that the answer gets.
    pub response_headers: Vec<HeaderValue>,
    /// What descriptors are made from, beside what routes say.
    pub rate_limits: Vec<RateLimitRule>,
}

/// A bucket for requests that have a descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DescriptorLimit {
    /// Keys with values, all of which the descriptor has in this order. An empty value stands for any.
    pub entries: Vec<(Arc<str>, Arc<str>)>,
    /// The bucket.
    pub bucket: TokenBucket,
}

/// What a service counts for all proxies (`envoy.service.ratelimit.v3.RateLimitService`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GlobalRateLimit {
    /// Domain of the descriptors.
    pub domain: Arc<str>,
    /// Which of the routes' rules are meant: those of this stage.
    pub stage: u32,
    /// Cluster where the service is found.
    pub cluster: Arc<str>,
    /// `:authority` of the call; empty stands for the cluster's name.
    pub authority: Arc<str>,
    /// Limit of an answer; Envoy's default is 20 ms.
    pub timeout: Duration,
    /// Whether requests are refused when it cannot be asked.
    pub fail_closed: bool,
    /// Status code of the answer when it cannot be asked and requests are refused; Envoy's default is 500.
    pub status_on_error: u16,
    /// Status code of the answer to what is too much; Envoy's default is 429.
    pub status: u16,
    /// Whether answers tell of the limit (`x-ratelimit-limit`, `x-ratelimit-remaining`, `x-ratelimit-reset`).
    pub tells_limits: bool,
    /// Whether `x-envoy-ratelimited` is left out of the answer to what is too much.
    pub hides_limited: bool,
    /// Whether clients of gRPC get RESOURCE_EXHAUSTED and not UNAVAILABLE.
    pub as_resource_exhausted: bool,
    /// Headers that the answer to what is too much gets.
    pub response_headers: Vec<HeaderValue>,
}

/// What one descriptor is made from; without a value for one of the actions there is none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RateLimitRule {
    /// Which filters it is for: those of this stage.
    pub stage: u32,
    /// Its entries.
    pub actions: Vec<RateLimitAction>,
}

/// What one entry of a descriptor is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RateLimitAction {
    /// `source_cluster`: the proxy's own service cluster.
    SourceCluster,
    /// `destination_cluster`: the cluster that the route names.
    DestinationCluster,
    /// `remote_address`: the client's address.
    RemoteAddress,
    /// A request header.
    RequestHeader {
        /// Lower-case name.
        name: Arc<str>,
        /// Key of the entry.
        key: Arc<str>,
        /// Whether only the entry is left out when the header is missing.
        skip_if_absent: bool,
    },
    /// A fixed text.
    GenericKey {
        /// Key of the entry; empty means `generic_key`.
        key: Arc<str>,
        /// Its value.
        value: Arc<str>,
    },
    /// A fixed text for requests with certain headers.
    HeaderValueMatch {
        /// Key of the entry; empty means `header_match`.
        key: Arc<str>,
        /// Its value.
        value: Arc<str>,
        /// Whether the headers must match, or must not.
        expect_match: bool,
        /// All of them.
        headers: Vec<HeaderMatch>,
    },
}

/// How many connections a chain has at most.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionLimit {
    /// Prefix of its statistics.
    pub stat_prefix: Arc<str>,
    /// At once.
    pub max_connections: u64,
    /// How long those that are too many wait before they are closed.
    pub delay: Option<Duration>,
}

/// How many connections a chain takes as time goes by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionRateLimit {
    /// Prefix of its statistics.
    pub stat_prefix: Arc<str>,
    /// A token for each connection.
    pub bucket: TokenBucket,
}
