//! What people, probes and scrapers ask a proxy.
//!
//! ```text
//! 15000 admin ----+
//! 15020 agent ----+--server--> AdminPort -> page (a pure function of State) --> response
//! 15021 health ---+              |
//! 15090 metrics --+              +--> agent: probes and metrics of the application, asked over HTTP
//! ```
//!
//! Paths and formats are Envoy's and those of Istio's agent, so that their tools understand us. Nothing here runs on a worker.

mod agent;
mod guard;
mod page;
mod pages;
mod port;
mod server;

pub use port::AdminPort;
pub use server::{BindError, Open, Server};

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use arc_swap::ArcSwap;
use tracing::level_filters::LevelFilter;

use crate::bootstrap::Bootstrap;
use crate::lifecycle::Lifecycle;
use crate::runtime::Runtime;
use crate::telemetry::Reporter;
use crate::telemetry::metrics::Metrics;
use crate::xds::SharedKnown;

/// Everything that pages are written from.
pub struct State {
    /// How the proxy was started.
    pub bootstrap: Arc<Bootstrap>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Logs, and what is sent to collectors.
    pub reporter: Arc<Reporter>,
    /// Configuration.
    pub known: Arc<SharedKnown>,
    /// What workers go by: addresses that names were resolved to, what is under way, which endpoints are fit.
    pub runtime: ArcSwap<Runtime>,
    /// Stage.
    pub lifecycle: Lifecycle,
    /// Connections to the pages.
    pub open: Open,
    /// When it was started.
    pub started: Instant,
    /// The same by the clock.
    pub started_at: SystemTime,
    /// The level of the log, and a way to change it.
    pub log: LogLevel,
}

/// The level of the log, which can be changed while the proxy runs.
pub struct LogLevel {
    /// What is in force.
    pub current: ArcSwap<LevelFilter>,
    /// Sets another one. Whether that worked.
    pub set: Box<dyn Fn(LevelFilter) -> bool + Send + Sync>,
}

#[cfg(test)]
mod tests;
