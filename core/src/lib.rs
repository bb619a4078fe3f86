//! The pure centre of the mesh: it turns text into configuration, findings, injected pods, manifests and plans.
//!
//! ```text
//! text -> Document -> Resource -> Snapshot -> Diagnostic
//!                                    |
//!                                    +-> ProxyConfig
//! ```
//!
//! Nothing here touches a file, a socket, the clock, the environment or a source of randomness: callers hand in text, the
//! current time and tickets. User input never makes a whole operation fail: a broken document or object is reported as a
//! [`diag::Diagnostic`] and rejects only itself.

pub mod access_log;
pub mod diag;
pub mod source;
pub mod xml;
pub mod yaml;

pub mod metrics;
pub mod model;
pub mod resource;
pub use mesh_schema as schema;

pub mod analyze;
pub mod authz;
pub mod convert;
pub mod explain;
pub mod snapshot;
pub mod translate;
pub mod validate;

pub mod gateways;
pub mod inject;
pub mod install;
pub mod shift;
