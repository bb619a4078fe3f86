//! Admission: what happens to objects on their way into the store.
//!
//! ```text
//! accounts (token of the service account) -> mutating webhooks -> accounts again -> rules of the kind -> validating webhooks
//! ```
//!
//! Webhooks are asked outside the store's lock. What is admitted is stored only if nothing has changed meanwhile.

mod accounts;
mod request;
mod webhooks;

pub use accounts::mount_token;
pub use request::{Operation, Request};
pub use webhooks::{Webhooks, check_configuration, mutate, validate};

use serde_json::Value;

use crate::kinds::Kind;
use crate::store::{Key, State};

/// The labels by which a webhook selects namespaces: those of the object's, or of the object if it is one.
pub fn namespace_labels(state: &State, kind: &Kind, (namespace, _): &Key, object: &Value) -> Value {
    if kind.is("", "namespaces") {
        return object["metadata"]["labels"].clone();
    }
    let namespace = state.get("namespaces", "", namespace).unwrap_or_default();
    namespace["metadata"]["labels"].clone()
}
