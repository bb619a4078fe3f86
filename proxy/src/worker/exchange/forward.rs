//! Upstream and back: tries, until one has a response or none is left.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::rc::Rc;

use mesh_ir::evaluate::Forwarding;
use mesh_ir::evaluate::retry::{self, Failure};
use mesh_ir::{Direction, ForwardClientCertificate, HttpProtocol, RetryPolicy};
use smallvec::SmallVec;

use super::{Exchange, IDLE, Next, Way, uuid};
use crate::http1::{Known, RequestLine, RequestRef, Upgrade, write_decimal, write_request};
use crate::record::ResponseFlags;
use crate::worker::attempt::{Attempt, Deadlines, Flow};
use crate::worker::dial;
use crate::worker::edit::RequestEdit;
use crate::worker::reply::Reply;
use crate::worker::scratch::Scratch;
use crate::worker::upstream::{Active, Connection, LocalEndpoint};

/// What lets a client send its body.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// How far a request has got.
pub(super) struct Progress<'p> {
    pub(super) flow: Flow,
    pub(super) deadlines: Deadlines,
    policy: Option<&'p RetryPolicy>,
    /// Endpoints that have failed.
    tried: SmallVec<[SocketAddr; 2]>,
    /// Whether idle connections are not to be trusted.
    fresh: bool,
}

/// A try on its way, or the response that came of it.
pub(super) struct Trial {
    pub(super) endpoint: Rc<LocalEndpoint>,
    pub(super) connection: Option<Connection>,
    /// Whether the connection had been idle before.
    reused: bool,
    _active: Active,
}

// === impl Exchange ===

impl Exchange<'_> {
    /// Sends the request upstream, or answers why that is not possible.
    pub(super) async fn serve(&mut self, scratch: &mut Scratch, way: Way<'_>) -> Next {
        let Way {
            forwarding,
            cluster,
        } = way;
        let route = forwarding.map_or("", |forwarding| &*forwarding.matched.route.name);
        let refused = match scratch.request.upgrade {
            _ if cluster.cluster.config.client.protocol == HttpProtocol::Http2 => {
                Some(Reply::HTTP2)
            }
            Some(Upgrade::WebSocket) if self.terms.http.config.websocket => None,
            Some(_) => Some(Reply::NO_UPGRADE),
            None => None,
        };
        if let Some(reply) = refused {
            return Box::pin(self.answer(scratch, reply, route, Some(cluster))).await;
        }
        self.prepare(scratch, way);
        let forward = forwarding.map(|forwarding| forwarding.forward);
        let policy = forward.and_then(|forward| forward.retry.as_ref());
        let mut progress = Progress {
            flow: Flow::new(&scratch.request),
            deadlines: Deadlines::new(
                IDLE,
                forward.and_then(|forward| forward.timeout),
                policy.and_then(|policy| policy.per_try_timeout),
            ),
            policy,
            tried: SmallVec::new(),
            fresh: false,
        };
        let next = self.forward(scratch, &mut progress, way).await;
        self.out.received = progress.flow.upload.passed;
        self.report(scratch, route, Some(cluster), forwarding);
        scratch
            .input
            .consume(scratch.request.length + progress.flow.taken);
        if !scratch.body.is_empty() {
            // What came behind the body begins the next request.
            scratch.input.push(scratch.body.filled());
            scratch.body.clear();
        }
        next
    }

    /// Computes what is written into the request: its id, the way it came, its path.
    fn prepare(&self, scratch: &mut Scratch, way: Way<'_>) {
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
            let random = [self.worker.random(), self.worker.random()];
            uuid::write(&mut written.request_id, random);
        }
        if self.terms.http.config.trust.use_remote_address {
            if let Some(before) = fields.joined_known(Known::ForwardedFor) {
                written.forwarded_for.extend_from_slice(&before);
                written.forwarded_for.push(b',');
            }
            write_ip(&mut written.forwarded_for, self.client.remote);
        }
        let Some(forwarding) = way.forwarding else {
            return;
        };
        // Before the path and the host are rewritten, as in Envoy.
        scratch.written.ops = self.substitute(forwarding.request_ops(), scratch, way);
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
        if let Some(path) = forwarding.path(request.path()) {
            written.path.extend_from_slice(&path);
            if let Some(query) = request.query() {
                written.path.push(b'?');
                written.path.extend_from_slice(query);
            }
        }
    }

    /// Writes the head of one try at the front of what goes out.
    fn write_head(&self, scratch: &mut Scratch, forwarding: Option<Forwarding<'_>>) {
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
        let host = forwarding.and_then(|forwarding| forwarding.host());
        let edge = self.terms.http.config.trust.use_remote_address;
        let proto = edge || request.fields().known(Known::ForwardedProto).is_none();
        let edit = RequestEdit {
            ops: match (&written.ops, forwarding) {
                (Some(ops), _) => ops.each_ref().map(Some),
                (None, Some(forwarding)) => forwarding.request_ops(),
                (None, None) => [None; 2],
            },
            request_id: Some(&*written.request_id).filter(|id| !id.is_empty()),
            forwarded_for: edge.then_some(&*written.forwarded_for),
            // No client has a certificate yet, so that all other modes come to the same.
            forwards_certificate: self.terms.http.config.trust.client_certificate
                == ForwardClientCertificate::AlwaysForward,
            forwarded_proto: proto.then(|| request.scheme()),
            original_path: rewritten.then(|| request.path_and_query()),
            attempt: (self.terms.direction == Direction::Outbound).then_some(self.out.attempts),
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
        progress: &mut Progress<'_>,
        way: Way<'_>,
    ) -> Next {
        if scratch.request.expects_continue
            && progress.flow.upload_pending(scratch)
            && self.client.send(CONTINUE).await.is_err()
        {
            return self.gone();
        }
        loop {
            let selections = progress
                .policy
                .map_or(0, |policy| policy.host_selection_attempts);
            let destination = self
                .terms
                .known_destination
                .then_some(self.terms.destination);
            let worker = self.worker;
            let picked = way.cluster.pick(
                destination,
                &progress.tried,
                selections,
                &worker.naming,
                || worker.random(),
            );
            let close = !progress.flow.is_uploaded();
            let Some(endpoint) = picked else {
                return self.reply(scratch, Reply::NO_ENDPOINT, close).await;
            };
            let (trial, attempt) = self.attempt(scratch, progress, way, endpoint).await;
            let failure = match attempt {
                Attempt::Response => match self.judge(scratch, progress, &trial) {
                    None => return self.relay(scratch, progress, way, trial).await,
                    Some(failure) => failure,
                },
                Attempt::Failed(failure) => failure,
                other => {
                    return self
                        .give_up(scratch, &trial.endpoint, other, progress)
                        .await;
                }
            };
            if let Some(next) = self.recover(scratch, progress, trial, failure).await {
                return next;
            }
        }
    }

    /// One try on one endpoint.
    async fn attempt(
        &mut self,
        scratch: &mut Scratch,
        progress: &mut Progress<'_>,
        way: Way<'_>,
        endpoint: Rc<LocalEndpoint>,
    ) -> (Trial, Attempt) {
        self.out.attempts += 1;
        self.out.endpoint = Some(endpoint.clone());
        let idle = if progress.fresh {
            None
        } else {
            endpoint.reuse()
        };
        let mut trial = Trial {
            _active: Active::new(&endpoint),
            reused: idle.is_some(),
            connection: None,
            endpoint,
        };
        let mut connection = match idle {
            Some(connection) => connection,
            None => match self
                .connect(&trial.endpoint, way, &progress.deadlines)
                .await
            {
                Ok(connection) => connection,
                Err(attempt) => return (trial, attempt),
            },
        };
        connection.requests += 1;
        self.out.upstream_local = Some(connection.local);
        let flow = &mut progress.flow;
        if let Err(refusal) =
            flow.begin(scratch, |scratch| self.write_head(scratch, way.forwarding))
        {
            return (trial, Attempt::Client(Some(refusal)));
        }
        // An idle connection that the upstream closes in this very moment is worth another one.
        flow.replayable = progress.policy.is_some() || trial.reused;
        let attempt = flow
            .attempt(
                self.client,
                scratch,
                &mut connection,
                &mut progress.deadlines,
                self.begun + self.held_back,
            )
            .await;
        trial.connection = Some(connection);
        (trial, attempt)
    }

    /// A new connection to an endpoint.
    async fn connect(
        &mut self,
        endpoint: &Rc<LocalEndpoint>,
        way: Way<'_>,
        deadlines: &Deadlines,
    ) -> Result<Connection, Attempt> {
        let (limit, whole) = deadlines.within(way.cluster.cluster.config.client.connect_timeout);
        let connecting = dial::connect(self.worker, way.cluster, endpoint, limit);
        // New connections are rare, and their room is not needed once they are there.
        match Box::pin(connecting).await {
            Ok(connection) => Ok(connection),
            Err(dial::Failure::Timeout) if whole => Err(Attempt::Timeout),
            Err(failure) => {
                self.out.transport_failure = Some(failure.to_string().into());
                Err(Attempt::Failed(Failure::Connect))
            }
        }
    }

    /// Whether a response is a failure that is worth another try; none if it is to be passed on.
    fn judge(
        &mut self,
        scratch: &Scratch,
        progress: &Progress<'_>,
        trial: &Trial,
    ) -> Option<Failure> {
        let code = scratch.response.code;
        let grpc = grpc_status(scratch);
        self.out.grpc = grpc;
        if code < 500 {
            trial.endpoint.cells.rq_success.inc();
        } else {
            trial.endpoint.cells.rq_error.inc();
        }
        let failure = Failure::Response { code, grpc };
        self.is_retried(progress, failure).then_some(failure)
    }

    /// Whether the policy asks for another try, and there may be one.
    fn is_retried(&mut self, progress: &Progress<'_>, failure: Failure) -> bool {
        let Some(policy) = progress.policy else {
            return false;
        };
        if !retry::is_retried(policy, failure) {
            return false;
        }
        if self.out.attempts > policy.attempts {
            self.out.flags |= ResponseFlags::RETRIES_EXHAUSTED;
            return false;
        }
        progress.flow.replayable
    }

    /// Prepares the next try after a failed one, or answers that there is none.
    async fn recover(
        &mut self,
        scratch: &mut Scratch,
        progress: &mut Progress<'_>,
        trial: Trial,
        failure: Failure,
    ) -> Option<Next> {
        let Trial {
            endpoint,
            connection,
            reused,
            _active,
        } = trial;
        drop(connection);
        drop(_active);
        let close = !progress.flow.is_uploaded();
        if reused && !progress.fresh && is_stale(scratch, &progress.flow, failure) {
            // Not a try of the policy: the connection had ended before the request.
            progress.fresh = true;
            self.out.attempts = self.out.attempts.saturating_sub(1);
            return None;
        }
        let answered = matches!(failure, Failure::Response { .. });
        if !answered {
            endpoint.cells.rq_error.inc();
            if failure == Failure::Timeout {
                endpoint.cells.rq_timeout.inc();
            }
        }
        let again = answered || self.is_retried(progress, failure);
        let Some(policy) = progress.policy.filter(|_| again) else {
            return Some(Box::pin(self.failed(scratch, failure, close)).await);
        };
        progress.fresh = false;
        endpoint.cells.rq_retry.inc();
        progress.tried.push(endpoint.address);
        let pause = retry::pause(policy, self.out.attempts, self.worker.random());
        if progress.deadlines.expire_within(pause) {
            return Some(self.reply(scratch, Reply::TIMEOUT, close).await);
        }
        Box::pin(tokio::time::sleep(pause)).await;
        None
    }

    /// Answers where another try makes no sense.
    async fn give_up(
        &mut self,
        scratch: &mut Scratch,
        endpoint: &LocalEndpoint,
        attempt: Attempt,
        progress: &Progress<'_>,
    ) -> Next {
        let close = !progress.flow.is_uploaded();
        let (reply, close) = match attempt {
            Attempt::Timeout => {
                endpoint.cells.rq_timeout.inc();
                endpoint.cells.rq_error.inc();
                (Reply::TIMEOUT, close)
            }
            Attempt::Client(Some(refusal)) => {
                let flags = ResponseFlags::PROTOCOL_ERROR;
                (Reply::new(refusal.code, flags, refusal.details), true)
            }
            Attempt::Client(None) => return self.gone(),
            Attempt::Idle | Attempt::Response | Attempt::Failed(_) => (Reply::IDLE, true),
        };
        self.reply(scratch, reply, close).await
    }

    /// Answers for an upstream that did not.
    async fn failed(&mut self, scratch: &mut Scratch, failure: Failure, close: bool) -> Next {
        const BEFORE: &str =
            "upstream connect error or disconnect/reset before headers. reset reason: ";
        let transport = self.out.transport_failure.clone().unwrap_or_default();
        let (code, flags, details, reason) = match failure {
            Failure::Connect => (
                503,
                ResponseFlags::CONNECTION_FAILURE,
                "upstream_reset_before_response_started{remote_connection_failure}",
                "remote connection failure, transport failure reason: ",
            ),
            Failure::Protocol => (
                502,
                ResponseFlags::UPSTREAM_PROTOCOL_ERROR,
                "upstream_reset_before_response_started{protocol_error}",
                "protocol error",
            ),
            Failure::Timeout => return self.reply(scratch, Reply::TRY_TIMEOUT, close).await,
            // Responses are passed on, whatever they are, so that only resets are left.
            Failure::Reset { .. } | Failure::Response { .. } => (
                503,
                ResponseFlags::UPSTREAM_TERMINATED,
                "upstream_reset_before_response_started{connection_termination}",
                "connection termination",
            ),
        };
        let connect = failure == Failure::Connect;
        let text = [BEFORE, reason, if connect { &*transport } else { "" }].concat();
        let reply = Reply::new(code, flags, details).with_body(&text);
        self.reply(scratch, reply, close).await
    }

    /// The client went away.
    pub(super) fn gone(&mut self) -> Next {
        self.out.flags |= ResponseFlags::CLIENT_TERMINATED;
        self.out.details = Cow::Borrowed("downstream_remote_disconnect");
        Next::Abort
    }
}

/// Whether a reset shows that an idle connection had ended, and the request can be sent again without doing anything twice.
fn is_stale(scratch: &Scratch, flow: &Flow, failure: Failure) -> bool {
    match failure {
        Failure::Reset { sent } => flow.replayable && (!sent || is_idempotent(scratch)),
        _ => false,
    }
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

fn grpc_status(scratch: &Scratch) -> Option<u8> {
    let fields = scratch.response.fields(scratch.answer.filled());
    let status = fields.known(Known::GrpcStatus)?;
    std::str::from_utf8(status).ok()?.parse().ok()
}

fn write_ip(out: &mut Vec<u8>, address: SocketAddr) {
    match address {
        SocketAddr::V4(address) => {
            let [first, rest @ ..] = address.ip().octets();
            write_decimal(out, first.into());
            for part in rest {
                out.push(b'.');
                write_decimal(out, part.into());
            }
        }
        SocketAddr::V6(address) => {
            let text = address.ip().to_canonical().to_string();
            out.extend_from_slice(text.as_bytes());
        }
    }
}
