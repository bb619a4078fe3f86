//! One request: decided, sent upstream, answered, counted.
//!
//! ```text
//! head --decide--> Forward --attempt, again--> response head --relay--> Record
//!                    |             |
//!                    |             +-- no upstream, no response --> reply of our own --> Record
//!                    +-- no route, redirect, direct answer ------------^
//! ```

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use mesh_ir::{Direction, HttpProtocol, ProxyKind};
use smallvec::SmallVec;
use tokio::time::Instant;

use super::attempt::{Attempt, Deadlines, End, Flow};
use super::client::Client;
use super::dial;
use super::edit::{RequestEdit, ResponseEdit};
use super::local::{View, Worker};
use super::reply::Reply;
use super::scratch::Scratch;
use super::tunnel;
use super::upstream::{Active, Connection, LocalCluster, LocalEndpoint};
use crate::decide::{Decision, Forwarding, decide};
use crate::http1::{
    BodyPipe, Framing, Known, RequestLine, RequestRef, ResponseLine, Upgrade, write_decimal,
    write_request, write_response,
};
use crate::record::{self, Record, ResponseFlags};
use crate::retry::{self, Failure};
use crate::runtime::{Http, Routes};
use crate::telemetry::metrics::{Outcome, Protocol, Series};

/// Limit of everything that has no limit of its own: Envoy's for idle streams and connections.
const IDLE: Duration = Duration::from_secs(3600);

/// What lets a client send its body.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// How a request is served.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
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
#[derive(Debug)]
pub(super) struct Outcomes {
    pub code: u16,
    pub flags: ResponseFlags,
    pub details: &'static str,
    pub transport_failure: Option<String>,
    pub received: u64,
    pub sent: u64,
    pub reply_head: u64,
    pub service_time: Option<Duration>,
    pub grpc: Option<u8>,
    pub endpoint: Option<Rc<LocalEndpoint>>,
    pub upstream_local: Option<SocketAddr>,
    pub attempts: u32,
    pub ended: Option<Instant>,
    pub has_response: bool,
}

/// One request on its way.
pub struct Exchange<'a> {
    worker: &'a Rc<Worker>,
    view: &'a View,
    client: &'a mut Client,
    terms: Terms<'a>,
    begun: Instant,
    out: Outcomes,
}

impl<'a> Exchange<'a> {
    /// A request whose head is at the front of the scratch's input.
    pub fn new(
        worker: &'a Rc<Worker>,
        view: &'a View,
        client: &'a mut Client,
        terms: Terms<'a>,
        begun: Instant,
    ) -> Self {
        let out = Outcomes {
            code: 0,
            flags: ResponseFlags::NONE,
            details: "",
            transport_failure: None,
            received: 0,
            sent: 0,
            reply_head: 0,
            service_time: None,
            grpc: None,
            endpoint: None,
            upstream_local: None,
            attempts: 0,
            ended: None,
            has_response: false,
        };
        Self {
            worker,
            view,
            client,
            terms,
            begun,
            out,
        }
    }

    /// Serves it. Afterwards the scratch's input begins with the next request.
    pub async fn run(self, scratch: &mut Scratch) -> Next {
        let cells = self.worker.naming.metrics.cells();
        cells.downstream_rq_total.inc();
        cells.downstream_rq_active.inc();
        let terms = self.terms;
        scratch.written.clear();
        let request = RequestRef {
            head: &scratch.request,
            bytes: scratch.input.filled(),
        };
        if let Some(cluster) = terms.direct {
            let forwarding = None;
            return self.serve(scratch, forwarding, Some(cluster)).await;
        }
        let decision = match terms.routes {
            Some(routes) => decide(routes, &request, self.worker.random()),
            None => Decision::NoRoute,
        };
        match decision {
            Decision::Forward(forwarding) => {
                let cluster = forwarding
                    .cluster
                    .and_then(|id| self.view.cluster(id, &self.worker.naming));
                self.serve(scratch, Some(forwarding), cluster).await
            }
            Decision::NoRoute => self.answer(scratch, Reply::NO_ROUTE, "", None).await,
            Decision::Redirect {
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
            Decision::Direct { matched, response } => {
                let reply = Reply::new(response.code, ResponseFlags::NONE, "direct_response")
                    .with_body(&response.body);
                self.answer(scratch, reply, &matched.route.name, None).await
            }
        }
    }

    /// Answers without an upstream.
    async fn answer(
        mut self,
        scratch: &mut Scratch,
        reply: Reply<'_>,
        route: &str,
        cluster: Option<&Rc<LocalCluster>>,
    ) -> Next {
        let body = scratch.input.filled().len() - scratch.request.length;
        let mut upload = BodyPipe::new(scratch.request.framing, false);
        let rest = scratch
            .input
            .filled()
            .get(scratch.request.length..)
            .unwrap_or_default();
        // A body that has come in already is skipped; one that is still to come ends the connection.
        let skipped = upload.pump(rest, &mut scratch.reply);
        scratch.reply.clear();
        let taken = skipped.unwrap_or(body);
        let whole = upload.is_done();
        let next = self.reply(scratch, reply, !whole || skipped.is_err()).await;
        self.record(scratch, route, cluster, None);
        scratch.input.consume(scratch.request.length + taken);
        next
    }

    /// Sends an answer of the proxy itself.
    async fn reply(&mut self, scratch: &mut Scratch, reply: Reply<'_>, close: bool) -> Next {
        let close = close || !scratch.request.keep_alive || self.worker.downstream.draining();
        let server = self.server();
        scratch.reply.clear();
        {
            let mut dates = self.worker.dates.borrow_mut();
            let date = dates.at(std::time::SystemTime::now());
            reply.write(
                &mut scratch.reply,
                date,
                server,
                scratch.request.is_head,
                close,
            );
        }
        self.out.code = reply.code;
        self.out.flags |= reply.flags;
        self.out.details = reply.details;
        self.out.has_response = false;
        if !scratch.request.is_head {
            self.out.sent = reply.body.len() as u64;
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
        if edge || self.terms.direction == Direction::Inbound {
            b"istio-envoy"
        } else {
            b"envoy"
        }
    }

    /// Sends the request upstream, or answers why that is not possible.
    async fn serve(
        mut self,
        scratch: &mut Scratch,
        forwarding: Option<Forwarding<'_>>,
        cluster: Option<&Rc<LocalCluster>>,
    ) -> Next {
        let route = forwarding.map_or("", |forwarding| &*forwarding.matched.route.name);
        let Some(cluster) = cluster else {
            let refused = self.answer(scratch, Reply::NO_CLUSTER, route, None);
            return refused.await;
        };
        let refused = match scratch.request.upgrade {
            _ if cluster.cluster.config.protocol == HttpProtocol::Http2 => Some(Reply::HTTP2),
            Some(Upgrade::WebSocket) if self.terms.http.config.websocket => None,
            Some(_) => Some(Reply::NO_UPGRADE),
            None => None,
        };
        if let Some(reply) = refused {
            return self.answer(scratch, reply, route, Some(cluster)).await;
        }
        self.prepare(scratch, forwarding);
        let mut flow = Flow::new(&scratch.request);
        let next = self.forward(scratch, &mut flow, forwarding, cluster).await;
        self.out.received = flow.upload.passed;
        self.record(scratch, route, Some(cluster), forwarding);
        scratch.input.consume(scratch.request.length + flow.taken);
        if !scratch.body.is_empty() {
            // What came behind the body begins the next request.
            scratch.input.push(scratch.body.filled());
            scratch.body.clear();
        }
        next
    }

    /// Computes what is written into the request: its id, the way it came, its path.
    fn prepare(&self, scratch: &mut Scratch, forwarding: Option<Forwarding<'_>>) {
        let Scratch {
            input,
            request,
            written,
            ..
        } = scratch;
        let request = RequestRef {
            head: request,
            bytes: input.filled(),
        };
        let fields = request.fields();
        if fields.known(Known::RequestId).is_none() {
            write_uuid(
                &mut written.request_id,
                self.worker.random(),
                self.worker.random(),
            );
        }
        if self.terms.http.config.use_remote_address {
            if let Some(before) = fields.joined("x-forwarded-for") {
                written.forwarded_for.extend_from_slice(&before);
                written.forwarded_for.push(b',');
            }
            write_ip(&mut written.forwarded_for, self.client.remote);
        }
        if let Some(forwarding) = forwarding
            && let Some(path) = forwarding.matched.rewrite_path(request.path())
        {
            written.path.extend_from_slice(&path);
            if let Some(query) = request.query() {
                written.path.push(b'?');
                written.path.extend_from_slice(query);
            }
        }
    }

    /// Writes the head of one try at the front of what goes out.
    fn write_head(&self, scratch: &mut Scratch, forwarding: Option<Forwarding<'_>>, attempt: u32) {
        let Scratch {
            input,
            request,
            written,
            outgoing,
            ..
        } = scratch;
        let request = RequestRef {
            head: request,
            bytes: input.filled(),
        };
        let rewritten = !written.path.is_empty();
        let host = forwarding.and_then(|forwarding| forwarding.forward.host_rewrite.as_deref());
        let edge = self.terms.http.config.use_remote_address;
        let fields = request.fields();
        let edit = RequestEdit {
            ops: forwarding.map_or([None; 2], |forwarding| forwarding.request_ops()),
            request_id: Some(&*written.request_id).filter(|id| !id.is_empty()),
            forwarded_for: edge.then_some(&*written.forwarded_for),
            client: None,
            forwarded_proto: (edge || fields.known(Known::ForwardedProto).is_none())
                .then(|| request.scheme()),
            original_path: rewritten.then(|| request.path_and_query()),
            attempt: (self.terms.direction == Direction::Outbound).then_some(attempt),
        };
        let line = RequestLine {
            path: if rewritten {
                &written.path
            } else {
                request.path_and_query()
            },
            query: None,
            host: host.map_or(request.authority(), str::as_bytes),
        };
        write_request(outgoing, request, line, &edit);
    }

    /// Tries until there is a response, and relays it.
    async fn forward(
        &mut self,
        scratch: &mut Scratch,
        flow: &mut Flow,
        forwarding: Option<Forwarding<'_>>,
        cluster: &Rc<LocalCluster>,
    ) -> Next {
        let policy = forwarding.and_then(|forwarding| forwarding.forward.retry.as_ref());
        let mut deadlines = Deadlines::new(
            IDLE,
            forwarding.and_then(|forwarding| forwarding.forward.timeout),
            policy.and_then(|policy| policy.per_try_timeout),
        );
        if scratch.request.expects_continue
            && flow.upload_pending(scratch)
            && self.client.send(CONTINUE).await.is_err()
        {
            return self.gone();
        }
        let mut tried: SmallVec<[SocketAddr; 2]> = SmallVec::new();
        let mut fresh = false;
        loop {
            let selections = policy.map_or(0, |policy| policy.host_selection_attempts);
            let destination = self
                .terms
                .known_destination
                .then_some(self.terms.destination);
            let worker = self.worker;
            let picked = cluster.pick(destination, &tried, selections, &worker.naming, || {
                worker.random()
            });
            let Some(endpoint) = picked else {
                return self
                    .reply(scratch, Reply::NO_ENDPOINT, !flow.is_uploaded())
                    .await;
            };
            self.out.attempts += 1;
            let active = Active::new(&endpoint);
            self.out.endpoint = Some(endpoint.clone());
            let reused = if fresh { None } else { endpoint.reuse() };
            let was_reused = reused.is_some();
            let attempt = match reused {
                Some(connection) => Ok(connection),
                None => self.connect(&endpoint, cluster, &deadlines).await,
            };
            let attempt = match attempt {
                Ok(mut connection) => {
                    connection.requests += 1;
                    self.out.upstream_local = Some(connection.local);
                    let attempt = self.out.attempts;
                    if let Err(refusal) = flow.begin(scratch, |scratch| {
                        self.write_head(scratch, forwarding, attempt)
                    }) {
                        let reply = Reply::new(
                            refusal.code,
                            ResponseFlags::PROTOCOL_ERROR,
                            refusal.details,
                        );
                        return self.reply(scratch, reply, true).await;
                    }
                    // A connection that the upstream may have closed in this very moment is worth another one, where nothing is done twice.
                    flow.replayable = policy.is_some() || was_reused;
                    let attempt = flow
                        .attempt(
                            self.client,
                            scratch,
                            &mut connection,
                            &mut deadlines,
                            self.begun,
                        )
                        .await;
                    (attempt, Some(connection))
                }
                Err(failed) => (failed, None),
            };
            let (attempt, connection) = attempt;
            let failure = match attempt {
                Attempt::Response => {
                    let grpc = grpc_status(scratch);
                    let code = scratch.response.code;
                    let failed = Failure::Response { code, grpc };
                    if code >= 500 {
                        endpoint.cells.rq_error.inc()
                    } else {
                        endpoint.cells.rq_success.inc()
                    }
                    let again = policy.is_some_and(|policy| {
                        self.out.attempts <= policy.attempts
                            && flow.replayable
                            && retry::is_retried(policy, failed)
                    });
                    if !again {
                        if let Some(policy) = policy
                            && self.out.attempts > policy.attempts
                            && retry::is_retried(policy, failed)
                        {
                            self.out.flags |= ResponseFlags::RETRIES_EXHAUSTED;
                        }
                        self.out.grpc = grpc;
                        let Some(connection) = connection else {
                            return Next::Abort;
                        };
                        let next = self
                            .relay(
                                scratch,
                                flow,
                                forwarding,
                                &endpoint,
                                connection,
                                cluster,
                                &mut deadlines,
                            )
                            .await;
                        drop(active);
                        return next;
                    }
                    failed
                }
                Attempt::Client(None) => return self.gone(),
                Attempt::Client(Some(refusal)) => {
                    let reply =
                        Reply::new(refusal.code, ResponseFlags::PROTOCOL_ERROR, refusal.details);
                    return self.reply(scratch, reply, true).await;
                }
                Attempt::Timeout => {
                    endpoint.cells.rq_timeout.inc();
                    endpoint.cells.rq_error.inc();
                    return self
                        .reply(scratch, Reply::TIMEOUT, !flow.is_uploaded())
                        .await;
                }
                Attempt::Idle => return self.reply(scratch, Reply::IDLE, true).await,
                Attempt::Failed(failure) => {
                    endpoint.cells.rq_error.inc();
                    if failure == Failure::Timeout {
                        endpoint.cells.rq_timeout.inc();
                    }
                    failure
                }
            };
            drop(connection);
            drop(active);
            let stale = was_reused
                && !fresh
                && matches!(failure, Failure::Reset { .. })
                && flow.replayable
                && (failure == Failure::Reset { sent: false } || is_idempotent(scratch));
            if stale {
                // Not a try of the policy: the connection had ended before the request.
                fresh = true;
                self.out.attempts = self.out.attempts.saturating_sub(1);
                continue;
            }
            let again = policy.filter(|policy| {
                self.out.attempts <= policy.attempts
                    && flow.replayable
                    && retry::is_retried(policy, failure)
            });
            let Some(policy) = again else {
                let exhausted = policy.is_some_and(|policy| {
                    self.out.attempts > policy.attempts && retry::is_retried(policy, failure)
                });
                if exhausted {
                    self.out.flags |= ResponseFlags::RETRIES_EXHAUSTED;
                }
                return self.failed(scratch, failure, !flow.is_uploaded()).await;
            };
            fresh = false;
            endpoint.cells.rq_retry.inc();
            tried.push(endpoint.address);
            let pause = retry::pause(policy, self.out.attempts, self.worker.random());
            if deadlines.expire_within(pause) {
                return self
                    .reply(scratch, Reply::TIMEOUT, !flow.is_uploaded())
                    .await;
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// A new connection to an endpoint.
    async fn connect(
        &mut self,
        endpoint: &Rc<LocalEndpoint>,
        cluster: &LocalCluster,
        deadlines: &Deadlines,
    ) -> Result<Connection, Attempt> {
        let (limit, whole) = deadlines.within(cluster.cluster.config.connect_timeout);
        let direction = self.terms.direction;
        match dial::connect(self.worker, cluster, endpoint, direction, limit).await {
            Ok(connection) => Ok(connection),
            Err(dial::Failure::Timeout) if whole => Err(Attempt::Timeout),
            Err(failure) => {
                self.out.transport_failure = Some(failure.to_string());
                Err(Attempt::Failed(Failure::Connect))
            }
        }
    }

    /// Answers for an upstream that did not.
    async fn failed(&mut self, scratch: &mut Scratch, failure: Failure, close: bool) -> Next {
        let mut text = String::new();
        let (code, flags, details) = match failure {
            Failure::Connect => {
                text.push_str("upstream connect error or disconnect/reset before headers. reset reason: remote connection failure, transport failure reason: ");
                text.push_str(self.out.transport_failure.as_deref().unwrap_or_default());
                (
                    503,
                    ResponseFlags::CONNECTION_FAILURE,
                    "upstream_reset_before_response_started{remote_connection_failure}",
                )
            }
            Failure::Reset { .. } => {
                text.push_str("upstream connect error or disconnect/reset before headers. reset reason: connection termination");
                (
                    503,
                    ResponseFlags::UPSTREAM_TERMINATED,
                    "upstream_reset_before_response_started{connection_termination}",
                )
            }
            Failure::Protocol => {
                text.push_str("upstream connect error or disconnect/reset before headers. reset reason: protocol error");
                (
                    502,
                    ResponseFlags::UPSTREAM_PROTOCOL_ERROR,
                    "upstream_reset_before_response_started{protocol_error}",
                )
            }
            Failure::Timeout => return self.reply(scratch, Reply::TRY_TIMEOUT, close).await,
            // Responses are relayed, whatever they are.
            Failure::Response { code, .. } => (code, ResponseFlags::NONE, "via_upstream"),
        };
        let reply = Reply::new(code, flags, details).with_body(&text);
        self.reply(scratch, reply, close).await
    }

    /// The client went away.
    fn gone(&mut self) -> Next {
        self.out.flags |= ResponseFlags::CLIENT_TERMINATED;
        self.out.details = "downstream_remote_disconnect";
        Next::Abort
    }

    /// Passes the response on.
    #[expect(
        clippy::too_many_arguments,
        reason = "the state of the loop that it ends"
    )]
    async fn relay(
        &mut self,
        scratch: &mut Scratch,
        flow: &mut Flow,
        forwarding: Option<Forwarding<'_>>,
        endpoint: &Rc<LocalEndpoint>,
        connection: Connection,
        cluster: &LocalCluster,
        deadlines: &mut Deadlines,
    ) -> Next {
        let mut connection = connection;
        let now = Instant::now();
        let upgraded = scratch.response.code == 101;
        let framing = scratch.response.framing;
        let chunked = matches!(framing, Framing::Chunked | Framing::UntilClose);
        let close =
            !scratch.request.keep_alive || self.worker.downstream.draining() || !flow.is_uploaded();
        let service_time = now.saturating_duration_since(flow.uploaded_at(self.begun));
        self.out.service_time = Some(service_time);
        self.out.code = scratch.response.code;
        self.out.details = "via_upstream";
        self.out.has_response = true;
        self.write_reply(
            scratch,
            forwarding,
            ResponseLine {
                chunked,
                close,
                upgraded,
            },
            service_time,
        );
        self.out.reply_head = scratch.reply.len() as u64;
        if self.terms.http.log.is_some() {
            let Scratch {
                answer,
                response,
                response_bytes,
                ..
            } = &mut *scratch;
            response_bytes.clear();
            response_bytes
                .extend_from_slice(answer.filled().get(..response.length).unwrap_or_default());
        }
        scratch.answer.consume(scratch.response.length);
        if upgraded {
            return self.tunnel(scratch, connection).await;
        }
        let mut download = BodyPipe::new(framing, chunked);
        let end = flow
            .relay(
                self.client,
                scratch,
                &mut connection,
                &mut download,
                deadlines,
            )
            .await;
        self.out.sent = download.passed;
        if flow.waited {
            self.out.ended = None;
        } else {
            self.out.ended = Some(now);
        }
        let reusable = scratch.response.keep_alive && flow.is_clean() && scratch.answer.is_empty();
        match end {
            End::Done => {
                let limit = cluster
                    .cluster
                    .config
                    .limits
                    .max_requests_per_connection
                    .unwrap_or(0);
                if reusable && (limit == 0 || connection.requests < limit) {
                    endpoint.keep(connection, now);
                    self.worker.sweep_later();
                }
                if close { Next::Close } else { Next::Keep }
            }
            End::Client => self.gone(),
            End::Upstream(refused) => {
                let (flags, details) = if refused {
                    (
                        ResponseFlags::UPSTREAM_PROTOCOL_ERROR,
                        "upstream_reset_after_response_started{protocol_error}",
                    )
                } else {
                    (
                        ResponseFlags::UPSTREAM_TERMINATED,
                        "upstream_reset_after_response_started{connection_termination}",
                    )
                };
                self.out.flags |= flags;
                self.out.details = details;
                Next::Abort
            }
            End::Timeout => {
                self.out.flags |= ResponseFlags::UPSTREAM_TIMEOUT;
                self.out.details = "response_timeout";
                Next::Abort
            }
        }
    }

    fn write_reply(
        &self,
        scratch: &mut Scratch,
        forwarding: Option<Forwarding<'_>>,
        line: ResponseLine,
        service_time: Duration,
    ) {
        let Scratch {
            answer,
            response,
            reply,
            ..
        } = scratch;
        let bytes = answer.filled();
        let mut dates = self.worker.dates.borrow_mut();
        let edit = ResponseEdit {
            ops: forwarding.map_or([None; 2], |forwarding| forwarding.response_ops()),
            server: self.server(),
            date: ResponseEdit::date(response.fields(bytes), || {
                dates.at(std::time::SystemTime::now())
            }),
            service_time: Some(u64::try_from(service_time.as_millis()).unwrap_or(u64::MAX)),
        };
        reply.clear();
        write_response(reply, response, bytes, line, &edit);
    }

    /// Lets client and upstream talk as they like.
    async fn tunnel(&mut self, scratch: &mut Scratch, connection: Connection) -> Next {
        let mut connection = connection;
        let first = scratch.answer.filled().len();
        scratch.reply.extend_from_slice(scratch.answer.filled());
        if self.client.send(&scratch.reply).await.is_err() {
            return self.gone();
        }
        let idle = self.terms.http.config.idle_timeout.unwrap_or(IDLE);
        let rest = scratch
            .input
            .filled()
            .get(scratch.request.length..)
            .unwrap_or_default();
        let copied = Box::pin(tunnel::copy(
            self.worker,
            &mut self.client.stream,
            &mut connection.stream,
            rest,
            idle,
        ))
        .await;
        self.out.received = copied.up;
        self.out.sent = copied.down + first as u64;
        self.out.ended = None;
        scratch.input.clear();
        scratch.request.length = 0;
        Next::Abort
    }

    /// Counts and logs the request.
    fn record(
        &mut self,
        scratch: &Scratch,
        route: &str,
        cluster: Option<&Rc<LocalCluster>>,
        forwarding: Option<Forwarding<'_>>,
    ) {
        let cells = self.worker.naming.metrics.cells();
        cells.downstream_rq_active.dec();
        let ended = self.out.ended.unwrap_or_else(Instant::now);
        let request = RequestRef {
            head: &scratch.request,
            bytes: scratch.input.filled(),
        };
        let record = self.to_record(scratch, request, route, cluster, forwarding, ended);
        let outcome = Outcome {
            protocol: if is_grpc(request) {
                Protocol::Grpc
            } else {
                Protocol::Http
            },
            code: record.code,
            grpc_status: record.grpc_status,
            flags: record.flags,
        };
        let up = record.request_head_bytes + record.bytes_received;
        let down = record.response_head_bytes + record.bytes_sent;
        self.series(cluster)
            .record(outcome, record.duration, up, down);
        if let Some(log) = &self.terms.http.log {
            log.write(&record);
        }
    }

    fn series<'s>(&'s self, cluster: Option<&'s Rc<LocalCluster>>) -> &'s Series {
        let (naming, direction) = (&self.worker.naming, self.terms.direction);
        match (&self.out.endpoint, cluster) {
            (Some(endpoint), Some(cluster)) => endpoint.series(direction, &cluster.cluster, naming),
            (_, Some(cluster)) => cluster.unserved(direction, naming),
            (_, None) => self.view.unrouted(direction, naming),
        }
    }

    fn to_record<'r>(
        &'r self,
        scratch: &'r Scratch,
        request: RequestRef<'r>,
        route: &'r str,
        cluster: Option<&'r Rc<LocalCluster>>,
        forwarding: Option<Forwarding<'r>>,
        ended: Instant,
    ) -> Record<'r> {
        let written = &scratch.written;
        let fields = request.fields();
        let used = |bytes: &'r [u8]| Some(bytes).filter(|bytes| !bytes.is_empty());
        let host = forwarding.and_then(|forwarding| forwarding.forward.host_rewrite.as_deref());
        let rewritten = used(&written.path).filter(|_| forwarding.is_some());
        let response = match (self.out.has_response, &self.terms.http.log) {
            (true, Some(_)) => scratch.response.fields(&scratch.response_bytes),
            _ => Default::default(),
        };
        Record {
            direction: self.terms.direction,
            request: Some(record::Request {
                method: request.method(),
                authority: host.map_or(request.authority(), str::as_bytes),
                path: rewritten.unwrap_or(request.path_and_query()),
                original_path: rewritten.map(|_| request.path_and_query()),
                scheme: request.scheme(),
                request_id: fields.known(Known::RequestId).or(used(&written.request_id)),
                forwarded_for: used(&written.forwarded_for).or(fields.known(Known::ForwardedFor)),
                fields,
            }),
            protocol: record::Protocol::Http11,
            duration: ended.saturating_duration_since(self.begun),
            code: self.out.code,
            flags: self.out.flags,
            details: self.out.details,
            termination_details: None,
            transport_failure: self.out.transport_failure.as_deref(),
            bytes_received: self.out.received,
            bytes_sent: self.out.sent,
            request_head_bytes: request.head.length as u64,
            response_head_bytes: self.out.reply_head,
            response,
            upstream_service_time: self.out.service_time,
            grpc_status: self.out.grpc,
            upstream_cluster: cluster.map(|cluster| &**cluster.cluster.name()),
            upstream_host: self.out.endpoint.as_ref().map(|endpoint| endpoint.address),
            upstream_local: self.out.upstream_local,
            downstream_local: self.terms.destination,
            downstream_remote: self.client.remote,
            server_name: None,
            route_name: route,
            attempts: self.out.attempts,
        }
    }
}

fn is_grpc(request: RequestRef<'_>) -> bool {
    request
        .fields()
        .known(Known::ContentType)
        .is_some_and(|value| value.starts_with(b"application/grpc"))
}

fn grpc_status(scratch: &Scratch) -> Option<u8> {
    let fields = scratch.response.fields(scratch.answer.filled());
    let status = fields.known(Known::GrpcStatus)?;
    std::str::from_utf8(status).ok()?.parse().ok()
}

/// Whether sending the request twice does no more than sending it once (RFC 9110, 9.2.2).
fn is_idempotent(scratch: &Scratch) -> bool {
    let request = RequestRef {
        head: &scratch.request,
        bytes: scratch.input.filled(),
    };
    matches!(
        request.method(),
        b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE"
    )
}

fn write_ip(out: &mut Vec<u8>, address: SocketAddr) {
    match address {
        SocketAddr::V4(address) => {
            let [a, rest @ ..] = address.ip().octets();
            write_decimal(out, a.into());
            for part in rest {
                out.push(b'.');
                write_decimal(out, part.into());
            }
        }
        SocketAddr::V6(address) => {
            out.extend_from_slice(address.ip().to_canonical().to_string().as_bytes())
        }
    }
}

/// A random UUID (RFC 9562, version 4).
fn write_uuid(out: &mut Vec<u8>, high: u64, low: u64) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bits = (u128::from(high) << 64 | u128::from(low)) & !(0xf << 76) & !(0x3 << 62)
        | 4 << 76
        | 2 << 62;
    for index in 0..32 {
        if matches!(index, 8 | 12 | 16 | 20) {
            out.push(b'-');
        }
        let digit = (bits >> (124 - 4 * index)) as usize & 15;
        out.push(HEX.get(digit).copied().unwrap_or(b'0'));
    }
}
