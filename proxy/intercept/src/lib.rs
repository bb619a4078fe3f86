//! Redirects a pod's traffic to its proxy, before the application starts: what a pod's container `istio-init` runs.
//!
//! ```text
//! words --options--> Settings --plan--> Ruleset --apply--> kernel: nftables by netlink, or else iptables-restore
//!                                          '---> text, as `nft -f` reads it (--dry-run)
//! ```
//!
//! Only `apply` touches anything, and only the network namespace that it runs in: the same program prepares a pod of a cluster and
//! a pod of the sandbox. Neither needs a program beside it: rules go to the kernel by netlink, and where the kernel has no nftables,
//! to `iptables-restore` and `ip6tables-restore`.

#![warn(clippy::indexing_slicing, clippy::unwrap_used)]

mod options;
mod settings;

mod plan;
mod rule;

mod apply;
mod iptables;
mod nftables;
mod program;

pub use apply::{ApplyError, Backend, apply, cleanup};
pub use options::{Command, InvalidOptions, Run, help, parse};
pub use plan::plan;
pub use program::{COMMANDS, main};
pub use rule::{Action, Base, Chain, ChainKind, Family, Hook, Match, Protocol, Rule, Ruleset};
pub use settings::{Dns, Selection, Settings};
