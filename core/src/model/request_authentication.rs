//! `RequestAuthentication`: whose tokens requests may carry.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cel::{at_most_one, rule};
use super::{DurationText, PolicyTargetReference, WorkloadSelector};

/// Whose tokens (JWT) requests may carry. A request without a token passes; one with a wrong token does not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [at_most_one(&["selector", "targetRef", "targetRefs"])]))]
pub struct RequestAuthenticationSpec {
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
    /// Issuers, their keys, and where tokens are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4096))]
    pub jwt_rules: Vec<JwtRule>,
}

/// One issuer of tokens.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [at_most_one(&["jwksUri", "jwks_uri", "jwks"])]))]
pub struct JwtRule {
    /// The claim `iss` of its tokens; any when empty, which needs `jwksUri`.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(min = 1))]
    pub issuer: String,
    /// Audiences of which a token must have one; any by default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(length(min = 1)))]
    pub audiences: Vec<String>,
    /// Where the public keys are fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048), extend("x-kubernetes-validations" = [web_address()]))]
    pub jwks_uri: Option<String>,
    /// Old spelling of `jwksUri`.
    #[serde(rename = "jwks_uri", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048), extend("x-kubernetes-validations" = [web_address()]))]
    pub jwks_uri_snake: Option<String>,
    /// The public keys themselves, as a JSON Web Key Set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks: Option<String>,
    /// Headers that have the token.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub from_headers: Vec<JwtHeader>,
    /// Query parameters that have the token.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(length(min = 1)))]
    pub from_params: Vec<String>,
    /// Cookies that have the token.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(length(min = 1)))]
    pub from_cookies: Vec<String>,
    /// Header that gives the upstream the token's payload, in base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_payload_to_header: Option<String>,
    /// Whether the upstream gets the token.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub forward_original_token: bool,
    /// Claims that the upstream gets as headers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub output_claim_to_headers: Vec<ClaimToHeader>,
    /// Limit for fetching the keys; 5 seconds by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [rule(
        "duration(self) >= duration('1ms')",
        "must be a duration of at least 1ms"
    )]))]
    pub timeout: Option<DurationText>,
    /// Claims with lists of words in one text, beside `scope` and `permission`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1)))]
    pub space_delimited_claims: Vec<String>,
}

impl JwtRule {
    /// Where the public keys are fetched, in either spelling.
    pub fn keys_address(&self) -> Option<&str> {
        self.jwks_uri.as_deref().or(self.jwks_uri_snake.as_deref())
    }
}

/// A header that has a token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct JwtHeader {
    /// Name.
    #[schemars(length(min = 1))]
    pub name: String,
    /// What comes before the token, such as `Bearer `.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

/// A claim that the upstream gets as a header.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["header", "claim"]))]
pub struct ClaimToHeader {
    /// Header.
    #[schemars(length(min = 1), regex(pattern = "^[-_A-Za-z0-9]+$"))]
    pub header: String,
    /// Claim; dots go into nested ones.
    #[schemars(length(min = 1))]
    pub claim: String,
}

fn web_address() -> serde_json::Value {
    rule(
        "isURL(self) && url(self).getScheme() in ['http', 'https']",
        "must be an address with http:// or https://",
    )
}
