//! One request: decided, sent upstream, answered, counted.
//!
//! ```text
//! head --decide--> forward --attempt, again--> response head --relay--> report
//!                    |             |
//!                    |             +-- no upstream, no response --> reply of our own --> report
//!                    +-- no route, redirect, direct answer ------------^
//! ```

mod fault;
mod forward;
mod relay;
mod report;
mod substitute;
mod uuid;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use mesh_ir::evaluate::{
    Action, Decision, Forwarding, InjectedFault, Rejection, Request, Server, Tokens, cors, evaluate,
};
use mesh_ir::matching::RequestView;
use mesh_ir::{Direction, HeaderOps, ProxyKind};
use tokio::time::Instant;

use super::client::Client;
use super::endpoint::LocalEndpoint;
use super::local::{Worker, WorkerRuntime};
use super::reply::Reply;
use super::scratch::Scratch;
use super::upstream::LocalCluster;
use crate::http1::{BodyPipe, RequestRef};
use crate::record::ResponseFlags;
use crate::runtime::{Http, Routes};

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

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It may be used again.
    Keep,
    /// It ends, after the client has read what was sent.
    Close,
    /// It is of no use any more.
    Abort,
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

/// One request on its way.
pub struct Exchange<'a> {
    worker: &'a Rc<Worker>,
    runtime: &'a WorkerRuntime,
    client: &'a mut Client,
    context: RequestContext<'a>,
    begun: Instant,
    /// How long an injected fault has held the request back, for which no limit counts.
    held_back: Duration,
    /// Fields of the answer by which a page of another origin may read it.
    shared: Option<Box<HeaderOps>>,
    info: StreamInfo,
}

// === impl Exchange ===

impl<'a> Exchange<'a> {
    /// A request whose head is at the front of the scratch's input.
    pub fn new(
        worker: &'a Rc<Worker>,
        runtime: &'a WorkerRuntime,
        client: &'a mut Client,
        context: RequestContext<'a>,
        begun: Instant,
    ) -> Self {
        Self {
            worker,
            runtime,
            client,
            context,
            begun,
            held_back: Duration::ZERO,
            shared: None,
            info: StreamInfo::default(),
        }
    }

    /// Serves it. Afterwards the scratch's input begins with the next request.
    pub async fn run(&mut self, scratch: &mut Scratch) -> Next {
        let cells = self.worker.metrics.cells();
        cells.downstream_rq_total.inc();
        cells.downstream_rq_active.inc();
        scratch.written.clear();
        let context = self.context;
        if let Some(cluster) = context.direct {
            let target = UpstreamTarget {
                forwarding: None,
                cluster,
            };
            return self.serve(scratch, target).await;
        }
        let request = RequestRef {
            head: &scratch.request,
            bytes: scratch.input.filled(),
        };
        let Decision {
            fault,
            action,
            cors,
            ..
        } = self.decide(&request);
        let origin = || request.header("origin").unwrap_or_default();
        let shared = match &action {
            Action::Preflight { policy, .. } => {
                policy.map(|policy| cors::preflight_headers(policy, &origin()))
            }
            _ => cors.map(|policy| cors::shared_headers(policy, &origin())),
        };
        if fault != InjectedFault::default()
            && let Some(next) = Box::pin(self.inject(scratch, fault, &action)).await
        {
            return next;
        }
        self.shared = shared.map(Box::new);
        match action {
            Action::Forward(forwarding) => {
                let runtime = self.runtime;
                let found = context
                    .routes
                    .and_then(|routes| routes.cluster(&forwarding))
                    .and_then(|id| runtime.cluster(id));
                match found {
                    Some(cluster) => {
                        let target = UpstreamTarget {
                            forwarding: Some(forwarding),
                            cluster,
                        };
                        self.serve(scratch, target).await
                    }
                    None => {
                        let route = &forwarding.matched.route.name;
                        self.answer(scratch, Reply::NO_CLUSTER, route, None).await
                    }
                }
            }
            Action::NoRoute => self.answer(scratch, Reply::NO_ROUTE, "", None).await,
            Action::Redirect {
                matched,
                code,
                location,
            } => {
                let reply = Reply {
                    location: Some(&location),
                    ..Reply::new(code, ResponseFlags::NONE, "direct_response")
                };
                self.answer(scratch, reply, &matched.route.name, None).await
            }
            Action::Direct { matched, response } => {
                let reply = Reply::new(response.code, ResponseFlags::NONE, "direct_response")
                    .with_body(&response.body);
                self.answer(scratch, reply, &matched.route.name, None).await
            }
            Action::Preflight { matched, .. } => {
                let reply = Reply::new(200, ResponseFlags::NONE, "cors_response");
                self.answer(scratch, reply, &matched.route.name, None).await
            }
            Action::Reject(rejection) => self.reject(scratch, rejection).await,
        }
    }

    /// What becomes of the request.
    #[inline]
    fn decide(&self, head: &RequestRef<'_>) -> Decision<'a> {
        let connection = self.client.facts(self.context.destination);
        let request = Request {
            connection: &connection,
            head,
            tokens: Tokens::None,
        };
        let server = Server {
            policy: &self.context.http.policy,
            routes: self.context.routes.map(|routes| &*routes.table),
        };
        evaluate(server, &request, &mut || self.worker.random(), &mut ())
    }

    /// Answers a request that policies refuse.
    async fn reject(&mut self, scratch: &mut Scratch, rejection: Rejection<'_>) -> Next {
        let details = rejection.details();
        let reply = Reply {
            denial: Some(&details),
            ..Reply::new(rejection.code(), ResponseFlags::NONE, "").with_body(rejection.body())
        };
        self.answer(scratch, reply, "", None).await
    }

    /// Answers without an upstream. Boxed, so that requests that are forwarded need no room for it.
    async fn answer(
        &mut self,
        scratch: &mut Scratch,
        reply: Reply<'_>,
        route: &str,
        cluster: Option<&Rc<LocalCluster>>,
    ) -> Next {
        let head = scratch.request.length;
        let rest = scratch.input.filled().get(head..).unwrap_or_default();
        let all = rest.len();
        // A body that has come in already is skipped; one that is still to come ends the connection.
        let mut upload = BodyPipe::new(scratch.request.framing, false);
        scratch.reply.clear();
        let skipped = upload.pump(rest, &mut scratch.reply);
        let close = !upload.is_done() || skipped.is_err();
        self.info.received = upload.passed;
        let next = Box::pin(self.reply(scratch, reply, close)).await;
        self.report(scratch, route, cluster, None);
        scratch.input.consume(head + skipped.unwrap_or(all));
        next
    }

    /// Sends an answer of the proxy itself.
    async fn reply(&mut self, scratch: &mut Scratch, reply: Reply<'_>, close: bool) -> Next {
        let draining = self.worker.downstream.draining(self.context.direction);
        let close = close || !scratch.request.keep_alive || draining;
        let to_head = scratch.request.is_head;
        let (server, shared) = (self.server(), self.shared.as_deref());
        scratch.reply.clear();
        self.worker.date_cache.with(Instant::now(), |date| {
            reply.write(&mut scratch.reply, date, server, shared, to_head, close);
        });
        self.info.code = reply.code;
        self.info.flags |= reply.flags;
        self.info.details = match reply.denial {
            Some(denial) => Cow::Owned(denial.to_owned()),
            None => Cow::Borrowed(reply.details),
        };
        self.info.has_response = false;
        if !to_head {
            self.info.sent = reply.body.len() as u64;
        }
        match self.client.send(&scratch.reply).await {
            Ok(()) if close => Next::Close,
            Ok(()) => Next::Keep,
            Err(_) => Next::Abort,
        }
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
