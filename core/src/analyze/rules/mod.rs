//! The rules. Adding one is a file here with its row in [`RULES`], and a page in `docs/analysis/`.

mod deny_identity;
mod destination_host;
mod destination_subset;
mod gateway_selector;
mod mesh_hosts;
mod policy_workloads;
mod port_name;
mod schema;
mod subset_pods;
mod token_required;
mod unreachable;
mod virtual_service_gateway;

use super::Rule;

/// All rules, sorted by name.
pub const RULES: &[Rule] = &[
    policy_workloads::RULE,
    deny_identity::RULE,
    token_required::RULE,
    subset_pods::RULE,
    gateway_selector::RULE,
    schema::AUTHORIZATION_POLICY,
    schema::BACKEND_TLS_POLICY,
    schema::DESTINATION_RULE,
    schema::ENVOY_FILTER,
    schema::GATEWAY,
    schema::GATEWAY_CLASS,
    schema::GRPC_ROUTE,
    schema::HTTP_ROUTE,
    schema::KUBERNETES_GATEWAY,
    schema::LISTENER_SET,
    schema::PEER_AUTHENTICATION,
    schema::PROXY_CONFIG,
    schema::REFERENCE_GRANT,
    schema::REQUEST_AUTHENTICATION,
    schema::SERVICE_ENTRY,
    schema::SIDECAR,
    schema::TCP_ROUTE,
    schema::TELEMETRY,
    schema::TLS_ROUTE,
    schema::VIRTUAL_SERVICE,
    schema::TRAFFIC_EXTENSION,
    schema::UDP_ROUTE,
    schema::WASM_PLUGIN,
    schema::WORKLOAD_ENTRY,
    schema::WORKLOAD_GROUP,
    port_name::RULE,
    mesh_hosts::RULE,
    destination_host::RULE,
    destination_subset::RULE,
    virtual_service_gateway::RULE,
];
