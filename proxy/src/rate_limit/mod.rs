//! Limits of rates by the proxy's own count (`envoy.filters.http.local_ratelimit`).
//!
//! ```text
//! request --RateLimitRules--> descriptors --> buckets of those that are known, and the bucket for all --one is empty--> 429
//! ```
//!
//! All workers count together. Buckets outlive configurations in which their limit stays as it is.

mod bucket;
mod descriptors;
mod limiter;

pub use limiter::{Counts, Limiter, Limits, Query};
