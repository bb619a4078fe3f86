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
mod mounted;
mod validity;

pub use agent::Agent;
pub use mounted::Mounted;
