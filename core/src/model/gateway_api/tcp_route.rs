//! `TCPRoute` and `UDPRoute`: where TCP connections and datagrams go.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shared::distinct_parents;
use super::{BackendRef, DefaultScope, ParentReference, SectionName};

/// Where TCP connections go, or the datagrams of a `UDPRoute`, which says the same.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["rules"]))]
pub struct TcpRouteSpec {
    /// Gateways, or services in the mesh, that apply the route.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-validations" = distinct_parents()))]
    pub parent_refs: Vec<ParentReference>,
    /// Whether the default gateways apply the route as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_default_gateways: Option<DefaultScope>,
    /// The rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 1))]
    pub rules: Vec<TcpRouteRule>,
}

/// The rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["backendRefs"]))]
pub struct TcpRouteRule {
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<SectionName>,
    /// Backends with their shares.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16))]
    pub backend_refs: Vec<BackendRef>,
}
