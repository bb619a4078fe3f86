//! `WasmPlugin`: extensions of proxies in WebAssembly.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::cel::{at_most_one, rule};
use super::{PolicyTargetReference, WorkloadSelector};

/// An extension of proxies in WebAssembly.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend(
    "required" = ["url"],
    "x-kubernetes-validations" = [at_most_one(&["selector", "targetRef", "targetRefs"])]
))]
pub struct WasmPluginSpec {
    /// Workloads that this is for; the whole namespace by default, the whole mesh in the root namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<WorkloadSelector>,
    /// The object that this is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_ref: Option<PolicyTargetReference>,
    /// Objects that this is for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub target_refs: Vec<PolicyTargetReference>,
    /// Where the module is: `oci://`, `http://`, `https://` or `file://`; `oci://` is the default.
    #[schemars(length(min = 1), extend("x-kubernetes-validations" = [rule(
        "isURL(self) ? url(self).getScheme() in ['', 'http', 'https', 'oci', 'file'] : isURL('http://' + self)",
        "must be an address with oci://, http://, https:// or file://"
    )]))]
    pub url: String,
    /// Checksum of the module.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "(^$|^[a-f0-9]{64}$)"))]
    pub sha256: Option<String>,
    /// When the module is fetched again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<PullPolicy>,
    /// Secret with credentials of the registry, in the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub image_pull_secret: Option<String>,
    /// Key that the module's signature is checked with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification_key: Option<String>,
    /// What the extension is given as its configuration.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
    pub plugin_config: Map<String, Value>,
    /// Name of the extension inside the module.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub plugin_name: Option<String>,
    /// Where among the filters it runs; by default after Istio's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<PluginPhase>,
    /// Order among extensions of a phase; the highest runs first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// What happens when the extension fails; `FAIL_CLOSE` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail_strategy: Option<FailStrategy>,
    /// Settings of the virtual machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vm_config: Option<VmConfig>,
    /// Traffic that this is for; all by default.
    #[serde(rename = "match", skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<TrafficSelector>,
    /// `HTTP` by default.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<PluginType>,
}

/// When a module is fetched again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the variants are Istio's own names")]
pub enum PullPolicy {
    #[serde(rename = "UNSPECIFIED_POLICY")]
    Unspecified,
    IfNotPresent,
    Always,
}

/// Where among the filters an extension runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the variants are Istio's own names")]
pub enum PluginPhase {
    UnspecifiedPhase,
    Authn,
    Authz,
    Stats,
}

/// What happens when an extension fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the variants are Istio's own names")]
pub enum FailStrategy {
    FailClose,
    FailOpen,
    FailReload,
}

/// The level that an extension works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the variants are Istio's own names")]
pub enum PluginType {
    UnspecifiedPluginType,
    Http,
    Network,
}

/// Settings of a virtual machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VmConfig {
    /// Environment variables.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["name"]
    ))]
    pub env: Vec<VmVariable>,
}

/// An environment variable.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend(
    "required" = ["name"],
    "x-kubernetes-validations" = [rule(
        "!(has(self.valueFrom) && self.valueFrom == 'HOST') || !has(self.value)",
        "value can be set only when valueFrom is INLINE"
    )]
))]
pub struct VmVariable {
    /// Name.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// Where the value comes from; `INLINE` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_from: Option<VariableSource>,
    /// Value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub value: Option<String>,
}

/// Where the value of a variable comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the variants are Istio's own names")]
pub enum VariableSource {
    Inline,
    Host,
}

/// Traffic by side and port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TrafficSelector {
    /// Side; both by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<TrafficMode>,
    /// Ports; all by default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["number"]
    ))]
    pub ports: Vec<TrafficPort>,
}

/// Which side of the traffic of a workload is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the variants are Istio's own names")]
pub enum TrafficMode {
    Undefined,
    Client,
    Server,
    ClientAndServer,
}

/// A port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["number"]))]
pub struct TrafficPort {
    /// Number.
    #[schemars(range(min = 1, max = 65535))]
    pub number: u32,
}
