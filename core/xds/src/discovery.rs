//! The messages of the discovery protocol, `envoy.service.discovery.v3`.
//!
//! They are written here, not taken from `envoy-types`, so that a resource is a shared [`Bytes`]: it is encoded once and referred to by the
//! responses of all streams. A `google.protobuf.Any` field and a `bytes` field look the same on the wire, so responses hold
//! resources as encoded `Any`. Fields that neither side uses are left out; protobuf skips them. A test compares the encodings with
//! those of `envoy-types`.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost_types::Struct;

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Any {
    /// Type of the value.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// Encoded value.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

/// A request of a state-of-the-world stream: a subscription, and the answer to the last response.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DiscoveryRequest {
    /// Version of the last response that was accepted.
    #[prost(string, tag = "1")]
    pub version_info: String,
    /// Who asks; only needed in the first request of a stream.
    #[prost(message, optional, tag = "2")]
    pub node: Option<Node>,
    /// Names that are wanted; empty for all.
    #[prost(string, repeated, tag = "3")]
    pub resource_names: Vec<String>,
    /// Type that is wanted.
    #[prost(string, tag = "4")]
    pub type_url: String,
    /// Nonce of the response that is answered; empty in the first request.
    #[prost(string, tag = "5")]
    pub response_nonce: String,
    /// Why the response was refused.
    #[prost(message, optional, tag = "6")]
    pub error_detail: Option<Status>,
}

/// A response of a state-of-the-world stream.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct DiscoveryResponse {
    /// Version of the set.
    #[prost(string, tag = "1")]
    pub version_info: String,
    /// Resources, each an encoded [`Any`].
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub resources: Vec<Bytes>,
    /// Type of the resources.
    #[prost(string, tag = "4")]
    pub type_url: String,
    /// What the answer refers to.
    #[prost(string, tag = "5")]
    pub nonce: String,
    /// Who answers.
    #[prost(message, optional, tag = "6")]
    pub control_plane: Option<ControlPlane>,
}

/// A request of a delta stream: changes of the subscription, and the answer to a response.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DeltaDiscoveryRequest {
    /// Who asks; only needed in the first request of a stream.
    #[prost(message, optional, tag = "1")]
    pub node: Option<Node>,
    /// Type that is wanted.
    #[prost(string, tag = "2")]
    pub type_url: String,
    /// Names that are wanted from now on; `*` for all.
    #[prost(string, repeated, tag = "3")]
    pub resource_names_subscribe: Vec<String>,
    /// Names that are no longer wanted.
    #[prost(string, repeated, tag = "4")]
    pub resource_names_unsubscribe: Vec<String>,
    /// Versions that the client already has, in the first request of a type.
    #[prost(btree_map = "string, string", tag = "5")]
    pub initial_resource_versions: BTreeMap<String, String>,
    /// Nonce of the response that is answered; empty otherwise.
    #[prost(string, tag = "6")]
    pub response_nonce: String,
    /// Why the response was refused.
    #[prost(message, optional, tag = "7")]
    pub error_detail: Option<Status>,
}

/// A response of a delta stream.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct DeltaDiscoveryResponse {
    /// Version of the whole set, for logs.
    #[prost(string, tag = "1")]
    pub system_version_info: String,
    /// What was added or changed.
    #[prost(message, repeated, tag = "2")]
    pub resources: Vec<Resource>,
    /// Type of the resources.
    #[prost(string, tag = "4")]
    pub type_url: String,
    /// What the answer refers to.
    #[prost(string, tag = "5")]
    pub nonce: String,
    /// Names of what is gone.
    #[prost(string, repeated, tag = "6")]
    pub removed_resources: Vec<String>,
    /// Who answers.
    #[prost(message, optional, tag = "7")]
    pub control_plane: Option<ControlPlane>,
}

/// A [`DeltaDiscoveryResponse`] as a server sends it: resources are encoded once, with names and versions, for the responses of all
/// streams.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct EncodedDeltaResponse {
    /// Version of the whole set, for logs.
    #[prost(string, tag = "1")]
    pub system_version_info: String,
    /// What was added or changed, each an encoded [`Resource`].
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub resources: Vec<Bytes>,
    /// Type of the resources.
    #[prost(string, tag = "4")]
    pub type_url: String,
    /// What the answer refers to.
    #[prost(string, tag = "5")]
    pub nonce: String,
    /// Names of what is gone.
    #[prost(string, repeated, tag = "6")]
    pub removed_resources: Vec<String>,
    /// Who answers.
    #[prost(message, optional, tag = "7")]
    pub control_plane: Option<ControlPlane>,
}

/// A named resource.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Resource {
    /// Its version.
    #[prost(string, tag = "1")]
    pub version: String,
    /// The encoded [`Any`].
    #[prost(bytes = "bytes", tag = "2")]
    pub resource: Bytes,
    /// Its name.
    #[prost(string, tag = "3")]
    pub name: String,
}

/// `envoy.config.core.v3.Node`: who a client is.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Node {
    /// Istio's node id.
    #[prost(string, tag = "1")]
    pub id: String,
    /// Service cluster, `app.namespace` for Istio's proxies.
    #[prost(string, tag = "2")]
    pub cluster: String,
    /// Istio's node metadata.
    #[prost(message, optional, tag = "3")]
    pub metadata: Option<Struct>,
    /// Where it runs.
    #[prost(message, optional, tag = "4")]
    pub locality: Option<Locality>,
    /// Program, `envoy`.
    #[prost(string, tag = "6")]
    pub user_agent_name: String,
    /// Version of the program. (Envoy sends a structured version in another field.)
    #[prost(string, tag = "7")]
    pub user_agent_version: String,
}

/// `envoy.config.core.v3.Locality`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Locality {
    /// Region.
    #[prost(string, tag = "1")]
    pub region: String,
    /// Zone.
    #[prost(string, tag = "2")]
    pub zone: String,
    /// Part of the zone.
    #[prost(string, tag = "3")]
    pub sub_zone: String,
}

/// `envoy.config.core.v3.ControlPlane`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ControlPlane {
    /// Identifier; a JSON object in Istio.
    #[prost(string, tag = "1")]
    pub identifier: String,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Status {
    /// gRPC code.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// What went wrong.
    #[prost(string, tag = "2")]
    pub message: String,
}

impl EncodedDeltaResponse {
    /// What a client reads.
    ///
    /// # Errors
    /// When what should be a resource is none.
    pub fn decoded(&self) -> Result<DeltaDiscoveryResponse, prost::DecodeError> {
        prost::Message::decode(Bytes::from(prost::Message::encode_to_vec(self)))
    }
}

#[cfg(test)]
mod tests;
