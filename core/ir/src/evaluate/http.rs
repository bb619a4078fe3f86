//! The policies of an HTTP server, compiled, in the order in which they act.

use super::authorization::{CompiledAuthorization, CompiledCustom, Subject, Verdict};
use super::{
    Ask, Authorized, ConnectionFacts, Rejection, RemoteAddress, Stage, Step, StepOutcome, Tokens,
    Trace,
};
use crate::matching::RequestView;
use crate::policy::{
    Authorization, ExternalAuthorization, ExternalAuthorizer, RequestAuthentication,
};
use crate::{HttpConnectionManager, HttpFilter};

/// What acts on requests before they are routed.
#[derive(Clone, Debug, Default)]
pub struct HttpPolicy {
    stages: Box<[HttpStage]>,
    /// How the client's address is told.
    remote_address: RemoteAddress,
    /// Whether failures of routes are injected.
    faults: bool,
    /// Whether pages of other origins are let in.
    cors: bool,
}

#[derive(Clone, Debug)]
enum HttpStage {
    Authenticate,
    Ask {
        provider: Option<ExternalAuthorizer>,
        custom: CompiledCustom,
    },
    Authorize(CompiledAuthorization),
}

/// Collects the policies of a server in their order.
#[derive(Clone, Debug, Default)]
pub struct HttpPolicyBuilder {
    stages: Vec<HttpStage>,
    remote_address: RemoteAddress,
    faults: bool,
    cors: bool,
}

/// What the policies say about a request.
#[derive(Debug, Default)]
pub(super) struct Admission<'a> {
    pub(super) authorized: Option<Authorized<'a>>,
    pub(super) ask: Option<Ask<'a>>,
    pub(super) rejection: Option<Rejection<'a>>,
}

// === impl HttpPolicyBuilder ===

impl HttpPolicyBuilder {
    /// How the client's address is told.
    pub fn remote_address(mut self, remote_address: RemoteAddress) -> Self {
        self.remote_address = remote_address;
        self
    }

    /// Requests with a wrong token are refused. What makes a token right is checked by the caller, who hands in [`Tokens`].
    pub fn authenticate(mut self, authentication: &RequestAuthentication) -> Self {
        if !authentication.rules.is_empty() {
            self.stages.push(HttpStage::Authenticate);
        }
        self
    }

    /// An authorizer is asked.
    pub fn external(mut self, external: &ExternalAuthorization) -> Self {
        let ExternalAuthorization { provider, policies } = external;
        self.stages.push(HttpStage::Ask {
            provider: provider.clone(),
            custom: CompiledCustom::new(policies),
        });
        self
    }

    /// Policies are enforced.
    pub fn authorize(mut self, authorization: &Authorization) -> Self {
        let compiled = CompiledAuthorization::new(authorization);
        self.stages.push(HttpStage::Authorize(compiled));
        self
    }

    /// Pages of other origins are let in, as routes say.
    pub fn share_with_origins(mut self) -> Self {
        self.cors = true;
        self
    }

    /// Failures of routes are injected.
    pub fn inject_faults(mut self) -> Self {
        self.faults = true;
        self
    }

    /// The policies.
    pub fn build(self) -> HttpPolicy {
        let Self {
            stages,
            remote_address,
            faults,
            cors,
        } = self;
        HttpPolicy {
            stages: stages.into(),
            remote_address,
            faults,
            cors,
        }
    }
}

// === impl HttpPolicy ===

impl HttpPolicy {
    /// Policies of a server.
    pub fn builder() -> HttpPolicyBuilder {
        HttpPolicyBuilder::default()
    }

    /// The policies of a server's filters.
    pub fn new(server: &HttpConnectionManager) -> Self {
        let start = Self::builder().remote_address(RemoteAddress {
            use_peer: server.trust.use_remote_address,
            trusted_hops: server.trust.trusted_hops,
        });
        let add = |policy: HttpPolicyBuilder, filter: &HttpFilter| match filter {
            HttpFilter::Authenticate(authentication) => policy.authenticate(authentication),
            HttpFilter::ExternalAuthorize(external) => policy.external(external),
            HttpFilter::Authorize(authorization) => policy.authorize(authorization),
            HttpFilter::Fault => policy.inject_faults(),
            HttpFilter::Cors => policy.share_with_origins(),
            // How many requests there were is known to the proxy alone, and what an extension does only to its runtime.
            HttpFilter::LocalRateLimit(_) | HttpFilter::RateLimit(_) | HttpFilter::Extension(_) => {
                policy
            }
        };
        server.filters.iter().fold(start, add).build()
    }

    /// How the client's address is told.
    pub fn remote_address(&self) -> RemoteAddress {
        self.remote_address
    }

    pub(super) fn injects_faults(&self) -> bool {
        self.faults
    }

    pub(super) fn shares_with_origins(&self) -> bool {
        self.cors
    }

    /// Decides all policies from a stage on, until one refuses or an authorizer has to be asked.
    #[inline]
    pub(super) fn admit<'a, B: RequestView, R: RequestView, T: Trace>(
        &'a self,
        connection: &ConnectionFacts<'_>,
        (before, head): (&B, &R),
        tokens: Tokens<'_>,
        first: usize,
        trace: &mut T,
    ) -> Admission<'a> {
        if self.stages.len() <= first {
            return Admission::default();
        }
        let remote_address = self.remote_address;
        let unchecked = Subject {
            connection,
            request: Some(before),
            tokens: Tokens::None,
            remote_address,
        };
        let checked = Subject {
            connection,
            request: Some(head),
            tokens,
            remote_address,
        };
        self.run(&unchecked, &checked, first, trace)
    }

    fn run<'a, B: RequestView, R: RequestView, T: Trace>(
        &'a self,
        unchecked: &Subject<'_, B>,
        subject: &Subject<'_, R>,
        first: usize,
        trace: &mut T,
    ) -> Admission<'a> {
        let mut admission = Admission::default();
        let mut is_checked = false;
        for (position, stage) in self.stages.iter().enumerate() {
            if position < first {
                is_checked |= matches!(stage, HttpStage::Authenticate);
                continue;
            }
            admission.rejection = match stage {
                HttpStage::Authenticate => {
                    is_checked = true;
                    authenticate(subject, trace)
                }
                HttpStage::Ask { provider, custom } => {
                    let rule = if is_checked {
                        custom.find(subject, trace)
                    } else {
                        custom.find(unchecked, trace)
                    };
                    match (rule, provider) {
                        (None, _) => None,
                        (Some(rule), None) => Some(Rejection::UnknownProvider(rule)),
                        (Some(rule), Some(provider)) => {
                            admission.ask = Some(Ask {
                                provider,
                                rule,
                                stage: position,
                            });
                            break;
                        }
                    }
                }
                HttpStage::Authorize(policies) => {
                    let authorized = if is_checked {
                        policies.decide(subject, trace)
                    } else {
                        policies.decide(unchecked, trace)
                    };
                    let before = admission.authorized;
                    admission.authorized = Some(authorized.after(before));
                    match authorized.verdict {
                        Verdict::Allowed(_) => None,
                        denied @ Verdict::Denied(_) => Some(Rejection::Denied(denied)),
                    }
                }
            };
            if admission.rejection.is_some() {
                break;
            }
        }
        admission
    }
}

/// Refuses a wrong token. A CORS preflight passes: browsers send it without credentials, and it does nothing.
fn authenticate<'a, R: RequestView, T: Trace>(
    subject: &Subject<'_, R>,
    trace: &mut T,
) -> Option<Rejection<'a>> {
    let preflight = subject.request.is_some_and(is_preflight);
    trace.record(|| Step {
        stage: Stage::Authentication,
        subject: "token".into(),
        origin: None,
        outcome: StepOutcome::Note(match subject.tokens {
            Tokens::Invalid(_) if preflight => "not looked at in a CORS preflight".into(),
            Tokens::Invalid(error) => format!("refused with 401: {}", error.message()),
            Tokens::None => "none; passes".into(),
            Tokens::Verified(tokens) => {
                let names = tokens.iter().filter_map(|token| token.principal());
                format!("valid: {}", names.collect::<Vec<_>>().join(", "))
            }
        }),
    });
    match subject.tokens {
        Tokens::Invalid(error) if !preflight => Some(Rejection::Token(error)),
        _ => None,
    }
}

pub(super) fn is_preflight(request: &impl RequestView) -> bool {
    request.method() == b"OPTIONS"
        && ["origin", "access-control-request-method"]
            .iter()
            .all(|name| request.header(name).is_some_and(|value| !value.is_empty()))
}
