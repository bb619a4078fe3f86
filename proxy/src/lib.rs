//! The data plane: sidecar and gateway.
//!
//! ```text
//! words, environment --> bootstrap --> run --+--> xds: discovery --ProxyConfig--> worker: one per CPU --Record--> telemetry
//!                                            +--> identity: key and certificate --Secret--> worker
//!                                            +--> admin: what the proxy does, for people and scrapers <------------'
//! ```
//!
//! Workers serve traffic and nothing else. Discovery, admin and everything that may take long live on a runtime of their own.

#![warn(clippy::indexing_slicing, clippy::unwrap_used)]

pub mod args;
pub mod bootstrap;
pub mod lifecycle;

pub mod balance;
pub mod health;
pub mod http1;
pub mod http2;
pub mod limits;
pub mod rate_limit;
pub mod record;
pub mod runtime;
pub mod tls;
pub mod worker;

pub mod telemetry;
pub mod xds;

pub mod identity;

pub mod admin;

mod admin_request;
mod applier;
mod calendar;
mod dns;
mod file_limit;
mod http_client;
mod outgoing;
mod program;
mod run;

pub use program::main;

#[cfg(test)]
extern crate self as mesh_proxy;
#[cfg(test)]
mod fuzz_replay;
