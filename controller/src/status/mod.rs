//! Tells people in an object's status what became of it: refused, without effect, or refused by a proxy.
//!
//! ```text
//! watchers --observe--> Ledger (findings and status of each object) --+
//! Connections --refusals.rs, every five seconds--> refusals by object --+-> conditions.rs --> writer.rs (the leader) --PATCH /status
//! Published --mesh_core::snapshot::statuses--> whole statuses by object --> wanted.rs --------^
//! ```
//!
//! Only what there is to say is written: an object that was never in trouble is left alone, so that no one's update of it fails for a
//! status that says nothing. What is written comes back as an event, is found to be as it should be, and ends there; the store does
//! not count it as a change.

mod conditions;
mod ledger;

mod refusals;
mod wanted;
mod writer;

pub use ledger::Ledger;
pub use refusals::{Refusals, refusals};
pub use writer::write;
