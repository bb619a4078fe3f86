//! Authorizers outside of the proxy: who is asked about a request, what is asked, and what an answer means.
//!
//! ```text
//! evaluate --Action::Ask--> Check --the caller asks--> CheckAnswer --> Granted --evaluate again, from the next stage on--> ...
//!                                                           `--> Denial: the answer to the client
//! ```

mod answer;
mod question;

pub use answer::{CheckAnswer, Denial, Grant, Granted};
pub use question::{Check, CheckPeer, CheckedRequest};

use super::RuleId;
use crate::policy::{ExternalAuthorizer, StringPattern};

/// An authorizer that must be asked before a request or a connection goes on.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Who is asked.
    pub provider: &'a ExternalAuthorizer,
    /// The rule that asks for it.
    pub rule: &'a RuleId,
    /// Position of the question among the policies: if the authorizer allows, the next decision begins behind it.
    pub stage: usize,
}

fn among(patterns: &[StringPattern], name: &str) -> bool {
    let mut patterns = patterns.iter();
    patterns.any(|pattern| pattern.is_match(name.as_bytes()))
}
