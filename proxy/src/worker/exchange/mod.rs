//! One request: decided, sent upstream, answered, counted.
//!
//! ```text
//! head --decide, ask, limit, share, inject, act--> forward --attempt, again--> response head --relay--> report
//!                               |             |
//!                               |             +-- no upstream, no response --> answer of our own --> report
//!                               +-- refused, no route, redirect, direct answer ------------^
//! ```

mod act;
mod answer;
mod buffered;
mod connect;
mod decide;
pub mod external;
mod failure;
mod fault;
mod forward;
mod global_rate_limit;
mod hash;
mod mirror;
mod outgoing;
mod rate_limit;
mod relay;
mod report;
mod retry;
mod share;
mod substitute;
mod target;
mod trace;
mod uuid;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use buffered::Buffered;
use mesh_ir::evaluate::{Action, Decision, Forwarding, InjectedFault};
use mesh_ir::{Direction, HeaderOps, ProxyKind};
use tokio::time::Instant;

use super::client::Client;
use super::endpoint::LocalEndpoint;
use super::local::{Worker, WorkerRuntime};
use super::scratch::{Scratch, UpstreamRoom, Written};
use super::stream::{DownstreamStream, Http1Downstream, Next};
use super::upstream::LocalCluster;
use crate::record::ResponseFlags;
use crate::runtime::{Http, Routes};
use crate::telemetry::tracing::RequestTrace;

/// Limit of everything that has no limit of its own: Envoy's for idle streams and connections.
const IDLE: Duration = Duration::from_secs(3600);

/// How a request is served.
#[derive(Clone, Copy, Debug)]
pub struct RequestContext<'a> {
    /// The chain.
    pub http: &'a Http,
    /// Its routes.
    pub routes: Option<&'a Routes>,
    /// Goes to this cluster instead, where the chain has no routes.
    pub direct: Option<&'a Rc<LocalCluster>>,
    /// Where the client meant to go.
    pub destination: SocketAddr,
    /// Whether that is an address, and not just a name.
    pub known_destination: bool,
    /// Which way it goes.
    pub direction: Direction,
}

/// What the record is made from.
#[derive(Debug, Default)]
struct StreamInfo {
    code: u16,
    flags: ResponseFlags,
    details: Cow<'static, str>,
    transport_failure: Option<Box<str>>,
    received: u64,
    sent: u64,
    reply_head: u64,
    service_time: Option<Duration>,
    grpc: Option<u8>,
    /// Whether only the end of the answer tells what the endpoint has made of the call.
    awaits_status: bool,
    endpoint: Option<Rc<LocalEndpoint>>,
    upstream_local: Option<SocketAddr>,
    attempts: u32,
    ended: Option<Instant>,
    has_response: bool,
}

/// Where a request goes, and by which route.
#[derive(Clone, Copy, Debug)]
struct UpstreamTarget<'d> {
    /// None where there are no routes.
    forwarding: Option<Forwarding<'d>>,
    cluster: &'d Rc<LocalCluster>,
}

/// One request on its way, from a client's stream.
pub struct Exchange<'a, D> {
    worker: &'a Rc<Worker>,
    runtime: &'a WorkerRuntime,
    stream: D,
    /// Values of fields that the proxy writes into the request.
    written: &'a mut Written,
    context: RequestContext<'a>,
    begun: Instant,
    /// How long an injected fault has held the request back, for which no limit counts.
    held_back: Duration,
    /// Fields of the answer by which a page of another origin may read it.
    shared: Option<Box<HeaderOps>>,
    /// The trace that it belongs to; none where none is told of.
    trace: Option<Box<RequestTrace>>,
    /// Cookies that are made for the client, which its endpoint is chosen by.
    cookies: Vec<String>,
    /// What was read of the body before the request went anywhere.
    buffered: Option<Box<Buffered>>,
    info: StreamInfo,
}

// === impl Exchange ===

impl<'a> Exchange<'a, Http1Downstream<'a>> {
    /// Serves the request whose head is at the front of the scratch's input, which begins with the next request afterwards.
    pub async fn serve_http1(
        worker: &'a Rc<Worker>,
        runtime: &'a WorkerRuntime,
        client: &'a mut Client,
        context: RequestContext<'a>,
        begun: Instant,
        scratch: &'a mut Scratch,
    ) -> Next {
        let Scratch {
            input,
            body,
            reply,
            request,
            upstream,
            written,
        } = scratch;
        let stream = Http1Downstream::new(client, request, input, body, reply);
        Self::new(worker, runtime, stream, written, context, begun)
            .run(upstream)
            .await
    }
}

impl<'a, D: DownstreamStream> Exchange<'a, D> {
    /// A request that is to be served.
    pub fn new(
        worker: &'a Rc<Worker>,
        runtime: &'a WorkerRuntime,
        stream: D,
        written: &'a mut Written,
        context: RequestContext<'a>,
        begun: Instant,
    ) -> Self {
        written.clear();
        Self {
            worker,
            runtime,
            stream,
            written,
            context,
            begun,
            held_back: Duration::ZERO,
            shared: None,
            trace: None,
            cookies: Vec::new(),
            buffered: None,
            info: StreamInfo::default(),
        }
    }

    /// Serves it.
    pub async fn run(mut self, room: &mut UpstreamRoom) -> D::End {
        self.respond(room).await;
        self.stream.finish()
    }

    /// The stages of a request, in their order. Each answers it or lets it go on; a new one is a file and a line here.
    async fn respond(&mut self, room: &mut UpstreamRoom) {
        let cells = self.worker.metrics.cells();
        cells.downstream_rq_total.inc();
        cells.downstream_rq_active.inc();
        self.begin_trace();
        if let Some(cluster) = self.context.direct {
            let target = UpstreamTarget {
                forwarding: None,
                cluster,
            };
            return self.serve(room, target).await;
        }
        if let Some(reply) = target::refusal(self.stream.head().head.form) {
            return self.answer(reply, "", None).await;
        }
        let mut decision = self.decide();
        let limits = &self.context.http.limits;
        let mut first_limits = limits.all();
        if let Action::Ask(_) = decision.action {
            let (before, after) = limits.around_policies();
            first_limits = after;
            if !before.is_empty() && Box::pin(self.limit(before, &decision.action)).await {
                return;
            }
            let Some(asked) = Box::pin(self.ask(decision)).await else {
                return;
            };
            decision = asked;
        }
        let Decision {
            fault,
            action,
            cors,
            authorized,
        } = decision;
        if let Some(authorized) = authorized {
            self.worker.count_policies(authorized);
        }
        if !first_limits.is_empty() && Box::pin(self.limit(first_limits, &action)).await {
            return;
        }
        let services = &self.context.http.global_limits;
        if !services.is_empty() && Box::pin(self.limit_globally(services, &action)).await {
            return;
        }
        let shared = self.share(&action, cors);
        if fault != InjectedFault::default() && Box::pin(self.inject(fault, &action)).await {
            return;
        }
        if let Some(shared) = shared {
            self.add_shared(*shared);
        }
        self.act(room, action).await;
    }

    /// Adds fields to the answer, whoever gives it.
    fn add_shared(&mut self, ops: HeaderOps) {
        let shared = self.shared.get_or_insert_default();
        shared.remove.extend(ops.remove);
        shared.set.extend(ops.set);
    }

    fn server(&self) -> &'static [u8] {
        // Istio names itself at the edge and in front of workloads only.
        let edge = self.worker.shared.options.kind == ProxyKind::Gateway;
        if edge || self.context.direction == Direction::Inbound {
            b"istio-envoy"
        } else {
            b"envoy"
        }
    }
}
