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
use super::scratch::{Scratch, UpstreamRoom, Written};
use super::stream::{DownstreamStream, Http1Downstream, ReplyContext};
use super::upstream::LocalCluster;
use crate::http1::{Fields, RequestRef, Skipped};
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
            info: StreamInfo::default(),
        }
    }

    /// Serves it.
    pub async fn run(mut self, room: &mut UpstreamRoom) -> Next {
        let next = self.respond(room).await;
        self.stream.finish();
        next
    }

    async fn respond(&mut self, room: &mut UpstreamRoom) -> Next {
        let cells = self.worker.metrics.cells();
        cells.downstream_rq_total.inc();
        cells.downstream_rq_active.inc();
        let context = self.context;
        if let Some(cluster) = context.direct {
            let target = UpstreamTarget {
                forwarding: None,
                cluster,
            };
            return self.serve(room, target).await;
        }
        let request = self.stream.head();
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
            && let Some(next) = Box::pin(self.inject(fault, &action)).await
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
                        self.serve(room, target).await
                    }
                    None => {
                        let route = &forwarding.matched.route.name;
                        self.answer(Reply::NO_CLUSTER, route, None).await
                    }
                }
            }
            Action::NoRoute => self.answer(Reply::NO_ROUTE, "", None).await,
            Action::Redirect {
                matched,
                code,
                location,
            } => {
                let reply = Reply {
                    location: Some(&location),
                    ..Reply::new(code, ResponseFlags::NONE, "direct_response")
                };
                self.answer(reply, &matched.route.name, None).await
            }
            Action::Direct { matched, response } => {
                let reply = Reply::new(response.code, ResponseFlags::NONE, "direct_response")
                    .with_body(&response.body);
                self.answer(reply, &matched.route.name, None).await
            }
            Action::Preflight { matched, .. } => {
                let reply = Reply::new(200, ResponseFlags::NONE, "cors_response");
                self.answer(reply, &matched.route.name, None).await
            }
            Action::Reject(rejection) => self.reject(rejection).await,
        }
    }

    /// What becomes of the request.
    #[inline]
    fn decide(&self, head: &RequestRef<'_>) -> Decision<'a> {
        let connection = self.stream.facts(self.context.destination);
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
    async fn reject(&mut self, rejection: Rejection<'_>) -> Next {
        let details = rejection.details();
        let reply = Reply {
            denial: Some(&details),
            ..Reply::new(rejection.code(), ResponseFlags::NONE, "").with_body(rejection.body())
        };
        self.answer(reply, "", None).await
    }

    /// Answers without an upstream. Boxed, so that requests that are forwarded need no room for it.
    async fn answer(
        &mut self,
        reply: Reply<'_>,
        route: &str,
        cluster: Option<&Rc<LocalCluster>>,
    ) -> Next {
        // A body that has come in already is skipped; one that is still to come ends the connection.
        let skipped = self.stream.first_data(&mut Skipped);
        let close = !self.stream.is_complete() || skipped.is_err();
        self.info.received = self.stream.received();
        let next = Box::pin(self.reply(reply, close)).await;
        self.report(Fields::default(), route, cluster, None);
        next
    }

    /// Sends an answer of the proxy itself.
    async fn reply(&mut self, reply: Reply<'_>, close: bool) -> Next {
        let draining = self.worker.downstream.draining(self.context.direction);
        let request = self.stream.head().head;
        let (keep_alive, to_head) = (request.keep_alive, request.is_head);
        let close = close || !keep_alive || draining;
        self.info.code = reply.code;
        self.info.flags |= reply.flags;
        self.info.details = match reply.denial {
            Some(denial) => Cow::Owned(denial.to_owned()),
            None => Cow::Borrowed(reply.details),
        };
        self.info.has_response = false;
        if !to_head {
            self.info.sent = reply.content().len() as u64;
        }
        let context = ReplyContext {
            dates: &self.worker.date_cache,
            server: self.server(),
            more: self.shared.as_deref(),
            close,
        };
        match self.stream.reply(&reply, context).await {
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
