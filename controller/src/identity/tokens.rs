//! Checks the service account tokens that proxies present. The API server decides; its answers are remembered for a while,
//! so that a thousand reconnecting proxies do not become a thousand reviews of the same tokens.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use mesh_xds::NodeInfo;
use mesh_xds::node::keys;

use super::remembered::Remembered;

/// Audience that proxies ask their tokens for.
const AUDIENCE: &str = "istio-ca";
/// Limit for a review.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Who a client is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// Namespace of the service account.
    pub namespace: String,
    /// Name of the service account.
    pub service_account: String,
}

/// Who presents a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenOwner {
    /// Who it is.
    pub identity: Identity,
    /// The pod that the token was made for, as the API server says; none for tokens that are bound to no pod.
    pub pod: Option<String>,
}

/// By this the API server says which pod a token is bound to.
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";

// === impl TokenOwner ===

impl TokenOwner {
    /// Checks that a node claims to be no one else.
    ///
    /// # Errors
    /// When it does; the text says what does not match.
    pub fn may_be(&self, node: &NodeInfo) -> Result<(), String> {
        let Self {
            identity:
                Identity {
                    namespace,
                    service_account,
                },
            pod,
        } = self;
        if let Some(pod) = pod
            && node.pod != *pod
        {
            return Err(format!(
                "the token belongs to the pod {pod:?}, the proxy says it is {:?}",
                node.pod
            ));
        }
        if node.namespace != *namespace {
            return Err(format!(
                "the token belongs to the namespace {namespace:?}, the proxy says it is in {:?}",
                node.namespace
            ));
        }
        match node.text(keys::SERVICE_ACCOUNT) {
            Some(claimed) if !claimed.is_empty() && claimed != service_account => Err(format!(
                "the token belongs to the service account {service_account:?}, the proxy says it has {claimed:?}"
            )),
            _ => Ok(()),
        }
    }
}

/// Why a client is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is no token.
    #[error(
        "no bearer token; a proxy presents its service account token with the audience {AUDIENCE}"
    )]
    Missing,
    /// The API server refused it.
    #[error("the token was refused: {0}")]
    Refused(String),
    /// It is not a service account's.
    #[error("the token belongs to {0:?}, which is not a service account")]
    NotAServiceAccount(String),
    /// The API server cannot be asked.
    #[error("failed to have the token reviewed: {0}")]
    Unavailable(String),
}

/// Reviews tokens.
pub struct Tokens {
    client: Client,
    hasher: RandomState,
    accepted: Remembered<u64, TokenOwner>,
}

// === impl Tokens ===

impl Tokens {
    /// Reviews tokens by this cluster's API server.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            hasher: RandomState::new(),
            accepted: Remembered::default(),
        }
    }

    /// Says who presents the value of an `authorization` header.
    ///
    /// # Errors
    /// When there is no token, or it is not a valid one of a service account for this audience.
    pub async fn check(&self, authorization: Option<&str>) -> Result<TokenOwner, TokenError> {
        let token = authorization
            .and_then(|value| value.strip_prefix("Bearer "))
            .filter(|token| !token.is_empty())
            .ok_or(TokenError::Missing)?;
        let fingerprint = self.hasher.hash_one(token);
        if let Some(owner) = self.accepted.get(&fingerprint) {
            return Ok(owner);
        }
        let owner = self.review(token).await?;
        self.accepted.insert(fingerprint, owner.clone());
        Ok(owner)
    }

    async fn review(&self, token: &str) -> Result<TokenOwner, TokenError> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: Some(token.to_owned()),
                audiences: Some(vec![AUDIENCE.to_owned()]),
            },
            ..TokenReview::default()
        };
        let api: Api<TokenReview> = Api::all(self.client.clone());
        let params = PostParams::default();
        let answer = tokio::time::timeout(TIMEOUT, api.create(&params, &review))
            .await
            .map_err(|_| {
                TokenError::Unavailable(format!("no answer within {} s", TIMEOUT.as_secs()))
            })?
            .map_err(|error| TokenError::Unavailable(error.to_string()))?;
        let status = answer.status.unwrap_or_default();
        if status.authenticated != Some(true) {
            return Err(TokenError::Refused(
                status
                    .error
                    .unwrap_or_else(|| "not authenticated".to_owned()),
            ));
        }
        // An API server that does not know of audiences answers without them; its word would hold for tokens of any purpose.
        if !status
            .audiences
            .unwrap_or_default()
            .iter()
            .any(|audience| audience == AUDIENCE)
        {
            return Err(TokenError::Refused(format!(
                "it is not meant for the audience {AUDIENCE}"
            )));
        }
        let user = status.user.unwrap_or_default();
        let name = user.username.unwrap_or_default();
        let pods = user.extra.and_then(|mut extra| extra.remove(POD_NAME));
        let identity = identity_of(&name).ok_or(TokenError::NotAServiceAccount(name))?;
        Ok(TokenOwner {
            identity,
            pod: pods.and_then(|pods| pods.into_iter().next()),
        })
    }
}

/// `system:serviceaccount:NAMESPACE:NAME`.
fn identity_of(user: &str) -> Option<Identity> {
    let (namespace, name) = user
        .strip_prefix("system:serviceaccount:")?
        .split_once(':')?;
    Some(Identity {
        namespace: namespace.to_owned(),
        service_account: name.to_owned(),
    })
}

#[cfg(test)]
pub(super) mod tests;
