//! Limits of rates: by the proxy's own count (`envoy.filters.http.local_ratelimit`), and by that of a service, which is asked
//! (`envoy.filters.http.ratelimit`).
//!
//! ```text
//! request --RateLimitRules--> descriptors --> buckets of those that are known, and the bucket for all --one is empty--> 429
//! ```
//!
//! All workers count together. Buckets outlive configurations in which their limit stays as it is.

mod bucket;
mod descriptors;
mod global;
mod limiter;

pub use global::GlobalLimits;
pub use limiter::{Counts, LimitList, Limiter, Limits, Query};
