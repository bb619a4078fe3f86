//! `DestinationRule`: subsets of a host and how to talk to them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{TrafficPolicy, WorkloadSelector};

/// Subsets of a host and how to talk to them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["host"]))]
pub struct DestinationRuleSpec {
    /// Host; short names belong to the object's own namespace.
    pub host: String,
    /// Named groups of the host's endpoints.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subsets: Vec<Subset>,
    /// How to talk to the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic_policy: Option<TrafficPolicy>,
    /// Namespaces that see this object: `*`, `.`, `~` or names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub export_to: Vec<String>,
    /// Clients of the object's own namespace that the rule is for; all by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload_selector: Option<WorkloadSelector>,
}

/// A named group of endpoints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct Subset {
    /// Name that routes refer to.
    pub name: String,
    /// Labels that the endpoints must have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Overrides the rule's policy block by block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic_policy: Option<TrafficPolicy>,
}

// === impl DestinationRuleSpec ===

impl DestinationRuleSpec {
    /// Names of the Secrets by which TLS is spoken.
    pub(crate) fn credentials(&self) -> impl Iterator<Item = &str> {
        let subsets = self.subsets.iter();
        let subsets = subsets.filter_map(|subset| subset.traffic_policy.as_ref());
        let policies = self.traffic_policy.iter().chain(subsets);
        let settings = policies.flat_map(|policy| {
            let ports = policy.port_level_settings.iter();
            policy
                .tls
                .iter()
                .chain(ports.filter_map(|port| port.tls.as_ref()))
        });
        let names = settings.filter_map(|tls| tls.credential_name.as_deref());
        names.filter(|name| !name.is_empty())
    }
}
