//! The policies of a connection on which no HTTP is spoken.

use super::authorization::{CompiledAuthorization, CompiledCustom, Subject};
use super::{Authorized, ConnectionFacts, RemoteAddress, Tokens, Trace, Verdict};
use crate::NetworkFilter;
use crate::matching::PlainRequest;
use crate::policy::{Authorization, AuthorizationAction};

/// What acts on connections before their bytes are passed on.
#[derive(Clone, Debug, Default)]
pub struct NetworkPolicy {
    stages: Box<[NetworkStage]>,
}

#[derive(Clone, Debug)]
enum NetworkStage {
    /// What matches would be asked about, and there is nobody to ask.
    Refuse(CompiledCustom),
    Authorize(Box<CompiledAuthorization>),
}

// === impl NetworkPolicy ===

impl NetworkPolicy {
    /// Compiles policies for connections: HTTP fields make a rule that allows unusable, and are ignored elsewhere.
    pub fn new<'a>(authorizations: impl IntoIterator<Item = &'a Authorization>) -> Self {
        let stages = authorizations.into_iter().map(NetworkStage::authorize);
        Self {
            stages: stages.collect(),
        }
    }

    /// The policies of a chain's filters. Limits are no matter of policies that the proxy can decide by itself, and neither are
    /// authorizers that can be asked.
    pub fn of_filters(filters: &[NetworkFilter]) -> Self {
        let stages = filters.iter().filter_map(|filter| match filter {
            NetworkFilter::Authorize(authorization) => Some(NetworkStage::authorize(authorization)),
            NetworkFilter::ExternalAuthorize(external) if external.provider.is_none() => {
                let policies = AuthorizationAction::Custom.for_tcp(&external.policies);
                Some(NetworkStage::Refuse(CompiledCustom::new(&policies)))
            }
            NetworkFilter::ExternalAuthorize(_)
            | NetworkFilter::RateLimit(_)
            | NetworkFilter::ConnectionLimit(_)
            | NetworkFilter::SniCluster => None,
        });
        Self {
            stages: stages.collect(),
        }
    }

    /// Whether there is nothing to decide.
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
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
        for stage in &self.stages {
            let decided = match stage {
                NetworkStage::Authorize(policies) => policies.decide(&subject, trace),
                NetworkStage::Refuse(custom) => match custom.find(&subject, trace) {
                    None => continue,
                    rule => Authorized {
                        verdict: Verdict::Denied(rule),
                        shadow: None,
                        audit: None,
                    },
                },
            };
            last = Some(decided.after(last));
            if matches!(decided.verdict, Verdict::Denied(_)) {
                break;
            }
        }
        last
    }
}

// === impl NetworkStage ===

impl NetworkStage {
    fn authorize(authorization: &Authorization) -> Self {
        let compiled = CompiledAuthorization::new(&authorization.for_tcp());
        Self::Authorize(Box::new(compiled))
    }
}
