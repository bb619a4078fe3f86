//! Filters of routes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::shared::HEADER_VALUE;
use super::{BackendObjectReference, HeaderName, PreciseHostname};
use crate::model::cel::rule;

/// The rules that a filter has the block that its type names, and no other.
pub(super) fn block_of_type(types: &[(&str, &str)]) -> Vec<Value> {
    let rules = types.iter().map(|(kind, block)| {
        rule(
            &format!("has(self.{block}) == (has(self.type) && self.type == '{kind}')"),
            &format!("{block} must be set with the type {kind}, and with no other"),
        )
    });
    rules.collect()
}

/// The rules that a list has at most one filter of each of the types.
pub(super) fn not_repeated(types: &[&str]) -> Vec<Value> {
    let rules = types.iter().map(|kind| {
        rule(
            &format!("self.filter(f, has(f.type) && f.type == '{kind}').size() <= 1"),
            &format!("the filter {kind} cannot be repeated"),
        )
    });
    rules.collect()
}

/// A header with its value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name", "value"]))]
pub struct HttpHeader {
    /// Name.
    pub name: HeaderName,
    /// Value.
    #[schemars(length(min = 1, max = 4096), regex(pattern = HEADER_VALUE))]
    pub value: String,
}

/// Changes to headers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpHeaderFilter {
    /// Replaced.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["name"]
    ))]
    pub set: Vec<HttpHeader>,
    /// Added.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["name"]
    ))]
    pub add: Vec<HttpHeader>,
    /// Removed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "set"))]
    pub remove: Vec<String>,
}

/// Sends copies of requests to a further backend.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend(
    "required" = ["backendRef"],
    "x-kubernetes-validations" = [rule(
        "!(has(self.percent) && has(self.fraction))",
        "only one of percent and fraction can be set"
    )]
))]
pub struct HttpRequestMirrorFilter {
    /// The backend.
    pub backend_ref: BackendObjectReference,
    /// Share of requests in percent; all by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub percent: Option<i32>,
    /// Share of requests as a fraction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fraction: Option<Fraction>,
}

/// A fraction.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend(
    "required" = ["numerator"],
    "x-kubernetes-validations" = [rule(
        "self.numerator <= (has(self.denominator) ? self.denominator : 100)",
        "the numerator cannot be larger than the denominator"
    )]
))]
pub struct Fraction {
    /// Numerator.
    #[schemars(range(min = 0))]
    pub numerator: i32,
    /// Denominator; 100 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub denominator: Option<i32>,
}

/// Sends the client elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRequestRedirectFilter {
    /// New scheme; kept by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["http", "https"]))]
    pub scheme: Option<String>,
    /// New host; kept by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<PreciseHostname>,
    /// New path; kept by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<HttpPathModifier>,
    /// New port; that of the new scheme, or of the listener, by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// 302 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = [301, 302, 303, 307, 308]))]
    pub status_code: Option<i32>,
}

/// Changes host and path of a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpUrlRewriteFilter {
    /// New host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<PreciseHostname>,
    /// New path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<HttpPathModifier>,
}

/// A new path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend(
    "required" = ["type"],
    "x-kubernetes-validations" = [
        rule(
            "has(self.replaceFullPath) == (self.type == 'ReplaceFullPath')",
            "replaceFullPath must be set with the type ReplaceFullPath, and with no other"
        ),
        rule(
            "has(self.replacePrefixMatch) == (self.type == 'ReplacePrefixMatch')",
            "replacePrefixMatch must be set with the type ReplacePrefixMatch, and with no other"
        )
    ]
))]
pub struct HttpPathModifier {
    /// What is replaced.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<HttpPathModifierType>,
    /// The new path.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub replace_full_path: Option<String>,
    /// What stands in place of the matched prefix.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub replace_prefix_match: Option<String>,
}

/// What is replaced in a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the variants are the Gateway API's own names")]
pub enum HttpPathModifierType {
    ReplaceFullPath,
    ReplacePrefixMatch,
}

/// Rules for requests from pages of other origins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpCorsFilter {
    /// Origins, `SCHEME://HOST:PORT`, with `*` in the host, or `*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(
            length(min = 1, max = 253),
            regex(
                pattern = r"^(\*|https?://(\*|(\*\.)?([a-zA-Z0-9-]+\.)*[a-zA-Z0-9-]+)(:[0-9]{1,5})?)$"
            )
        ),
        extend("x-kubernetes-list-type" = "set", "x-kubernetes-validations" = [wildcard_alone()])
    )]
    pub allow_origins: Vec<String>,
    /// Whether credentials may be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_credentials: Option<bool>,
    /// Methods, or `*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 9),
        extend("x-kubernetes-list-type" = "set", "x-kubernetes-validations" = [wildcard_alone()])
    )]
    pub allow_methods: Vec<HttpMethodWithWildcard>,
    /// Request headers, or `*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        extend("x-kubernetes-list-type" = "set", "x-kubernetes-validations" = [wildcard_alone()])
    )]
    pub allow_headers: Vec<HeaderName>,
    /// Response headers that pages may read, or `*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "set"))]
    pub expose_headers: Vec<HeaderName>,
    /// How long an answer to a preflight holds, in seconds; 5 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_age: Option<i32>,
}

fn wildcard_alone() -> Value {
    rule(
        "!('*' in self && self.size() > 1)",
        "* cannot stand beside other values",
    )
}

/// A method, or any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the variants are the methods' own names")]
pub enum HttpMethodWithWildcard {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
    #[serde(rename = "*")]
    Any,
}

/// Asks an external service about each request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend(
    "required" = ["protocol", "backendRef"],
    "x-kubernetes-validations" = [
        rule(
            "has(self.grpc) == (self.protocol == 'GRPC')",
            "grpc must be set with the protocol GRPC, and with no other"
        ),
        rule(
            "has(self.http) == (self.protocol == 'HTTP')",
            "http must be set with the protocol HTTP, and with no other"
        )
    ]
))]
pub struct HttpExternalAuthFilter {
    /// How the service is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<ExternalAuthProtocol>,
    /// The service.
    pub backend_ref: BackendObjectReference,
    /// Settings for gRPC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<GrpcAuthConfig>,
    /// Settings for HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpAuthConfig>,
    /// Whether the service gets the body; not by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forward_body: Option<ForwardBodyConfig>,
}

/// How an external service is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the variants are the protocols' own names")]
pub enum ExternalAuthProtocol {
    Http,
    Grpc,
}

/// What a service gets by gRPC.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcAuthConfig {
    /// Headers; all by default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "set"))]
    pub allowed_headers: Vec<String>,
}

/// What a service gets by HTTP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpAuthConfig {
    /// What is put before the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 1024),
        regex(pattern = r"^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$")
    )]
    pub path: Option<String>,
    /// Further headers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "set"))]
    pub allowed_headers: Vec<String>,
    /// Headers of the answer that the backend gets; all by default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "set"))]
    pub allowed_response_headers: Vec<String>,
}

/// The body that an external service gets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ForwardBodyConfig {
    /// Longest body in bytes; 0 is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_size: Option<i32>,
}
