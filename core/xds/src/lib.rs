//! The wire of the mesh: resources as Envoy's protobuf messages, and the discovery protocol that carries them.
//!
//! ```text
//! mesh-ir values --resource--> encoded resources --server--> responses ~~gRPC~~> --client--> resource --> mesh-ir values
//! ```
//!
//! [`resource`] translates both ways, strict where meaning would be lost; `patch` lays what `EnvoyFilter`s say over it; [`json`] shows what was encoded, as Envoy's dumps do.
//! [`check`] and [`rate_limit`] are how proxies ask others about requests. [`discovery`] holds the messages, [`node`] says who a client is. [`server`] and [`client`] are state machines without I/O, clock
//! or randomness: callers hand in messages and time, and send what comes out. The module `service` (features `client` and
//! `server`) puts them on gRPC, and the module `certificates` Istio's service by which workloads get theirs.

#![warn(missing_docs)]
#![warn(clippy::indexing_slicing, clippy::unwrap_used)]

pub mod resource;

mod patch;

pub mod discovery;
pub mod node;

pub mod json;

pub mod check;
pub mod rate_limit;

pub mod client;
pub mod server;

#[cfg(any(feature = "client", feature = "server"))]
pub mod service;

#[cfg(any(feature = "client", feature = "server"))]
pub mod certificates;

pub use discovery::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
    EncodedDeltaResponse,
};
pub use node::NodeInfo;
pub use resource::{InvalidResource, ResourceType, XdsResource};
