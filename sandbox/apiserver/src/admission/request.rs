//! What admission is asked about.

use std::sync::Arc;

use serde_json::Value;

use crate::auth::User;
use crate::kinds::Served;

/// What is done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
    Delete,
}

/// One change of one object.
#[derive(Clone)]
pub struct Request<'a> {
    pub operation: Operation,
    /// The kind as the path names it.
    pub served: &'a Served,
    /// Empty for the object itself.
    pub subresource: &'static str,
    pub namespace: &'a str,
    /// Empty where the server makes the name up.
    pub name: &'a str,
    /// Labels of the namespace, as an object of labels; those of the object itself for a namespace.
    pub namespace_labels: Value,
    pub user: &'a User,
    pub dry_run: bool,
    /// The object before, in its stored version; none for a new one.
    pub old: Option<Arc<Value>>,
}

// === impl Operation ===

impl Operation {
    /// As rules and reviews name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }
}
