//! What policies apply to: workloads by labels, or objects by reference.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cel::rule;

/// Workloads by labels, as `security.istio.io`, `telemetry.istio.io` and `extensions.istio.io` write it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadSelector {
    /// Labels that a pod must have, all of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, LabelValue>", extend(
        "maxProperties" = 4096,
        "x-kubernetes-validations" = [
            rule("self.all(key, !key.contains('*'))", "label keys have no wildcards"),
            rule("self.all(key, key.size() != 0)", "label keys are not empty")
        ]
    ))]
    pub match_labels: BTreeMap<String, String>,
}

/// Workloads by labels, as `networking.istio.io` writes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkingWorkloadSelector {
    /// Labels that a pod must have, all of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, LabelValue>", extend(
        "maxProperties" = 256,
        "x-kubernetes-validations" = [
            rule("self.all(key, !key.contains('*'))", "label keys have no wildcards"),
            rule("self.all(key, key.size() != 0)", "label keys are not empty")
        ]
    ))]
    pub labels: BTreeMap<String, String>,
}

/// A label's value.
#[derive(JsonSchema)]
#[schemars(inline, extend(
    "maxLength" = 63,
    "x-kubernetes-validations" = [rule("!self.contains('*')", "label values have no wildcards")]
))]
#[expect(dead_code, reason = "only its schema is used")]
struct LabelValue(String);

/// An object that a policy applies to: a gateway, a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["kind", "name"]))]
pub struct PolicyTargetReference {
    /// API group; empty for Kubernetes' core kinds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 253),
        regex(pattern = r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub group: Option<String>,
    /// Kind.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$")
    )]
    pub kind: String,
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Must stay empty: the object is in the policy's own namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [
        rule("self.size() == 0", "objects of other namespaces cannot be referred to")
    ]))]
    pub namespace: Option<String>,
}
