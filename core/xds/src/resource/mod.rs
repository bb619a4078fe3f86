//! Resources: values of `mesh-ir` to and from Envoy's v3 messages.
//!
//! Each type has one file with both directions. Decoding opens every message completely: each field is either understood, refused
//! with its path when it is set (it would change what happens to traffic), or known not to matter.

#[macro_use]
mod border;

mod listener;

mod access_log;
mod authorization;
mod chain_match;
mod extension;
mod external_authorization;
mod filter_list;
mod grpc_service;
mod http_connection_manager;
mod http_filters;
mod inspect;
mod jwt;
mod metrics;
mod network;
mod network_filters;
mod normalization;
mod rate_limit;
mod server_tls;
mod tcp_proxy;
mod token_match;
mod tracing;
mod trust;

mod route;
mod virtual_host;

mod cors;
mod fault;
mod hash_policy;
mod header_match;
mod header_ops;
mod mirror;
mod redirect;
mod retry;
mod route_action;
mod route_policy;

mod cluster;

mod balancing;
mod bind;
mod circuit_breakers;
mod client_tls;
mod endpoints;
mod health_check;
mod http_protocol_options;
mod keepalive;
mod outlier_detection;

mod name_table;
mod secret;

mod address;
mod fraction;
mod metadata;
mod tls;
mod types;
mod values;

mod encoder;
mod patched;
mod set;
mod tables;

pub use border::{InvalidReason, InvalidResource};
pub use encoder::Encoder;
pub use set::{Entry, ResourceSet, ResourceSnapshot};
pub use tables::{ConfigLayers, VirtualHosts};
pub(crate) use types::PerType;
pub use types::ResourceType;
pub use virtual_host::DiscoveredHost;

use std::hash::Hash;
use std::sync::Arc;

use bytes::Bytes;
use mesh_ir::{Cluster, Endpoints, Listener, NameTable, RouteConfig, Secret};
use prost::{Message, Name};

use crate::discovery::Any;
use border::{At, unreadable};

/// A value that travels as a discovery resource.
pub trait XdsResource: Sized + Hash {
    /// Its type on the wire.
    const TYPE: ResourceType;

    /// The name that subscriptions use.
    fn name(&self) -> &str;

    /// The protobuf message, wrapped in an encoded `google.protobuf.Any`.
    fn encode(&self) -> Bytes;

    /// The value of an encoded `google.protobuf.Any`.
    ///
    /// # Errors
    /// When the bytes are not such a message, or the message asks for something that the mesh's proxy cannot do. The error names
    /// the field.
    fn decode(any: &[u8]) -> Result<Self, InvalidResource>;
}

/// A decoded resource of any type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// CDS.
    Cluster(Arc<Cluster>),
    /// EDS.
    Endpoints(Arc<Endpoints>),
    /// SDS.
    Secret(Arc<Secret>),
    /// LDS.
    Listener(Arc<Listener>),
    /// RDS.
    Route(Arc<RouteConfig>),
    /// VHDS.
    VirtualHost(Arc<DiscoveredHost>),
    /// NDS.
    NameTable(Arc<NameTable>),
}

/// Decodes a resource of a type that is known at run time only.
///
/// # Errors
/// As [`XdsResource::decode`].
pub fn decode(kind: ResourceType, any: &[u8]) -> Result<Resource, InvalidResource> {
    fn arc<T: XdsResource>(any: &[u8]) -> Result<Arc<T>, InvalidResource> {
        T::decode(any).map(Arc::new)
    }
    Ok(match kind {
        ResourceType::Cluster => Resource::Cluster(arc(any)?),
        ResourceType::Endpoints => Resource::Endpoints(arc(any)?),
        ResourceType::Secret => Resource::Secret(arc(any)?),
        ResourceType::Listener => Resource::Listener(arc(any)?),
        ResourceType::Route => Resource::Route(arc(any)?),
        ResourceType::VirtualHost => Resource::VirtualHost(arc(any)?),
        ResourceType::NameTable => Resource::NameTable(arc(any)?),
    })
}

// === impl Resource ===

impl Resource {
    /// The name that subscriptions use.
    pub fn name(&self) -> &str {
        match self {
            Self::Cluster(value) => XdsResource::name(&**value),
            Self::Endpoints(value) => XdsResource::name(&**value),
            Self::Secret(value) => XdsResource::name(&**value),
            Self::Listener(value) => XdsResource::name(&**value),
            Self::Route(value) => XdsResource::name(&**value),
            Self::VirtualHost(value) => XdsResource::name(&**value),
            Self::NameTable(value) => XdsResource::name(&**value),
        }
    }
}

pub use mesh_ir::version_of;

/// A version as it is written to the wire.
pub(crate) fn format_version(version: u64) -> String {
    format!("{version:016x}")
}

/// The version of a text; 0, which no resource has in practice, for texts that are not ours.
pub(crate) fn parse_version(text: &str) -> u64 {
    u64::from_str_radix(text, 16).unwrap_or(0)
}

/// Implements [`XdsResource`] by two functions, `to_proto` and `from_proto` of a module where it names only that.
macro_rules! resource {
    ($value:ty, $kind:expr, |$this:ident| $name:expr, $module:ident) => {
        resource!(
            $value,
            $kind,
            |$this| $name,
            $module::to_proto,
            $module::from_proto
        );
    };
    ($value:ty, $kind:expr, |$this:ident| $name:expr, $encode:path, $decode:path) => {
        impl XdsResource for $value {
            const TYPE: ResourceType = $kind;

            fn name(&self) -> &str {
                let $this = self;
                $name
            }

            fn encode(&self) -> Bytes {
                wrap(Self::TYPE, &$encode(self))
            }

            fn decode(any: &[u8]) -> Result<Self, InvalidResource> {
                $decode(unwrap(Self::TYPE, any)?, &At::root())
            }
        }
    };
}

resource!(Cluster, ResourceType::Cluster, |this| &this.name, cluster);
resource!(
    Endpoints,
    ResourceType::Endpoints,
    |this| &this.cluster,
    endpoints
);
resource!(
    Listener,
    ResourceType::Listener,
    |this| &this.name,
    listener
);
resource!(RouteConfig, ResourceType::Route, |this| &this.name, route);
resource!(
    DiscoveredHost,
    ResourceType::VirtualHost,
    |this| &this.name,
    virtual_host::discovered_to_proto,
    virtual_host::discovered_from_proto
);
resource!(Secret, ResourceType::Secret, |this| &this.name, secret);
resource!(
    NameTable,
    ResourceType::NameTable,
    |this| &this.namespace,
    name_table
);

/// An encoded message as a resource.
pub(crate) fn wrap_message(kind: ResourceType, message: &impl Message) -> Bytes {
    wrap(kind, message)
}

/// The services that a cluster's metadata names.
pub(crate) fn services_of(
    metadata: Option<&envoy_types::pb::envoy::config::core::v3::Metadata>,
) -> Vec<mesh_ir::ServiceRef> {
    metadata::IstioMetadata::from_proto(metadata).services
}

fn wrap(kind: ResourceType, message: &impl Message) -> Bytes {
    Any {
        type_url: kind.type_url().to_owned(),
        value: message.encode_to_vec().into(),
    }
    .encode_to_vec()
    .into()
}

fn unwrap<T: Message + Default>(kind: ResourceType, any: &[u8]) -> Result<T, InvalidResource> {
    let at = At::root();
    let Any { type_url, value } = Any::decode(any).map_err(|error| unreadable(&at, &error))?;
    if type_url != kind.type_url() {
        return Err(at.value(format!(
            "the resource is a {type_url}, expected {}",
            kind.type_url()
        )));
    }
    T::decode(value).map_err(|error| unreadable(&at, &error))
}

/// An extension's message wrapped for one of Envoy's typed-config fields.
fn pack<T: Message + Name>(message: &T) -> envoy_types::pb::google::protobuf::Any {
    envoy_types::pb::google::protobuf::Any {
        type_url: T::type_url(),
        value: message.encode_to_vec(),
    }
}

/// The extension's message, if the wrapper holds one of that type.
fn unpack<T: Message + Name + Default>(
    any: &envoy_types::pb::google::protobuf::Any,
    at: &At<'_>,
) -> Result<Option<T>, InvalidResource> {
    if any.type_url != T::type_url() {
        return Ok(None);
    }
    T::decode(any.value.as_slice())
        .map(Some)
        .map_err(|error| unreadable(at, &error))
}

#[cfg(test)]
pub(crate) mod tests;
