//! Changes to headers.

use std::sync::Arc;

/// Changes in the order in which they happen: removals, then additions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct HeaderOps {
    /// Lower-case names that are removed.
    pub remove: Vec<Arc<str>>,
    /// Headers that are set or added.
    pub set: Vec<HeaderValue>,
}

/// A header to set or add.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HeaderValue {
    /// Name as it is written to the wire.
    pub name: Arc<str>,
    /// Value, with Envoy's command operators such as `%REQ(x)%`; a percent sign of its own is written `%%` (see
    /// [`crate::substitution`]).
    pub value: Arc<str>,
    /// What becomes of values that are there already.
    pub append: HeaderAppend,
}

/// What becomes of the values that a header has already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeaderAppend {
    /// They stay, the new one is added.
    Append,
    /// They are replaced.
    Overwrite,
}

impl HeaderOps {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty()
    }
}
