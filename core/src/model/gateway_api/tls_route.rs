//! `TLSRoute`: where TLS connections go.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shared::distinct_parents;
use super::{BackendRef, DefaultScope, Hostname, ParentReference, SectionName};
use crate::model::cel::rule;

/// Where TLS connections go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["hostnames", "rules"]))]
pub struct TlsRouteSpec {
    /// Gateways, or services in the mesh, that apply the route.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-validations" = distinct_parents()))]
    pub parent_refs: Vec<ParentReference>,
    /// Whether the default gateways apply the route as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_default_gateways: Option<DefaultScope>,
    /// Server names (SNI).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 1024), extend("x-kubernetes-validations" = [
        rule("self.all(h, !isIP(h))", "a server name is no address")
    ]))]
    pub hostnames: Vec<Hostname>,
    /// The rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 1))]
    pub rules: Vec<TlsRouteRule>,
}

/// The rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["backendRefs"]))]
pub struct TlsRouteRule {
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<SectionName>,
    /// Backends with their shares.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16))]
    pub backend_refs: Vec<BackendRef>,
}
