//! `GRPCRoute`: how gRPC calls to hosts are routed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::backend::{FilteredBackendRef, RouteFilter};
use super::filter::{block_of_type, not_repeated};
use super::shared::{distinct_parents, distinct_rule_names};
use super::{
    DefaultScope, HeaderName, Hostname, HttpHeaderFilter, HttpRequestMirrorFilter,
    LocalObjectReference, ParentReference, SectionName, SessionPersistence, TextMatchType,
};
use crate::model::cel::rule;

/// How gRPC calls to hosts are routed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcRouteSpec {
    /// Gateways, or services in the mesh, that apply the route.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-validations" = distinct_parents()))]
    pub parent_refs: Vec<ParentReference>,
    /// Whether the default gateways apply the route as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_default_gateways: Option<DefaultScope>,
    /// Hosts; all of the listener's by default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub hostnames: Vec<Hostname>,
    /// Rules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-validations" = [
        distinct_rule_names(),
        rule(
            "self.map(r, has(r.matches) ? r.matches.size() : 0).sum() <= 128",
            "the rules of a route have at most 128 matches together"
        )
    ]))]
    pub rules: Vec<GrpcRouteRule>,
}

/// A rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcRouteRule {
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<SectionName>,
    /// Conditions, of which one must hold; by default everything matches.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub matches: Vec<GrpcRouteMatch>,
    /// What happens to calls and answers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-validations" = GrpcRouteFilter::rules()))]
    pub filters: Vec<GrpcRouteFilter>,
    /// Backends with their shares.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub backend_refs: Vec<GrpcBackendRef>,
    /// How long calls of one client stay with one backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_persistence: Option<SessionPersistence>,
}

/// A condition; all of its fields must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcRouteMatch {
    /// Service and method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<GrpcMethodMatch>,
    /// Headers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["name"]
    ))]
    pub headers: Vec<GrpcHeaderMatch>,
}

/// A condition on service and method.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [
    rule("has(self.service) || has(self.method)", "service, method or both must be set"),
    rule(
        "(has(self.type) && self.type != 'Exact') || !has(self.service) || self.service.matches('^[.]?[a-zA-Z_][a-zA-Z_0-9]*([.][a-zA-Z_][a-zA-Z_0-9]*)*$')",
        "a service is a name of letters, digits and _, with dots between packages"
    ),
    rule(
        "(has(self.type) && self.type != 'Exact') || !has(self.method) || self.method.matches('^[A-Za-z_][A-Za-z_0-9]*$')",
        "a method is a name of letters, digits and _"
    )
]))]
pub struct GrpcMethodMatch {
    /// `Exact` by default.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<TextMatchType>,
    /// Service with its package; any by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub service: Option<String>,
    /// Method; any by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub method: Option<String>,
}

/// A condition on a header.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name", "value"]))]
pub struct GrpcHeaderMatch {
    /// `Exact` by default.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<TextMatchType>,
    /// Name.
    pub name: HeaderName,
    /// Value.
    #[schemars(length(min = 1, max = 4096))]
    pub value: String,
}

/// Blocks of filters by their types.
const FILTERS: [(&str, &str); 4] = [
    ("RequestHeaderModifier", "requestHeaderModifier"),
    ("ResponseHeaderModifier", "responseHeaderModifier"),
    ("RequestMirror", "requestMirror"),
    ("ExtensionRef", "extensionRef"),
];

/// What happens to calls and answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["type"], "x-kubernetes-validations" = block_of_type(&FILTERS)))]
pub struct GrpcRouteFilter {
    /// Which of the blocks is set.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<GrpcRouteFilterType>,
    /// Changes to headers of calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_header_modifier: Option<HttpHeaderFilter>,
    /// Changes to headers of answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_header_modifier: Option<HttpHeaderFilter>,
    /// Sends copies of calls to a further backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_mirror: Option<HttpRequestMirrorFilter>,
    /// A filter that another object describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extension_ref: Option<LocalObjectReference>,
}

/// Types of filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the variants are the Gateway API's own names")]
pub enum GrpcRouteFilterType {
    RequestHeaderModifier,
    ResponseHeaderModifier,
    RequestMirror,
    ExtensionRef,
}

/// A backend with its share and filters.
pub type GrpcBackendRef = FilteredBackendRef<GrpcRouteFilter>;

impl RouteFilter for GrpcRouteFilter {
    fn rules() -> Vec<Value> {
        not_repeated(&["RequestHeaderModifier", "ResponseHeaderModifier"])
    }
}
