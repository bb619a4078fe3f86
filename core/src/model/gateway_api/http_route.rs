//! `HTTPRoute`: how HTTP requests to hosts are routed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::backend::{FilteredBackendRef, RouteFilter};
use super::filter::{block_of_type, not_repeated};
use super::shared::{DURATION, HEADER_VALUE, distinct_parents, distinct_rule_names};
use super::{
    DefaultScope, HeaderName, Hostname, HttpCorsFilter, HttpExternalAuthFilter, HttpHeaderFilter,
    HttpRequestMirrorFilter, HttpRequestRedirectFilter, HttpUrlRewriteFilter, LocalObjectReference,
    ParentReference, SectionName, SessionPersistence, TextMatchType,
};
use crate::model::DurationText;
use crate::model::cel::rule;

/// How HTTP requests to hosts are routed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRouteSpec {
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
    /// Rules; by default one that matches everything and has no backend.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-validations" = [
        distinct_rule_names(),
        rule(
            "self.map(r, has(r.matches) ? r.matches.size() : 1).sum() <= 128",
            "the rules of a route have at most 128 matches together"
        )
    ]))]
    pub rules: Vec<HttpRouteRule>,
}

/// A rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = rule_rules()))]
pub struct HttpRouteRule {
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<SectionName>,
    /// Conditions, of which one must hold; by default everything matches.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub matches: Vec<HttpRouteMatch>,
    /// What happens to requests and responses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-validations" = HttpRouteFilter::rules()))]
    pub filters: Vec<HttpRouteFilter>,
    /// Backends with their shares.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub backend_refs: Vec<HttpBackendRef>,
    /// Limits of requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<HttpRouteTimeouts>,
    /// When to try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<HttpRouteRetry>,
    /// How long requests of one client stay with one backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_persistence: Option<SessionPersistence>,
}

/// A condition; all of its fields must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRouteMatch {
    /// Path; the prefix `/` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<HttpPathMatch>,
    /// Headers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["name"]
    ))]
    pub headers: Vec<HttpHeaderMatch>,
    /// Query parameters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["name"]
    ))]
    pub query_params: Vec<HttpQueryParamMatch>,
    /// Method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<HttpMethod>,
}

/// A condition on the path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = path_rules()))]
pub struct HttpPathMatch {
    /// `PathPrefix` by default, which compares whole segments.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<PathMatchType>,
    /// `/` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub value: Option<String>,
}

/// How a path is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the variants are the Gateway API's own names")]
pub enum PathMatchType {
    Exact,
    PathPrefix,
    RegularExpression,
}

/// A condition on a header.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name", "value"]))]
pub struct HttpHeaderMatch {
    /// `Exact` by default.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<TextMatchType>,
    /// Name.
    pub name: HeaderName,
    /// Value.
    #[schemars(length(min = 1, max = 4096), regex(pattern = HEADER_VALUE))]
    pub value: String,
}

/// A condition on a query parameter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name", "value"]))]
pub struct HttpQueryParamMatch {
    /// `Exact` by default.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<TextMatchType>,
    /// Name.
    pub name: HeaderName,
    /// Value.
    #[schemars(length(min = 1, max = 1024))]
    pub value: String,
}

/// A method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the variants are the methods' own names")]
pub enum HttpMethod {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
}

/// Blocks of filters by their types.
const FILTERS: [(&str, &str); 8] = [
    ("RequestHeaderModifier", "requestHeaderModifier"),
    ("ResponseHeaderModifier", "responseHeaderModifier"),
    ("RequestMirror", "requestMirror"),
    ("RequestRedirect", "requestRedirect"),
    ("URLRewrite", "urlRewrite"),
    ("CORS", "cors"),
    ("ExternalAuth", "externalAuth"),
    ("ExtensionRef", "extensionRef"),
];

/// What happens to requests and responses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["type"], "x-kubernetes-validations" = block_of_type(&FILTERS)))]
pub struct HttpRouteFilter {
    /// Which of the blocks is set.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<HttpRouteFilterType>,
    /// Changes to headers of requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_header_modifier: Option<HttpHeaderFilter>,
    /// Changes to headers of responses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_header_modifier: Option<HttpHeaderFilter>,
    /// Sends copies of requests to a further backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_mirror: Option<HttpRequestMirrorFilter>,
    /// Sends the client elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_redirect: Option<HttpRequestRedirectFilter>,
    /// Changes host and path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_rewrite: Option<HttpUrlRewriteFilter>,
    /// Rules for requests from pages of other origins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cors: Option<HttpCorsFilter>,
    /// Asks an external service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_auth: Option<HttpExternalAuthFilter>,
    /// A filter that another object describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extension_ref: Option<LocalObjectReference>,
}

/// Types of filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the variants are the Gateway API's own names")]
pub enum HttpRouteFilterType {
    RequestHeaderModifier,
    ResponseHeaderModifier,
    RequestMirror,
    RequestRedirect,
    #[serde(rename = "URLRewrite")]
    UrlRewrite,
    #[serde(rename = "CORS")]
    Cors,
    ExternalAuth,
    ExtensionRef,
}

/// A backend with its share and filters.
pub type HttpBackendRef = FilteredBackendRef<HttpRouteFilter>;

/// Limits of requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [rule(
    "!(has(self.request) && has(self.backendRequest) && duration(self.request) != duration('0s') && duration(self.backendRequest) > duration(self.request))",
    "backendRequest cannot be longer than request"
)]))]
pub struct HttpRouteTimeouts {
    /// Limit of the whole request; `0s` is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION))]
    pub request: Option<DurationText>,
    /// Limit of each try; `0s` is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION))]
    pub backend_request: Option<DurationText>,
}

/// When to try again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRouteRetry {
    /// Status codes that are worth another try.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(range(min = 400, max = 599)), extend("x-kubernetes-list-type" = "set"))]
    pub codes: Vec<i32>,
    /// Tries after the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub attempts: Option<i32>,
    /// Shortest pause before a try.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION))]
    pub backoff: Option<DurationText>,
}

impl RouteFilter for HttpRouteFilter {
    fn rules() -> Vec<Value> {
        let mut rules = not_repeated(&[
            "CORS",
            "RequestHeaderModifier",
            "ResponseHeaderModifier",
            "RequestRedirect",
            "URLRewrite",
        ]);
        rules.push(rule(
            "!(self.exists(f, has(f.requestRedirect)) && self.exists(f, has(f.urlRewrite)))",
            "the filters RequestRedirect and URLRewrite cannot stand beside each other",
        ));
        rules
    }
}

/// The rules for one rule.
fn rule_rules() -> [Value; 2] {
    let replaces = |filters: &str| {
        let modifier = |block: &str| {
            format!(
                "(has(f.{block}) && has(f.{block}.path) && has(f.{block}.path.replacePrefixMatch))"
            )
        };
        let (redirect, rewrite) = (modifier("requestRedirect"), modifier("urlRewrite"));
        format!("(has({filters}) && {filters}.exists(f, {redirect} || {rewrite}))")
    };
    let rule_replaces = replaces("self.filters");
    let backend_replaces = replaces("b.filters");
    let one_prefix = "!has(self.matches) || (self.matches.size() == 1 && (!has(self.matches[0].path) || !has(self.matches[0].path.type) || self.matches[0].path.type == 'PathPrefix'))";
    [
        rule(
            "!(has(self.backendRefs) && self.backendRefs.size() > 0 && has(self.filters) && self.filters.exists(f, has(f.requestRedirect)))",
            "the filter RequestRedirect cannot stand beside backendRefs",
        ),
        rule(
            &format!(
                "!({rule_replaces} || (has(self.backendRefs) && self.backendRefs.exists(b, {backend_replaces}))) || ({one_prefix})"
            ),
            "replacePrefixMatch needs exactly one match, with a PathPrefix",
        ),
    ]
}

/// The rules for a path that is no regular expression.
fn path_rules() -> Vec<Value> {
    let check = |test: &str, message: &str| {
        rule(
            &format!(
                "(has(self.type) && self.type == 'RegularExpression') || !has(self.value) || {test}"
            ),
            message,
        )
    };
    vec![
        check("self.value.startsWith('/')", "a path begins with /"),
        check(
            "!(self.value.contains('//') || self.value.contains('/./') || self.value.contains('/../') || self.value.endsWith('/..') || self.value.endsWith('/.'))",
            "a path has no empty, . or .. segments",
        ),
        check(
            "!(self.value.contains('%2f') || self.value.contains('%2F') || self.value.contains('#'))",
            "a path has no %2f and no #",
        ),
        check(
            "self.value.matches('^(?:[-A-Za-z0-9/._~!$&\\'()*+,;=:@]|[%][0-9a-fA-F]{2})+$')",
            "a path has characters of URLs only; others are written as % and two hexadecimal digits",
        ),
    ]
}
