//! Who this proxy is: its key, and the certificate that the control plane issues for it.
//!
//! ```text
//! key (in memory) --CSR, token--> control plane --chain--> checked --> secrets `default` and `ROOTCA` --> workers
//!      ^                                                       |
//!      +---- at half of its life, with jitter; with backoff ---+ when there is none
//! ```
//!
//! Each certificate has a key of its own. Keys are made here, and leave the process in no way: not over the network, to a file, a log or
//! a page. A certificate stays in force until there is another one.

mod agent;
mod leaf;
mod validity;

pub use agent::Agent;

/// Name of the secret with the workload's certificate and key, as Istio's agents serve it.
pub const CERTIFICATE: &str = "default";
/// Name of the secret with the certificates that are trusted to have signed those of other workloads.
pub const ROOTS: &str = "ROOTCA";
