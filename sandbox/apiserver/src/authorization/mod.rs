//! Authorization: who may do what, by Roles and bindings (RBAC).
//!
//! ```text
//! request --attributes--> Attributes --rbac (rules of the user's bindings)--> allowed | 403
//! bootstrap: the roles that every cluster has from the start     aggregation: roles that are made of other roles
//! escalation: nobody grants what he does not have                reviews: the same questions, asked by clients
//! ```
//!
//! The group `system:masters` may do everything, as the owner of the sandbox.

mod aggregation;
mod attributes;
mod bootstrap;
mod escalation;
mod rbac;
mod reviews;

pub use aggregation::aggregate;
pub use attributes::{Attributes, Target};
pub use bootstrap::{BootstrapRule, ROLES};
pub use escalation::check as check_escalation;
pub use rbac::authorize;
pub use reviews::{access_review, rules_review};

use crate::state::Api;
use crate::status::Status;

/// The group of those who may do everything.
pub const MASTERS: &str = "system:masters";

/// Refuses what the user may not do.
pub fn check(api: &Api, attributes: &Attributes<'_>) -> Result<(), Status> {
    if authorize(&api.store.lock(), attributes).is_some() {
        return Ok(());
    }
    Err(attributes.forbidden())
}
