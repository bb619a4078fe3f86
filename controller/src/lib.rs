//! The control plane: it watches configuration and publishes to each proxy what that proxy must do.
//!
//! ```text
//! cluster | directory --config--> Store --publish--> Snapshot --ads--> proxies
//!                                                       |
//!                                                       +--monitor--> /ready, /metrics, /debug (pages of `debug`)
//! ```
//!
//! One event loop owns the store. Everything behind it works on immutable snapshots, so a proxy that is slow or gone holds
//! up nobody else.

mod args;
mod program;
mod run;

mod config;
mod store;
mod versions;

mod metrics;

mod debounce;
mod publish;

mod addresses;
mod ads;
mod debug;
mod gateways;
mod identity;
mod key_sets;
mod leader;
mod monitor;
mod serving;
mod status;
mod webhook;

#[cfg(test)]
mod testing;

pub use args::Args;
pub use program::main;
pub use run::run;
