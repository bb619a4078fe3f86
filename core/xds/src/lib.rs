//! The wire of the mesh: resources as Envoy's protobuf messages, and the discovery protocol that carries them.
//!
//! ```text
//! mesh-ir values --resource--> encoded resources --discovery--> gRPC --discovery--> resource --> mesh-ir values
//! ```
//!
//! [`resource`] translates both ways, strict where meaning would be lost; [`discovery`] holds the messages, [`node`] says who a client
//! is.

#![warn(missing_docs)]

pub mod resource;

pub mod discovery;
pub mod node;

pub mod client;
pub mod server;

pub use discovery::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
pub use node::NodeInfo;
pub use resource::{InvalidResource, ResourceType, XdsResource};
