//! Istio's configuration kinds as Rust types, and those of the Kubernetes Gateway API in [`gateway_api`]. Field names, versions
//! and meaning are Istio's; absent fields are `None` or empty. Unknown fields are ignored here and survive in the raw value of
//! the [`crate::resource::Resource`].

mod cel;
mod duration;
mod selector;

mod credential;
mod default_config;
mod destination_rule;
mod endpoint_slice;
mod envoy_filter;
mod ext_authz_provider;
mod extension_provider;
mod gateway;
mod http_route;
mod ingress;
mod mesh_config;
mod protocol;
mod proxy_config;
mod service_entry;
mod sidecar;
mod traffic_policy;
mod virtual_service;
mod workload_entry;
mod workload_group;

mod authorization_policy;
mod peer_authentication;
mod request_authentication;
mod telemetry;
mod traffic_extension;
mod wasm_plugin;

pub mod gateway_api;

pub use authorization_policy::*;
pub use credential::*;
pub use default_config::*;
pub use destination_rule::*;
pub use duration::*;
pub use endpoint_slice::*;
pub use envoy_filter::*;
pub use ext_authz_provider::*;
pub use extension_provider::*;
pub use gateway::*;
pub use http_route::*;
pub use ingress::*;
pub use mesh_config::*;
pub use peer_authentication::*;
pub use protocol::*;
pub use proxy_config::*;
pub use request_authentication::*;
pub use selector::*;
pub use service_entry::*;
pub use sidecar::*;
pub use telemetry::*;
pub use traffic_extension::*;
pub use traffic_policy::*;
pub use virtual_service::*;
pub use wasm_plugin::*;
pub use workload_entry::*;
pub use workload_group::*;
