//! Filters that are programs of their own: Wasm modules, Lua scripts, and what only a resource of its own (ECDS) says.

use std::sync::Arc;

/// A filter whose meaning only its own runtime knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExtensionFilter {
    /// Name of the filter in its list.
    pub name: Arc<str>,
    /// What it does.
    pub config: ExtensionConfig,
    /// Whether a proxy that does not know it leaves it out.
    pub optional: bool,
}

/// What an extension does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ExtensionConfig {
    /// A message that the filter reads.
    Inline {
        /// Full name of the message, `envoy.extensions.filters.http.lua.v3.Lua`.
        message: Arc<str>,
        /// The encoded message.
        value: Arc<[u8]>,
    },
    /// Discovered by the filter's name (ECDS), as one of these messages.
    Discovered {
        /// Full names of messages.
        messages: Vec<Arc<str>>,
    },
}
