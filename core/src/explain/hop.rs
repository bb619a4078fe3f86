//! One proxy on a request's way.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use mesh_ir::alpn;
use mesh_ir::evaluate::{
    Action, ChainSelector, ConnectionFacts, Decision, Explanation, Granted, HttpPolicy,
    NetworkPolicy, Request, Server, Stage, Step, StepOutcome, Tokens, Trace as _, Verdict,
    evaluate,
};
use mesh_ir::matching::{PlainRequest, RouteTable};
use mesh_ir::policy::PeerIdentity;
use mesh_ir::{
    Direction, FilterChain, HttpConnectionManager, HttpFilter, Listener, Network, ProxyConfig,
    RouteConfig, Routes, Transport,
};

use super::outcome::{Fault, Outcome, Share};

/// How a request comes to a proxy.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Which side of the proxy it comes to.
    pub direction: Direction,
    /// The client's address.
    pub source: SocketAddr,
    /// Where its connection is meant to go.
    pub destination: SocketAddr,
    /// The name that the client asks for in TLS of its own; none if it speaks plain text or the mesh's mutual TLS.
    pub server_name: Option<&'a str>,
    /// Who the client is, where it speaks the mesh's mutual TLS.
    pub peer: Option<&'a PeerIdentity>,
}

/// What one proxy decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The listener whose chains are asked; none if nothing listens there.
    pub listener: Option<Arc<str>>,
    /// The chain that takes the connection, by its name; that may be empty.
    pub chain: Option<Arc<str>>,
    /// The route table; none where bytes are forwarded.
    pub routes: Option<Arc<str>>,
    /// Everything that was tried.
    pub steps: Vec<Step>,
    /// Failures that are injected.
    pub fault: Option<Fault>,
    /// What becomes of the request.
    pub outcome: Outcome,
}

/// What a proxy with this configuration decides of a request.
pub fn explain(config: &ProxyConfig, arrival: Arrival<'_>, request: &PlainRequest) -> Hop {
    let mut hop = Hop {
        listener: None,
        chain: None,
        routes: None,
        steps: Vec::new(),
        fault: None,
        outcome: Outcome::Close {
            reason: "nothing listens there".into(),
        },
    };
    let Some(listener) = listener(config, arrival) else {
        return hop;
    };
    hop.listener = Some(listener.name.clone());
    let facts = ConnectionFacts {
        transport: match (arrival.peer, arrival.server_name) {
            (None, None) => Transport::Plaintext,
            _ => Transport::Tls,
        },
        application_protocols: match arrival.peer {
            Some(_) => &alpn::MESH_CLIENT_HTTP1,
            None => &alpn::DETECTED_HTTP[..1],
        },
        server_name: arrival.server_name,
        peer: arrival.peer,
        ..ConnectionFacts::plaintext(arrival.source, arrival.destination)
    };
    let mut trace = Explanation::default();
    let selected = ChainSelector::new(&listener.chains).select(&facts, &mut trace);
    let selected = selected.and_then(|position| listener.chains.get(position));
    let Some(chain) = selected.or(listener.default_chain.as_ref()) else {
        hop.steps = trace.steps;
        hop.outcome = Outcome::Close {
            reason: "no filter chain takes the connection".into(),
        };
        return hop;
    };
    hop.chain = Some(chain.name.clone());
    hop.serve(config, chain, &facts, request, &mut trace);
    // The chain that was taken has its own field, and what is left to chance is told as shares.
    let told = trace
        .steps
        .into_iter()
        .filter(|step| !matches!(step.stage, Stage::Chain | Stage::Target | Stage::Fault));
    hop.steps = told.collect();
    hop
}

/// The listener whose chains take a connection: for captured traffic that of its destination, of the very address before any address of
/// the port; else the one that all captured traffic comes to, or that is bound there.
fn listener<'c>(config: &'c ProxyConfig, arrival: Arrival<'_>) -> Option<&'c Arc<Listener>> {
    let Arrival {
        direction,
        destination,
        ..
    } = arrival;
    let of_direction = || {
        let all = config.listeners.iter();
        all.filter(move |listener| listener.direction == direction)
    };
    let any: IpAddr = Ipv4Addr::UNSPECIFIED.into();
    let at = |address: SocketAddr| {
        of_direction().find(|listener| !listener.bind && listener.address == address)
    };
    at(destination)
        .or_else(|| at(SocketAddr::new(any, destination.port())))
        .or_else(|| of_direction().find(|it| it.use_original_destination))
        .or_else(|| of_direction().find(|it| it.bind && it.address.port() == destination.port()))
        .or_else(|| of_direction().find(|it| it.inspect.original_destination))
}

// === impl Hop ===

impl Hop {
    fn serve(
        &mut self,
        config: &ProxyConfig,
        chain: &FilterChain,
        facts: &ConnectionFacts<'_>,
        request: &PlainRequest,
        trace: &mut Explanation,
    ) {
        let policy = NetworkPolicy::of_filters(&chain.filters);
        // Authorizers are taken to let the connection pass.
        let mut first = 0;
        let authorized = loop {
            let decision = policy.decide(facts, first, trace);
            let Some(ask) = decision.ask else {
                break decision.authorized;
            };
            first = ask.stage + 1;
        };
        if authorized.is_some_and(|it| matches!(it.verdict, Verdict::Denied(_))) {
            let reason = "policies deny the connection".into();
            self.outcome = Outcome::Close { reason };
            return;
        }
        match &chain.network {
            Network::Tcp(proxy) => {
                let targets = Share::of_weights(config, &proxy.clusters);
                self.outcome = Outcome::Connect { targets };
            }
            Network::Http(server) => self.route(config, server, facts, request, trace),
        }
    }

    fn route(
        &mut self,
        config: &ProxyConfig,
        server: &HttpConnectionManager,
        facts: &ConnectionFacts<'_>,
        request: &PlainRequest,
        trace: &mut Explanation,
    ) {
        let known: Option<Arc<RouteConfig>> = match &server.routes {
            Routes::Inline(routes) => Some(routes.clone()),
            Routes::Discovered(name) => {
                let mut all = config.routes.iter();
                all.find(|routes| routes.name == *name).cloned()
            }
        };
        self.routes = match &server.routes {
            Routes::Inline(routes) => Some(routes.name.clone()),
            Routes::Discovered(name) => Some(name.clone()),
        };
        let table = known.map(|routes| RouteTable::compile(routes).0);
        let policy = HttpPolicy::new(server);
        let by = Server {
            policy: &policy,
            routes: table.as_ref(),
        };
        // Authorizers are taken to allow the request and to leave it as it is.
        let mut granted = Granted::default();
        let decision = loop {
            let request = Request {
                connection: facts,
                head: request,
                tokens: Tokens::None,
                edits: None,
                granted: Some(&granted),
            };
            let decision = evaluate(by, &request, &mut || 0, trace);
            let Action::Ask(ask) = decision.action else {
                break decision;
            };
            trace.record(|| Step {
                stage: Stage::ExternalAuthorization,
                subject: "authorizer".into(),
                origin: Some(ask.rule.origin()),
                outcome: StepOutcome::Note("is asked first, and may refuse".into()),
            });
            granted.next_stage = ask.stage + 1;
        };
        self.finish(config, server, &decision, request);
    }

    fn finish(
        &mut self,
        config: &ProxyConfig,
        server: &HttpConnectionManager,
        decision: &Decision<'_>,
        request: &PlainRequest,
    ) {
        let matched = match &decision.action {
            Action::Forward(forwarding) => Some(&forwarding.matched),
            Action::Redirect { matched, .. }
            | Action::Direct { matched, .. }
            | Action::Preflight { matched, .. } => Some(matched),
            Action::NoRoute | Action::Reject(_) | Action::Ask(_) => None,
        };
        let fault = matched.and_then(|matched| matched.route.policy.fault.as_deref());
        let fault = fault.filter(|_| server.filters.contains(&HttpFilter::Fault));
        self.fault = fault.map(Fault::of);
        let answer = |code, reason: &str| Outcome::Answer {
            code,
            reason: reason.to_owned(),
        };
        self.outcome = match &decision.action {
            Action::Forward(forwarding) => {
                let path = forwarding.path(request.path.as_bytes());
                let path = path.map(|path| String::from_utf8_lossy(&path).into_owned());
                Outcome::forward(config, forwarding.forward, path)
            }
            Action::Redirect { code, location, .. } => Outcome::Redirect {
                code: *code,
                location: String::from_utf8_lossy(location).into_owned(),
            },
            Action::Direct { response, .. } => answer(response.code, "the route answers itself"),
            Action::Preflight { is_allowed, .. } if *is_allowed => {
                answer(200, "the preflight of its origin is permitted")
            }
            Action::Preflight { .. } => answer(200, "the preflight of its origin is not permitted"),
            Action::NoRoute => answer(404, "no route takes it"),
            Action::Reject(rejection) => answer(rejection.code(), &rejection.details()),
            Action::Ask(_) => answer(403, "an authorizer has to be asked"),
        };
    }
}
