//! Messages of `envoy.service.status.v3` and `envoy.admin.v3`, as far as istioctl reads them. Names and numbers of the fields are
//! those of the proto files.

use bytes::Bytes;
use mesh_xds::discovery::{Any, Node};
use prost::Message;

/// `envoy.service.status.v3.ClientConfig`: one proxy and how far it has come.
#[derive(Clone, PartialEq, Message)]
pub struct ClientConfig {
    #[prost(message, optional, tag = "1")]
    pub node: Option<Node>,
    #[prost(message, repeated, tag = "3")]
    pub generic_xds_configs: Vec<GenericXdsConfig>,
}

/// `envoy.service.status.v3.ClientConfig.GenericXdsConfig`: one type of it.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct GenericXdsConfig {
    #[prost(string, tag = "1")]
    pub type_url: String,
    #[prost(string, tag = "3")]
    pub version_info: String,
    #[prost(enumeration = "ConfigStatus", tag = "6")]
    pub config_status: i32,
}

/// `envoy.service.status.v3.ConfigStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum ConfigStatus {
    Unknown = 0,
    Synced = 1,
    NotSent = 2,
    Stale = 3,
    Error = 4,
}

/// `envoy.admin.v3.ClustersConfigDump`, with the dynamic ones.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ClustersConfigDump {
    #[prost(string, tag = "1")]
    pub version_info: String,
    #[prost(message, repeated, tag = "3")]
    pub dynamic_active_clusters: Vec<Versioned>,
}

/// `envoy.admin.v3.ListenersConfigDump`, with the dynamic ones.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ListenersConfigDump {
    #[prost(string, tag = "1")]
    pub version_info: String,
    #[prost(message, repeated, tag = "3")]
    pub dynamic_listeners: Vec<DynamicListener>,
}

/// `envoy.admin.v3.ListenersConfigDump.DynamicListener`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct DynamicListener {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub active_state: Option<Versioned>,
}

/// `envoy.admin.v3.RoutesConfigDump`, with the dynamic ones.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RoutesConfigDump {
    #[prost(message, repeated, tag = "3")]
    pub dynamic_route_configs: Vec<Versioned>,
}

/// A resource with its version: what `DynamicCluster`, `DynamicListenerState` and `DynamicRouteConfig` have in common.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Versioned {
    #[prost(string, tag = "1")]
    pub version_info: String,
    #[prost(message, optional, tag = "2")]
    pub resource: Option<Any>,
}

/// A message of this name in an `Any`.
pub fn any(name: &str, message: &impl Message) -> Any {
    Any {
        type_url: ["type.googleapis.com/", name].concat(),
        value: Bytes::from(message.encode_to_vec()),
    }
}
