//! Authorizers outside of the proxy (`action: CUSTOM`, and Envoy's filter `ext_authz`).

use std::sync::Arc;
use std::time::Duration;

use super::{AuthorizationPolicy, StringPattern};

/// The CUSTOM policies of one provider.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExternalAuthorization {
    /// Who is asked about the requests that a policy matches; none if the mesh knows no provider of that name, which denies them.
    pub provider: Option<ExternalAuthorizer>,
    /// The policies. Requests that none of them matches are not asked about.
    pub policies: Vec<AuthorizationPolicy>,
}

/// An authorizer of `extensionProviders`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExternalAuthorizer {
    /// Name of the provider.
    pub name: Arc<str>,
    /// Cluster where it is found.
    pub cluster: Arc<str>,
    /// How it is asked.
    pub protocol: ExternalAuthorizerProtocol,
    /// Limit of an answer; Istio's default is 600 s.
    pub timeout: Duration,
    /// Whether requests pass when it cannot be asked.
    pub fail_open: bool,
    /// Whether requests that pass like that say so to the upstream (`x-envoy-auth-failure-mode-allowed: true`).
    pub tells_failure: bool,
    /// Status code of the answer when it cannot be asked; Istio's default is 403.
    pub status_on_error: u16,
    /// How much of the request's body it is told; none is nothing.
    pub body: Option<CheckedBody>,
    /// Whether the request is routed by what the authorizer has made of it.
    pub clear_route_cache: bool,
    /// Lower-case names of request headers that it is told. None is all by gRPC, and none by HTTP, where method, path, host and
    /// `authorization` are always told.
    pub request_headers: Option<Vec<StringPattern>>,
    /// Lower-case names of request headers that it is never told.
    pub hidden_headers: Vec<StringPattern>,
}

/// How much of a request's body an authorizer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CheckedBody {
    /// Bytes.
    pub max_bytes: u32,
    /// Whether the beginning of a longer body will do. Else the request is answered with 413.
    pub allow_partial: bool,
    /// Whether it is told as bytes and not as text, by gRPC.
    pub as_bytes: bool,
}

/// How an authorizer is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ExternalAuthorizerProtocol {
    /// `envoyExtAuthzGrpc`: `envoy.service.auth.v3.Authorization/Check`.
    Grpc {
        /// `:authority` of the call; empty stands for the cluster's name.
        authority: Arc<str>,
    },
    /// `envoyExtAuthzHttp`: the request's head with a prefix before its path.
    Http(HttpAuthorizer),
}

/// How an authorizer is asked over HTTP, and what is taken over of its answers. Names of headers are in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct HttpAuthorizer {
    /// Stands before the request's path.
    pub path_prefix: Arc<str>,
    /// Headers that it is told beside the request's own, which they replace.
    pub added_headers: Vec<(Arc<str>, Arc<str>)>,
    /// Names of headers of its answer that are set on the request when it allows.
    pub upstream_headers: Vec<StringPattern>,
    /// Names of headers of its answer that are added to the request's when it allows.
    pub appended_headers: Vec<StringPattern>,
    /// Names of headers of its answer that the client gets when it denies; none is all.
    pub denial_headers: Vec<StringPattern>,
    /// Names of headers of its answer that the client gets when it allows.
    pub success_headers: Vec<StringPattern>,
}

/// Lower-case names of headers that an authorizer over HTTP is told anyway, beside the first line and the host.
const TOLD_ANYWAY: &str = "authorization";

// === impl ExternalAuthorizer ===

impl ExternalAuthorizer {
    /// One that is asked by gRPC and refuses what it cannot be asked about, with Envoy's and Istio's defaults.
    pub fn grpc(name: Arc<str>, cluster: Arc<str>, timeout: Duration) -> Self {
        Self {
            name,
            cluster,
            protocol: ExternalAuthorizerProtocol::Grpc {
                authority: "".into(),
            },
            timeout,
            fail_open: false,
            tells_failure: false,
            status_on_error: 403,
            body: None,
            clear_route_cache: false,
            request_headers: None,
            hidden_headers: Vec::new(),
        }
    }

    /// Whether it is told a request header of this lower-case name.
    pub fn is_told(&self, name: &str) -> bool {
        let among = |patterns: &[StringPattern]| {
            let mut patterns = patterns.iter();
            patterns.any(|pattern| pattern.is_match(name.as_bytes()))
        };
        let over_http = matches!(self.protocol, ExternalAuthorizerProtocol::Http(_));
        if among(&self.hidden_headers) {
            return false;
        }
        match &self.request_headers {
            Some(told) => among(told) || (over_http && name == TOLD_ANYWAY),
            None => !over_http || name == TOLD_ANYWAY,
        }
    }
}
