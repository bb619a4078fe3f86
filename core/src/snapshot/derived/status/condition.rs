//! Conditions, apart from the time since when they hold.

use serde_json::{Value, json};

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    type_: &'static str,
    is_true: bool,
    reason: &'static str,
    message: String,
}

// === impl Condition ===

impl Condition {
    /// One that holds.
    pub(super) fn yes(type_: &'static str, reason: &'static str, message: &str) -> Self {
        Self {
            type_,
            is_true: true,
            reason,
            message: message.to_owned(),
        }
    }

    /// One that does not hold.
    pub(super) fn no(
        type_: &'static str,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            type_,
            is_true: false,
            reason,
            message: message.into(),
        }
    }

    /// One that holds with a reason of its own name, or does not for another reason.
    pub(super) fn of(type_: &'static str, outcome: Result<&str, (&'static str, String)>) -> Self {
        match outcome {
            Ok(message) => Self::yes(type_, type_, message),
            Err((reason, message)) => Self::no(type_, reason, message),
        }
    }

    pub(super) fn is_true(&self) -> bool {
        self.is_true
    }
}

/// Conditions of an object of a generation, as its status has them.
pub(super) fn conditions(generation: i64, all: impl IntoIterator<Item = Condition>) -> Value {
    let shown = all.into_iter().map(|condition| {
        json!({
            "type": condition.type_,
            "status": if condition.is_true { "True" } else { "False" },
            "reason": condition.reason,
            "message": condition.message,
            "observedGeneration": generation,
        })
    });
    shown.collect()
}
