//! The policies of a connection on which no HTTP is spoken.

use super::authorization::{CompiledAuthorization, CompiledCustom, Subject};
use super::{Ask, Authorized, ConnectionFacts, RemoteAddress, Tokens, Trace, Verdict};
use crate::NetworkFilter;
use crate::matching::PlainRequest;
use crate::policy::{
    Authorization, AuthorizationAction, ExternalAuthorization, ExternalAuthorizer,
    ExternalAuthorizerProtocol,
};

/// What acts on connections before their bytes are passed on.
#[derive(Clone, Debug, Default)]
pub struct NetworkPolicy {
    stages: Box<[NetworkStage]>,
}

#[derive(Clone, Debug)]
enum NetworkStage {
    /// What matches is asked about; it is refused where there is nobody to ask.
    Ask {
        provider: Option<Box<ExternalAuthorizer>>,
        custom: CompiledCustom,
    },
    Authorize(Box<CompiledAuthorization>),
}

/// What becomes of a connection, as far as it is decided.
#[derive(Clone, Copy, Debug, Default)]
pub struct NetworkDecision<'a> {
    /// What policies say; none where there are none. The connection is closed if they deny it.
    pub authorized: Option<Authorized<'a>>,
    /// The authorizer that has to be asked before it is served, and behind whose stage the next decision begins.
    pub ask: Option<Ask<'a>>,
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

    /// The policies of a chain's filters. Limits are no matter of policies.
    pub fn of_filters(filters: &[NetworkFilter]) -> Self {
        let stages = filters.iter().filter_map(|filter| match filter {
            NetworkFilter::Authorize(authorization) => Some(NetworkStage::authorize(authorization)),
            NetworkFilter::ExternalAuthorize(external) => Some(NetworkStage::ask(external)),
            NetworkFilter::RateLimit(_)
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

    /// Decides whether a connection may be served, from a stage on; the first that denies it decides.
    pub fn decide<T: Trace>(
        &self,
        connection: &ConnectionFacts<'_>,
        first: usize,
        trace: &mut T,
    ) -> NetworkDecision<'_> {
        let subject = Subject::<PlainRequest> {
            connection,
            request: None,
            tokens: Tokens::None,
            remote_address: RemoteAddress::default(),
        };
        let mut decision = NetworkDecision::default();
        for (position, stage) in self.stages.iter().enumerate().skip(first) {
            let decided = match stage {
                NetworkStage::Authorize(policies) => policies.decide(&subject, trace),
                NetworkStage::Ask { provider, custom } => {
                    match (custom.find(&subject, trace), provider) {
                        (None, _) => continue,
                        (Some(rule), Some(provider)) => {
                            decision.ask = Some(Ask {
                                provider,
                                rule,
                                stage: position,
                            });
                            break;
                        }
                        (rule, None) => Authorized {
                            verdict: Verdict::Denied(rule),
                            shadow: None,
                            audit: None,
                        },
                    }
                }
            };
            decision.authorized = Some(decided.after(decision.authorized));
            if matches!(decided.verdict, Verdict::Denied(_)) {
                break;
            }
        }
        decision
    }
}

// === impl NetworkStage ===

impl NetworkStage {
    fn authorize(authorization: &Authorization) -> Self {
        let compiled = CompiledAuthorization::new(&authorization.for_tcp());
        Self::Authorize(Box::new(compiled))
    }

    /// An authorizer over HTTP cannot be asked about connections.
    fn ask(external: &ExternalAuthorization) -> Self {
        let ExternalAuthorization { provider, policies } = external;
        let by_grpc = |provider: &&ExternalAuthorizer| {
            matches!(provider.protocol, ExternalAuthorizerProtocol::Grpc { .. })
        };
        let provider = provider.as_ref().filter(by_grpc);
        let policies = AuthorizationAction::Custom.for_tcp(policies);
        Self::Ask {
            provider: provider.cloned().map(Box::new),
            custom: CompiledCustom::new(&policies),
        }
    }
}
