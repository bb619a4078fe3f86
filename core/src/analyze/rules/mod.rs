//! The rules. Adding one is a file here with its row in [`RULES`], and a page in `docs/analysis/`.

mod destination_host;
mod destination_subset;
mod gateway_selector;
mod mesh_hosts;
mod port_name;
mod schema;
mod subset_pods;
mod unreachable;
mod virtual_service_gateway;

use super::Rule;

/// All rules, sorted by name.
pub const RULES: &[Rule] = &[
    subset_pods::RULE,
    gateway_selector::RULE,
    schema::DESTINATION_RULE,
    schema::GATEWAY,
    schema::SERVICE_ENTRY,
    schema::VIRTUAL_SERVICE,
    port_name::RULE,
    mesh_hosts::RULE,
    destination_host::RULE,
    destination_subset::RULE,
    virtual_service_gateway::RULE,
];
