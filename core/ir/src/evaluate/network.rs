//! The policies of a connection on which no HTTP is spoken.

use super::authorization::{CompiledAuthorization, Subject};
use super::{Authorized, ConnectionFacts, RemoteAddress, Tokens, Trace, Verdict};
use crate::NetworkFilter;
use crate::matching::PlainRequest;
use crate::policy::{Authorization, AuthorizationAction, AuthorizationPolicy};

/// What acts on connections before their bytes are passed on.
#[derive(Clone, Debug, Default)]
pub struct NetworkPolicy {
    authorizations: Box<[CompiledAuthorization]>,
}

// === impl NetworkPolicy ===

impl NetworkPolicy {
    /// Compiles policies for connections: HTTP fields make a rule that allows unusable, and are ignored elsewhere.
    pub fn new<'a>(authorizations: impl IntoIterator<Item = &'a Authorization>) -> Self {
        let compile = |authorization: &Authorization| {
            let Authorization { deny, allow, audit } = authorization;
            CompiledAuthorization::new(&Authorization {
                deny: for_tcp(deny, AuthorizationAction::Deny),
                allow: for_tcp(allow, AuthorizationAction::Allow),
                audit: for_tcp(audit, AuthorizationAction::Audit),
            })
        };
        Self {
            authorizations: authorizations.into_iter().map(compile).collect(),
        }
    }

    /// The policies of a chain's filters. Authorizers and limits are no matter of policies that the proxy can decide by itself.
    pub fn of_filters(filters: &[NetworkFilter]) -> Self {
        Self::new(filters.iter().filter_map(|filter| match filter {
            NetworkFilter::Authorize(authorization) => Some(&**authorization),
            NetworkFilter::ExternalAuthorize(_)
            | NetworkFilter::RateLimit(_)
            | NetworkFilter::ConnectionLimit(_)
            | NetworkFilter::SniCluster => None,
        }))
    }

    /// Whether there is nothing to decide.
    pub fn is_empty(&self) -> bool {
        self.authorizations.is_empty()
    }

    /// Decides whether a connection may be served; the first that denies it decides. Denied connections are closed.
    pub fn decide<T: Trace>(
        &self,
        connection: &ConnectionFacts<'_>,
        trace: &mut T,
    ) -> Option<Authorized<'_>> {
        let subject = Subject::<PlainRequest> {
            connection,
            request: None,
            tokens: Tokens::None,
            remote_address: RemoteAddress::default(),
        };
        let mut last: Option<Authorized<'_>> = None;
        for authorization in &self.authorizations {
            let authorized = authorization.decide(&subject, trace);
            last = Some(authorized.after(last));
            if matches!(authorized.verdict, Verdict::Denied(_)) {
                break;
            }
        }
        last
    }
}

fn for_tcp(
    policies: &[AuthorizationPolicy],
    action: AuthorizationAction,
) -> Vec<AuthorizationPolicy> {
    policies
        .iter()
        .map(|policy| policy.for_tcp(action))
        .collect()
}
