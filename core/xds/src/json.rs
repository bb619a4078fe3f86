//! Encoded resources as Envoy's JSON: what `/config_dump` of a proxy shows.

pub use mesh_envoy::{Unreadable, any_to_json, struct_json};

#[cfg(test)]
mod tests;
