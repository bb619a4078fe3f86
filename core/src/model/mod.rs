//! Istio's configuration kinds as Rust types. Field names, versions and meaning are Istio's; absent fields are `None` or
//! empty. Unknown fields are ignored here and survive in the raw value of the [`crate::resource::Resource`].

mod destination_rule;
mod duration;
mod gateway;
mod mesh_config;
mod selector;
mod service_entry;
mod virtual_service;

pub use destination_rule::*;
pub use duration::*;
pub use gateway::*;
pub use mesh_config::*;
pub use selector::*;
pub use service_entry::*;
pub use virtual_service::*;
