//! What is told about traffic: metrics, logs and spans, all written from the one [`Record`] of a request.
//!
//! ```text
//! worker --Record--> Series (plain cells of that worker) --summed at scrape--> /stats, /stats/prometheus, /clusters
//!           |
//!           +------> AccessLog (compiled format) --bounded queue--> writer thread --> file
//!           +------> AccessLog, Tracer -----------bounded queue--> task -----------> collector
//! ```

pub mod access_log;
pub mod export;
pub mod metrics;
pub mod otlp;
pub mod substitution;
pub mod tracing;

mod attributes;
mod listener;
mod reporter;
pub(crate) mod time;

pub use listener::{ListenerTelemetry, MetricTags};
pub use reporter::{Reporter, check};
