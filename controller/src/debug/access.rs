//! Who may see debug pages.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use crate::identity::{Identity, TokenError, Tokens};

/// Decides who may see debug pages.
#[derive(Clone)]
pub struct Access {
    /// Whom to ask whose a token is; nobody without a cluster.
    tokens: Option<Arc<Tokens>>,
    /// Namespaces whose service accounts may see everything.
    namespaces: Arc<BTreeSet<String>>,
}

/// Why somebody may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is not known who asks.
    Unauthenticated(String),
    /// It is known, and not enough.
    Forbidden(String),
    /// Nobody can be asked who it is.
    Unavailable(String),
}

// === impl Access ===

impl Access {
    /// For service accounts of these namespaces, whose tokens are reviewed.
    pub fn new(tokens: Option<Arc<Tokens>>, namespaces: impl IntoIterator<Item = String>) -> Self {
        Self {
            tokens,
            namespaces: Arc::new(namespaces.into_iter().collect()),
        }
    }

    /// Checks a request from an address with the value of its `authorization` header. From loopback everybody may: who can
    /// connect there is in the pod already, or came through the API server's port-forwarding, which asks who it is.
    ///
    /// # Errors
    /// When it may not be answered.
    pub async fn check(&self, peer: IpAddr, authorization: Option<&str>) -> Result<(), Refused> {
        if peer.to_canonical().is_loopback() {
            return Ok(());
        }
        let Some(tokens) = &self.tokens else {
            return Err(Refused::Forbidden(
                "debug pages are for loopback only, without a cluster that could check tokens"
                    .to_owned(),
            ));
        };
        match tokens.check(authorization).await {
            Ok(owner) => self.allows(&owner.identity).map_err(Refused::Forbidden),
            Err(error @ TokenError::Unavailable(_)) => Err(Refused::Unavailable(error.to_string())),
            Err(error) => Err(Refused::Unauthenticated(format!(
                "debug pages need a token, or a connection from loopback such as by kubectl port-forward: {error}"
            ))),
        }
    }

    /// Whether a service account may see everything.
    ///
    /// # Errors
    /// Why not.
    pub fn allows(&self, identity: &Identity) -> Result<(), String> {
        if self.namespaces.contains(&identity.namespace) {
            return Ok(());
        }
        let allowed: Vec<&str> = self.namespaces.iter().map(String::as_str).collect();
        Err(format!(
            "debug pages are for service accounts of {}, and this one belongs to {}",
            allowed.join(", "),
            identity.namespace
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(namespace: &str) -> Identity {
        Identity {
            namespace: namespace.to_owned(),
            service_account: "default".to_owned(),
        }
    }

    #[tokio::test]
    async fn loopback_may_and_others_need_a_token() {
        let access = Access::new(None, ["istio-system".to_owned()]);
        for peer in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(access.check(peer.parse().unwrap(), None).await, Ok(()));
        }
        let refused = access.check("10.0.0.1".parse().unwrap(), None).await;
        assert!(matches!(refused, Err(Refused::Forbidden(_))), "{refused:?}");
        assert_eq!(access.allows(&of("istio-system")), Ok(()));
        assert!(
            access
                .allows(&of("default"))
                .unwrap_err()
                .contains("istio-system")
        );
    }
}
