//! Leader election: of several replicas one does what must be done once.
//!
//! ```text
//! Lease in our namespace --election--> watch<bool> --Leadership--> status writer, webhook patcher, root certificates
//!          (every 2 s)     candidate.rs decides
//! ```
//!
//! A replica leads from the moment at which it wrote the Lease until ten seconds after the last write that the API server has
//! confirmed. Others take the Lease over fifteen seconds after they last saw it change, by their own clocks, so two replicas
//! whose clocks differ never lead at once.

mod candidate;
mod election;
mod leadership;

pub use election::Election;
pub use leadership::Leadership;
