//! Decisions: what becomes of a connection and of a request, with every reason when that is asked for. Proxy, controller and command line
//! call the same functions.
//!
//! ```text
//! connection --ChainSelector--> chain --NetworkPolicy--> closed, or served
//! request ----HttpPolicy: CUSTOM, tokens, DENY, ALLOW--> refused
//!                   |--> an authorizer is to be asked; then once more, from there on
//!                   `--> RouteTable --fault--> Decision: forward (cluster, path, host, headers, retries), redirect, direct answer
//! ```
//!
//! Nothing here reads bytes, checks a signature, knows the time or draws a number: facts and draws are handed in.

mod authorization;
mod chain;
pub mod cors;
mod decision;
mod draw;
mod external;
mod facts;
mod fault;
mod http;
mod network;
mod rate_limit;
mod remote;
pub mod retry;

pub use authorization::{Authorized, RuleId, Verdict};
pub use chain::{ChainSelector, LooksAt};
pub use decision::{Action, Decision, Forwarding, Rejection};
pub use draw::Draw;
pub use external::{Ask, Check, CheckAnswer, CheckPeer, CheckedRequest, Denial, Grant, Granted};
pub use facts::{ConnectionFacts, TokenError, Tokens, VerifiedToken};
pub use fault::{InjectedAbort, InjectedFault};
pub use http::{HttpPolicy, HttpPolicyBuilder};
pub use network::{NetworkDecision, NetworkPolicy};
pub use rate_limit::{Descriptor, LimitStatus, RateLimitAnswer, RateLimitFacts, RateLimitRules};
pub use remote::{RemoteAddress, remote_address};

pub use crate::trace::{Explanation, Mismatch, Origin, Stage, Step, StepOutcome, Trace};

use crate::matching::{EditedRequest, HeadEdits, RequestView, RouteTable};
use crate::{RouteAction, Target};
use cors::Sharing;
use fault::inject;

/// How an HTTP server decides.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// What acts on requests before they are routed.
    pub policy: &'a HttpPolicy,
    /// The routes; none if they are not known.
    pub routes: Option<&'a RouteTable>,
}

/// A request with all that is known of it.
#[derive(Debug)]
pub struct Request<'a, R> {
    /// Its connection.
    pub connection: &'a ConnectionFacts<'a>,
    /// Its head, after normalization.
    pub head: &'a R,
    /// Its tokens.
    pub tokens: Tokens<'a>,
    /// What becomes of its head once its tokens are checked; none where nothing does.
    pub edits: Option<&'a HeadEdits>,
    /// What authorizers have made of it that were asked already; none before.
    pub granted: Option<&'a Granted>,
}

/// Decides what becomes of a request.
///
/// Draws are made for weighted clusters and for faults only. Without a trace and without policies, nothing is allocated but where a redirect
/// needs a `Location`, and where a criterion needs several header values joined.
#[inline]
pub fn evaluate<'a, R: RequestView, T: Trace>(
    server: Server<'a>,
    request: &Request<'_, R>,
    draw: &mut impl Draw,
    trace: &mut T,
) -> Decision<'a> {
    let Request {
        connection,
        head,
        tokens,
        edits,
        granted,
    } = request;
    if let Some(granted) = granted {
        return evaluate_granted(server, request, granted, draw, trace);
    }
    let heads = (*head, *head);
    let Some(edits) = edits else {
        return decide(server, connection, (heads, *head), *tokens, 0, draw, trace);
    };
    let edited = EditedRequest {
        request: *head,
        edits,
        tokens: *tokens,
    };
    let heads = ((*head, &edited), &edited);
    decide(server, connection, heads, *tokens, 0, draw, trace)
}

/// Decides about a request that authorizers were asked about already. Where they do not say otherwise it is routed as it came.
#[cold]
fn evaluate_granted<'a, R: RequestView, T: Trace>(
    server: Server<'a>,
    request: &Request<'_, R>,
    granted: &Granted,
    draw: &mut impl Draw,
    trace: &mut T,
) -> Decision<'a> {
    let Request {
        connection,
        head,
        tokens,
        edits,
        granted: _,
    } = request;
    let none = HeadEdits::default();
    let edits = edits.unwrap_or(&none);
    let before = |edits| EditedRequest {
        request: *head,
        edits,
        tokens: Tokens::None,
    };
    let (seen, routed_by) = (before(&granted.edits), before(&granted.routed_by));
    let [checked, routed] = [&seen, &routed_by].map(|request| EditedRequest {
        request,
        edits,
        tokens: *tokens,
    });
    let heads = ((&seen, &checked), &routed);
    let first = granted.next_stage;
    decide(server, connection, heads, *tokens, first, draw, trace)
}

/// Decides about a request by its head as it came, as it goes on once its tokens are checked, and as it is routed.
#[inline]
fn decide<'a, B: RequestView, R: RequestView, T: Trace>(
    server: Server<'a>,
    connection: &ConnectionFacts<'_>,
    (heads, routed): ((&B, &R), &R),
    tokens: Tokens<'_>,
    first: usize,
    draw: &mut impl Draw,
    trace: &mut T,
) -> Decision<'a> {
    let policy = server.policy;
    let admission = policy.admit(connection, heads, tokens, first, trace);
    let refused = match (admission.rejection, admission.ask) {
        (Some(rejection), _) => Some(Action::Reject(rejection)),
        (None, ask) => ask.map(Action::Ask),
    };
    let decision = match refused {
        Some(action) => Decision::of(action),
        None => route(server, routed, draw, trace),
    };
    Decision {
        authorized: admission.authorized,
        ..decision
    }
}

fn route<'a, R: RequestView, T: Trace>(
    server: Server<'a>,
    request: &R,
    draw: &mut impl Draw,
    trace: &mut T,
) -> Decision<'a> {
    let Some(matched) = server
        .routes
        .and_then(|table| table.explain_route(request, trace))
    else {
        return Decision::of(Action::NoRoute);
    };
    let fault = match &matched.route.policy.fault {
        Some(fault) if server.policy.injects_faults() => inject(fault, request, draw),
        _ => InjectedFault::default(),
    };
    trace_fault(fault, trace);
    let sharing = if server.policy.shares_with_origins() {
        cors::share(&matched, request)
    } else {
        Sharing::Unshared
    };
    if let Sharing::Preflight(policy, is_allowed) = sharing {
        trace.record(|| preflight_step(is_allowed));
        return Decision {
            fault,
            ..Decision::of(Action::Preflight {
                matched,
                policy,
                is_allowed,
            })
        };
    }
    let action = match &matched.route.action {
        RouteAction::Forward(forward) => match forward.target.pick(ticket(&forward.target, draw)) {
            Some(picked) => Action::Forward(Forwarding {
                matched,
                forward,
                picked,
            }),
            None => Action::NoRoute,
        },
        RouteAction::Redirect(redirect) => Action::Redirect {
            matched,
            code: redirect.code,
            location: matched.redirect_location(request).unwrap_or_default(),
        },
        RouteAction::Direct(response) => Action::Direct { matched, response },
    };
    trace_target(&action, trace);
    Decision {
        fault,
        cors: match sharing {
            Sharing::Shared(policy) => Some(policy),
            Sharing::Unshared | Sharing::Preflight(..) => None,
        },
        ..Decision::of(action)
    }
}

fn preflight_step(permitted: bool) -> Step {
    let note = if permitted {
        "the preflight is answered with what its origin may do"
    } else {
        "the preflight is answered without permission: its origin is not allowed"
    };
    Step {
        stage: Stage::Cors,
        subject: "preflight".into(),
        origin: None,
        outcome: StepOutcome::Note(note.into()),
    }
}

/// Only a choice among several needs a draw.
fn ticket(target: &Target, draw: &mut impl Draw) -> u64 {
    match target {
        Target::Cluster(_) => 0,
        Target::Weighted(_) => draw.draw(),
    }
}

fn trace_fault<T: Trace>(fault: InjectedFault, trace: &mut T) {
    let InjectedFault { delay, abort } = fault;
    let mut note = |text: String| {
        trace.record(|| Step {
            stage: Stage::Fault,
            subject: "injected".into(),
            origin: None,
            outcome: StepOutcome::Note(text),
        });
    };
    if !T::ENABLED {
        return;
    }
    if let Some(delay) = delay {
        note(format!("delay of {delay:?}"));
    }
    match abort {
        Some(InjectedAbort::Http(code)) => note(format!("abort with HTTP {code}")),
        Some(InjectedAbort::Grpc(status)) => note(format!("abort with gRPC status {status}")),
        None => {}
    }
}

fn trace_target<T: Trace>(action: &Action<'_>, trace: &mut T) {
    let Action::Forward(forwarding) = action else {
        return;
    };
    trace.record(|| {
        let weight = match forwarding.picked.weighted {
            Some(weighted) => format!("picked by its weight of {}", weighted.weight),
            None => "picked".into(),
        };
        Step {
            stage: Stage::Target,
            subject: forwarding.picked.cluster.to_string(),
            origin: None,
            outcome: StepOutcome::Note(weight),
        }
    });
}

#[cfg(test)]
mod tests;
