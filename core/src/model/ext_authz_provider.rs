//! Authorizers among `extensionProviders`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DurationText;

/// An authorizer that is asked over HTTP. Names of headers may begin or end with `*`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ExtAuthzHttpProvider {
    /// Host of its service, `[NAMESPACE/]HOST`.
    pub service: String,
    /// Port of its service.
    pub port: u32,
    /// Limit of an answer; 600 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<DurationText>,
    /// Stands before the path of the request.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path_prefix: String,
    /// Whether requests pass when it cannot be asked; no.
    pub fail_open: bool,
    /// Whether requests are routed again by what it has made of them; no.
    pub clear_route_cache: bool,
    /// Status of the answer when it cannot be asked; 403.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status_on_error: String,
    /// The old name of `includeRequestHeadersInCheck`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include_headers_in_check: Vec<String>,
    /// Headers of the request that it gets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include_request_headers_in_check: Vec<String>,
    /// Headers that it gets beside those.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub include_additional_headers_in_check: BTreeMap<String, String>,
    /// How much of the body it gets; nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_request_body_in_check: Option<ExtAuthzRequestBody>,
    /// Headers of its answer that the request gets when it allows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers_to_upstream_on_allow: Vec<String>,
    /// Headers of its answer that the client gets when it denies; all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers_to_downstream_on_deny: Vec<String>,
    /// Headers of its answer that the client gets when it allows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers_to_downstream_on_allow: Vec<String>,
}

/// An authorizer that is asked by gRPC.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ExtAuthzGrpcProvider {
    /// Host of its service, `[NAMESPACE/]HOST`.
    pub service: String,
    /// Port of its service.
    pub port: u32,
    /// Limit of an answer; 600 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<DurationText>,
    /// Whether requests pass when it cannot be asked; no.
    pub fail_open: bool,
    /// Whether requests are routed again by what it has made of them; no.
    pub clear_route_cache: bool,
    /// Status of the answer when it cannot be asked; 403.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status_on_error: String,
    /// How much of the body it gets; nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_request_body_in_check: Option<ExtAuthzRequestBody>,
}

/// How much of a request's body an authorizer gets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ExtAuthzRequestBody {
    /// Most bytes.
    pub max_request_bytes: u32,
    /// Whether the beginning of a longer body will do; else the request is answered with 413.
    pub allow_partial_message: bool,
    /// Whether it is told as bytes and not as text, by gRPC.
    pub pack_as_bytes: bool,
}
