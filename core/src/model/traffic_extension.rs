//! `TrafficExtension`: extensions of proxies in WebAssembly or Lua, of which `WasmPlugin` knows the first alone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::cel::{at_most_one, rule};
use super::{
    FailStrategy, PluginType, PolicyTargetReference, PullPolicy, TrafficSelector, VmConfig,
    WorkloadSelector,
};

/// An extension of proxies. Exactly one of `wasm` and `lua` is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [
    at_most_one(&["selector", "targetRefs"]),
    rule("has(self.wasm) != has(self.lua)", "exactly one of wasm and lua must be set")
]))]
pub struct TrafficExtensionSpec {
    /// Workloads that this is for; the whole namespace by default, the whole mesh in the root namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<WorkloadSelector>,
    /// Objects that this is for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub target_refs: Vec<PolicyTargetReference>,
    /// Where among the filters it runs; by default after Istio's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<ExecutionPhase>,
    /// Order among extensions of a phase; the highest runs first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Traffic that this is for; all by default.
    #[serde(rename = "match", skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<TrafficSelector>,
    /// An extension in WebAssembly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wasm: Option<WasmConfig>,
    /// An extension in Lua.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lua: Option<LuaConfig>,
}

/// Where among the filters an extension runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the variants are Istio's own names")]
pub enum ExecutionPhase {
    Unspecified,
    Authn,
    Authz,
    Stats,
}

/// An extension in WebAssembly.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["url"]))]
pub struct WasmConfig {
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
    /// What happens when the extension fails; `FAIL_CLOSE` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail_strategy: Option<FailStrategy>,
    /// Settings of the virtual machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vm_config: Option<VmConfig>,
    /// `HTTP` by default.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<PluginType>,
}

/// An extension in Lua.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["inlineCode"]))]
pub struct LuaConfig {
    /// The script, with `envoy_on_request`, `envoy_on_response` or both.
    #[schemars(length(min = 1, max = 65_536))]
    pub inline_code: String,
}
