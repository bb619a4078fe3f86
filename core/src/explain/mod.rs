//! Why a request goes where it goes: what one proxy decides of it, by the evaluation that the proxy itself uses, with everything that was
//! tried on the way.
//!
//! ```text
//! host --address--> listener --> chain --> policies, routes, faults --> Outcome: shares of clusters with their endpoints, or an answer
//! ```

mod hop;
mod outcome;
mod workload;

pub use hop::{Arrival, Hop, explain};
pub use outcome::{Abort, Backend, Delay, Fault, Outcome, Percent, Security, Share};
pub use workload::{ProxiedWorkload, WorkloadError, address_of};
