//! `PeerAuthentication`: whether workloads take connections with mutual TLS, plain connections, or both.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::WorkloadSelector;
use super::cel::rule;

/// Whether workloads take connections with mutual TLS, plain connections, or both.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [rule(
    "!has(self.portLevelMtls) || (has(self.selector) && has(self.selector.matchLabels) && self.selector.matchLabels.size() > 0)",
    "portLevelMtls needs a selector with labels"
)]))]
pub struct PeerAuthenticationSpec {
    /// Workloads that this is for; the whole namespace by default, the whole mesh in the root namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<WorkloadSelector>,
    /// Mutual TLS of all ports; inherited when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtls: Option<MutualTls>,
    /// Mutual TLS of single ports, by the workload's port number.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend(
        "minProperties" = 1,
        "x-kubernetes-validations" = [rule(
            "self.all(key, 0 < int(key) && int(key) <= 65535)",
            "ports are numbers from 1 to 65535"
        )]
    ))]
    pub port_level_mtls: BTreeMap<String, MutualTls>,
}

/// Mutual TLS of a server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MutualTls {
    /// Mode; inherited when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<MutualTlsMode>,
}

/// What a server takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the variants are Istio's own names")]
pub enum MutualTlsMode {
    Unset,
    Disable,
    Permissive,
    Strict,
}
