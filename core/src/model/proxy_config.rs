//! `ProxyConfig`: settings of proxies that are read when a pod starts.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::WorkloadSelector;

/// Settings of proxies that are read when a pod starts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyConfigSpec {
    /// Workloads that this is for; the whole namespace by default, the whole mesh in the root namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<WorkloadSelector>,
    /// Threads of the proxy; 0 is one for each core.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub concurrency: Option<i32>,
    /// Further environment variables of the proxy.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, VariableText>")]
    pub environment_variables: BTreeMap<String, String>,
    /// Image of the proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ProxyImage>,
}

/// An environment variable's value.
#[derive(JsonSchema)]
#[schemars(inline)]
#[expect(dead_code, reason = "only its schema is used")]
struct VariableText(#[schemars(length(max = 2048))] String);

/// Image of a proxy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyImage {
    /// `default`, `debug` or `distroless`, appended to the image's tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_type: Option<String>,
}
