//! nftables by netlink, the kernel's own interface: no program and no library is needed.
//!
//! ```text
//! Ruleset --messages--> one transaction --socket--> kernel --> acknowledged, or nothing has changed
//! ```

mod expressions;
mod messages;
mod netlink;
mod socket;

pub(crate) use messages::{count_request, counted, remove, replace};
pub(crate) use socket::{NetlinkError, Transport};
