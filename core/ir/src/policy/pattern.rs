//! How values are compared in policies.

use std::fmt;
use std::sync::Arc;

use super::PathTemplate;

/// Values of which one must hold, and values of which none may hold. Without either, everything is accepted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Constraint<T> {
    /// One of them must hold; empty accepts everything, a missing value too.
    pub values: Vec<T>,
    /// None of them may hold.
    pub not_values: Vec<T>,
}

/// A text as `AuthorizationPolicy` writes it: `abc`, `abc*`, `*abc` or `*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StringPattern {
    /// Equals.
    Exact(Arc<str>),
    /// Starts with; `abc*`.
    Prefix(Arc<str>),
    /// Ends with; `*abc`.
    Suffix(Arc<str>),
    /// There and not empty; `*`.
    NotEmpty,
}

/// A path as `AuthorizationPolicy` writes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathPattern {
    /// Without `{*}` and `{**}`.
    Text(StringPattern),
    /// With at least one of them.
    Template(PathTemplate),
}

// === impl Constraint ===

impl<T> Constraint<T> {
    /// One of these must hold.
    pub fn any_of(values: impl IntoIterator<Item = T>) -> Self {
        Self {
            values: values.into_iter().collect(),
            not_values: Vec::new(),
        }
    }

    /// None of these may hold.
    pub fn none_of(values: impl IntoIterator<Item = T>) -> Self {
        Self {
            values: Vec::new(),
            not_values: values.into_iter().collect(),
        }
    }

    /// Whether everything is accepted.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.not_values.is_empty()
    }
}

impl<T> Default for Constraint<T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            not_values: Vec::new(),
        }
    }
}

// === impl StringPattern ===

impl StringPattern {
    /// Reads a pattern. A star counts at one end only; elsewhere it is a character like any other.
    pub fn parse(text: &str) -> Self {
        if text == "*" {
            Self::NotEmpty
        } else if let Some(suffix) = text.strip_prefix('*') {
            Self::Suffix(suffix.into())
        } else if let Some(prefix) = text.strip_suffix('*') {
            Self::Prefix(prefix.into())
        } else {
            Self::Exact(text.into())
        }
    }

    /// Whether a text is as the pattern says; case counts.
    pub fn is_match(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(text) => value == text.as_bytes(),
            Self::Prefix(text) => value.starts_with(text.as_bytes()),
            Self::Suffix(text) => value.ends_with(text.as_bytes()),
            Self::NotEmpty => !value.is_empty(),
        }
    }
}

impl fmt::Display for StringPattern {
    /// As it is written in a policy.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) => f.write_str(text),
            Self::Prefix(text) => write!(f, "{text}*"),
            Self::Suffix(text) => write!(f, "*{text}"),
            Self::NotEmpty => f.write_str("*"),
        }
    }
}

// === impl PathPattern ===

impl fmt::Display for PathPattern {
    /// As it is written in a policy.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(pattern) => pattern.fmt(f),
            Self::Template(template) => template.fmt(f),
        }
    }
}
