//! The rules. Adding one is a file here with its row in [`RULES`], and a page in `docs/analysis/`.

mod annotations;
mod application_uid;
mod blocked_networks;
mod ca_certificates;
mod claim_routes;
mod conditions;
mod definition_version;
mod deny_identity;
mod deprecation;
mod destination_host;
mod destination_subset;
mod envoy_patch;
mod external_control_plane;
mod gateway_certificates;
mod gateway_conflicts;
mod gateway_ports;
mod gateway_secrets;
mod gateway_selector;
mod image_auto;
mod ineffective_selector;
mod injected_image;
mod injection;
mod legacy;
mod mesh_hosts;
mod mesh_networks;
mod policy_namespaces;
mod policy_pods;
mod policy_workloads;
mod port_name;
mod ready_pods;
mod retry_time;
mod schema;
mod service_association;
mod service_entry_addresses;
mod service_entry_conflicts;
mod shadowed;
mod sidecar_selector;
mod subset_pods;
mod telemetry_provider;
mod telemetry_selector;
mod tls_mismatch;
mod token_required;
mod unmatched_policy;
mod unreachable;
mod unserved_hosts;
mod virtual_service_gateway;
mod webhooks;
mod weights;
mod workload_conflicts;

use super::Rule;
pub(super) use virtual_service_gateway::resolve as resolve_gateway;

/// Rules that apply only when they are asked for by name.
pub const ON_REQUEST: &[&str] = &["annotations.AlphaAnalyzer"];

/// All rules, sorted by name.
pub const RULES: &[Rule] = &[
    annotations::ALPHA,
    annotations::KUBERNETES,
    application_uid::RULE,
    policy_workloads::RULE,
    deny_identity::RULE,
    token_required::RULE,
    blocked_networks::RULE,
    conditions::RULE,
    service_association::RULE,
    deprecation::RULE,
    ca_certificates::RULE,
    subset_pods::RULE,
    envoy_patch::RULE,
    external_control_plane::RULE,
    gateway_certificates::RULE,
    gateway_conflicts::RULE,
    gateway_ports::RULE,
    gateway_secrets::RULE,
    injection::RULE,
    injected_image::RULE,
    image_auto::RULE,
    definition_version::RULE,
    ineffective_selector::RULE,
    legacy::RULE,
    policy_pods::RULE,
    ready_pods::RULE,
    retry_time::RULE,
    tls_mismatch::RULE,
    unmatched_policy::RULE,
    unserved_hosts::RULE,
    weights::RULE,
    mesh_networks::RULE,
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
    service_entry_addresses::RULE,
    service_entry_conflicts::RULE,
    sidecar_selector::RULE,
    telemetry_selector::DEFAULT_SELECTOR,
    telemetry_provider::LIGHTSTEP,
    telemetry_provider::PROVIDER,
    telemetry_selector::SELECTOR,
    mesh_hosts::RULE,
    destination_host::RULE,
    destination_subset::RULE,
    virtual_service_gateway::RULE,
    claim_routes::RULE,
    shadowed::RULE,
    webhooks::RULE,
];
