//! Authorizers outside of the proxy (`action: CUSTOM`).

use std::sync::Arc;
use std::time::Duration;

use super::AuthorizationPolicy;

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
    /// Status code of the answer when it cannot be asked; Istio's default is 403.
    pub status_on_error: u16,
}

/// How an authorizer is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ExternalAuthorizerProtocol {
    /// `envoyExtAuthzGrpc`: `envoy.service.auth.v3.Authorization/Check`.
    Grpc,
    /// `envoyExtAuthzHttp`: the request's head with a prefix before its path.
    Http {
        /// Prefix.
        path_prefix: Arc<str>,
        /// Names of request headers that are sent to it, besides `Host`, method and path.
        request_headers: Vec<Arc<str>>,
        /// Names of headers of its answer that are set on the request when it allows.
        upstream_headers: Vec<Arc<str>>,
        /// Names of headers of its answer that the client gets when it denies.
        downstream_headers: Vec<Arc<str>>,
    },
}
