//! Why a shift is refused: what is wrong, and what to do next.

use std::fmt;

/// Whose fault a refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// The words of the command do not make sense.
    Usage,
    /// What the words name does not exist.
    NotFound,
    /// The objects or pods are in a state in which the shift would do harm.
    State,
}

/// Why a shift is refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// Whose fault it is.
    pub kind: RefusalKind,
    /// What is wrong, as a sentence without a final period.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

// === impl Refusal ===

impl Refusal {
    /// The words of the command do not make sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(RefusalKind::Usage, message)
    }

    /// What the words name does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(RefusalKind::NotFound, message)
    }

    /// The objects or pods are in the wrong state.
    pub fn state(message: impl Into<String>) -> Self {
        Self::new(RefusalKind::State, message)
    }

    /// This refusal with what to do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

/// The most similar of some names, if one is similar enough to be meant.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(similarity, _)| *similarity > 0.7)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}

/// Names for a sentence: `v1, v2 and v3`.
pub(super) fn list<T: AsRef<str>>(names: &[T]) -> String {
    match names {
        [] => "none".to_owned(),
        [only] => only.as_ref().to_owned(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", first.join(", "), last.as_ref())
        }
    }
}
