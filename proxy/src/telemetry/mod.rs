//! What is told about traffic: metrics and the access log, both written from the one [`Record`](crate::record::Record) of a request.
//!
//! ```text
//! worker --Record--> Series (plain cells of that worker) --summed at scrape--> /stats, /stats/prometheus, /clusters
//!           |
//!           +------> AccessLog (compiled format) --bounded queue--> writer thread --> file
//! ```

pub mod access_log;
pub mod metrics;
pub mod substitution;

pub(crate) mod time;
