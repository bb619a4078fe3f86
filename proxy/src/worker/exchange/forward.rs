//! Upstream and back: tries, until one has a response or none is left.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::rc::Rc;

use mesh_ir::evaluate::Forwarding;
use mesh_ir::evaluate::retry::{self, Failure};
use mesh_ir::{Direction, ForwardClientCertificate, HttpProtocol, RetryPolicy};
use smallvec::SmallVec;

use super::{Exchange, IDLE, Next, UpstreamTarget, uuid};
use crate::http1::{Known, RequestLine, RequestRef, Upgrade, write_decimal, write_request};
use crate::record::ResponseFlags;
use crate::worker::attempt::{AttemptResult, Deadlines, RequestUpload};
use crate::worker::dial;
use crate::worker::edit::RequestEdit;
use crate::worker::endpoint::{Active, Connection, LocalEndpoint};
use crate::worker::reply::Reply;
use crate::worker::scratch::Scratch;

/// What lets a client send its body.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// How far a request has got.
pub(super) struct Progress<'p> {
    pub(super) upload: RequestUpload,
    pub(super) deadlines: Deadlines,
    policy: Option<&'p RetryPolicy>,
    /// Endpoints that have failed.
    tried: SmallVec<[SocketAddr; 2]>,
    /// Whether idle connections are not to be trusted.
    fresh: bool,
}

/// A try on its way, or the response that came of it.
pub(super) struct Attempt {
    pub(super) endpoint: Rc<LocalEndpoint>,
    pub(super) connection: Option<Connection>,
    /// Whether the connection had been idle before.
    reused: bool,
    _active: Active,
}

// === impl Exchange ===

impl Exchange<'_> {
    /// Sends the request upstream, or answers why that is not possible.
    pub(super) async fn serve(
        &mut self,
        scratch: &mut Scratch,
        target: UpstreamTarget<'_>,
    ) -> Next {
        let UpstreamTarget {
            forwarding,
            cluster,
        } = target;
        let route = forwarding.map_or("", |forwarding| &*forwarding.matched.route.name);
        let refused = match scratch.request.upgrade {
            _ if cluster.cluster.config.client.protocol == HttpProtocol::Http2 => {
                Some(Reply::HTTP2)
            }
            Some(Upgrade::WebSocket) if self.context.http.config.websocket => None,
            Some(_) => Some(Reply::NO_UPGRADE),
            None => None,
        };
        if let Some(reply) = refused {
            return Box::pin(self.answer(scratch, reply, route, Some(cluster))).await;
        }
        self.prepare(scratch, target);
        let forward = forwarding.map(|forwarding| forwarding.forward);
        let policy = forward.and_then(|forward| forward.retry.as_ref());
        let mut progress = Progress {
            upload: RequestUpload::new(&scratch.request),
            deadlines: Deadlines::new(
                IDLE,
                forward.and_then(|forward| forward.timeout),
                policy.and_then(|policy| policy.per_try_timeout),
            ),
            policy,
            tried: SmallVec::new(),
            fresh: false,
        };
        let next = self.forward(scratch, &mut progress, target).await;
        self.info.received = progress.upload.body.passed;
        self.report(scratch, route, Some(cluster), forwarding);
        scratch
            .input
            .consume(scratch.request.length + progress.upload.taken);
        if !scratch.body.is_empty() {
            // What came behind the body begins the next request.
            scratch.input.push(scratch.body.filled());
            scratch.body.clear();
        }
        next
    }

    /// Computes what is written into the request: its id, the way it came, its path.
    fn prepare(&self, scratch: &mut Scratch, target: UpstreamTarget<'_>) {
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
        if self.context.http.config.trust.use_remote_address {
            if let Some(before) = fields.joined_known(Known::ForwardedFor) {
                written.forwarded_for.extend_from_slice(&before);
                written.forwarded_for.push(b',');
            }
            write_ip(&mut written.forwarded_for, self.client.remote);
        }
        let Some(forwarding) = target.forwarding else {
            return;
        };
        // Before the path and the host are rewritten, as in Envoy.
        scratch.written.ops = self.substitute(forwarding.request_ops(), scratch, target);
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
        let edge = self.context.http.config.trust.use_remote_address;
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
            forwards_certificate: self.context.http.config.trust.client_certificate
                == ForwardClientCertificate::AlwaysForward,
            forwarded_proto: proto.then(|| request.scheme()),
            original_path: rewritten.then(|| request.path_and_query()),
            attempt: (self.context.direction == Direction::Outbound).then_some(self.info.attempts),
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
        target: UpstreamTarget<'_>,
    ) -> Next {
        if scratch.request.expects_continue
            && progress.upload.upload_pending(scratch)
            && self.client.send(CONTINUE).await.is_err()
        {
            return self.gone();
        }
        loop {
            let selections = progress
                .policy
                .map_or(0, |policy| policy.host_selection_attempts);
            let destination = self
                .context
                .known_destination
                .then_some(self.context.destination);
            let worker = self.worker;
            let picked = target.cluster.pick(
                destination,
                &progress.tried,
                selections,
                &worker.metrics,
                || worker.random(),
            );
            let close = !progress.upload.is_uploaded();
            let Some(endpoint) = picked else {
                return self.reply(scratch, Reply::NO_ENDPOINT, close).await;
            };
            let (attempt, result) = self.attempt(scratch, progress, target, endpoint).await;
            let failure = match result {
                AttemptResult::Response => match self.should_retry(scratch, progress, &attempt) {
                    None => return self.relay(scratch, progress, target, attempt).await,
                    Some(failure) => failure,
                },
                AttemptResult::Failed(failure) => failure,
                other => {
                    return self
                        .local_reply(scratch, &attempt.endpoint, other, progress)
                        .await;
                }
            };
            if let Some(next) = self
                .retry_or_fail(scratch, progress, attempt, failure)
                .await
            {
                return next;
            }
        }
    }

    /// One try on one endpoint.
    async fn attempt(
        &mut self,
        scratch: &mut Scratch,
        progress: &mut Progress<'_>,
        target: UpstreamTarget<'_>,
        endpoint: Rc<LocalEndpoint>,
    ) -> (Attempt, AttemptResult) {
        self.info.attempts += 1;
        self.info.endpoint = Some(endpoint.clone());
        let idle = if progress.fresh {
            None
        } else {
            endpoint.reuse()
        };
        let mut attempt = Attempt {
            _active: Active::new(&endpoint),
            reused: idle.is_some(),
            connection: None,
            endpoint,
        };
        let mut connection = match idle {
            Some(connection) => connection,
            None => match self
                .connect(&attempt.endpoint, target, &progress.deadlines)
                .await
            {
                Ok(connection) => connection,
                Err(result) => return (attempt, result),
            },
        };
        connection.requests += 1;
        self.info.upstream_local = Some(connection.local);
        let upload = &mut progress.upload;
        if let Err(refusal) = upload.begin(scratch, |scratch| {
            self.write_head(scratch, target.forwarding)
        }) {
            return (attempt, AttemptResult::Client(Some(refusal)));
        }
        // An idle connection that the upstream closes in this very moment is worth another one.
        upload.replayable = progress.policy.is_some() || attempt.reused;
        let result = upload
            .attempt(
                self.client,
                scratch,
                &mut connection,
                &mut progress.deadlines,
                self.begun + self.held_back,
            )
            .await;
        attempt.connection = Some(connection);
        (attempt, result)
    }

    /// A new connection to an endpoint.
    async fn connect(
        &mut self,
        endpoint: &Rc<LocalEndpoint>,
        target: UpstreamTarget<'_>,
        deadlines: &Deadlines,
    ) -> Result<Connection, AttemptResult> {
        let (limit, whole) = deadlines.within(target.cluster.cluster.config.client.connect_timeout);
        let connecting = dial::connect(self.worker, target.cluster, endpoint, limit);
        // New connections are rare, and their room is not needed once they are there.
        match Box::pin(connecting).await {
            Ok(connection) => Ok(connection),
            Err(dial::Failure::Timeout) if whole => Err(AttemptResult::Timeout),
            Err(failure) => {
                self.info.transport_failure = Some(failure.to_string().into());
                Err(AttemptResult::Failed(Failure::Connect))
            }
        }
    }

    /// Whether a response is a failure that is worth another try; none if it is to be passed on.
    fn should_retry(
        &mut self,
        scratch: &Scratch,
        progress: &Progress<'_>,
        attempt: &Attempt,
    ) -> Option<Failure> {
        let code = scratch.response.code;
        let grpc = grpc_status(scratch);
        self.info.grpc = grpc;
        if code < 500 {
            attempt.endpoint.cells.rq_success.inc();
        } else {
            attempt.endpoint.cells.rq_error.inc();
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
        if self.info.attempts > policy.attempts {
            self.info.flags |= ResponseFlags::RETRIES_EXHAUSTED;
            return false;
        }
        progress.upload.replayable
    }

    /// Prepares the next try after a failed one, or answers that there is none.
    async fn retry_or_fail(
        &mut self,
        scratch: &mut Scratch,
        progress: &mut Progress<'_>,
        attempt: Attempt,
        failure: Failure,
    ) -> Option<Next> {
        let Attempt {
            endpoint,
            connection,
            reused,
            _active,
        } = attempt;
        drop(connection);
        drop(_active);
        let close = !progress.upload.is_uploaded();
        if reused && !progress.fresh && is_stale(scratch, &progress.upload, failure) {
            // Not a try of the policy: the connection had ended before the request.
            progress.fresh = true;
            self.info.attempts = self.info.attempts.saturating_sub(1);
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
        let pause = retry::pause(policy, self.info.attempts, self.worker.random());
        if progress.deadlines.expire_within(pause) {
            return Some(self.reply(scratch, Reply::TIMEOUT, close).await);
        }
        Box::pin(tokio::time::sleep(pause)).await;
        None
    }

    /// Answers where another try makes no sense.
    async fn local_reply(
        &mut self,
        scratch: &mut Scratch,
        endpoint: &LocalEndpoint,
        result: AttemptResult,
        progress: &Progress<'_>,
    ) -> Next {
        let close = !progress.upload.is_uploaded();
        let (reply, close) = match result {
            AttemptResult::Timeout => {
                endpoint.cells.rq_timeout.inc();
                endpoint.cells.rq_error.inc();
                (Reply::TIMEOUT, close)
            }
            AttemptResult::Client(Some(refusal)) => {
                let flags = ResponseFlags::PROTOCOL_ERROR;
                (Reply::new(refusal.code, flags, refusal.details), true)
            }
            AttemptResult::Client(None) => return self.gone(),
            AttemptResult::Idle | AttemptResult::Response | AttemptResult::Failed(_) => {
                (Reply::IDLE, true)
            }
        };
        self.reply(scratch, reply, close).await
    }

    /// Answers for an upstream that did not.
    async fn failed(&mut self, scratch: &mut Scratch, failure: Failure, close: bool) -> Next {
        const BEFORE: &str =
            "upstream connect error or disconnect/reset before headers. reset reason: ";
        let transport = self.info.transport_failure.clone().unwrap_or_default();
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
        self.info.flags |= ResponseFlags::CLIENT_TERMINATED;
        self.info.details = Cow::Borrowed("downstream_remote_disconnect");
        Next::Abort
    }
}

/// Whether a reset shows that an idle connection had ended, and the request can be sent again without doing anything twice.
fn is_stale(scratch: &Scratch, upload: &RequestUpload, failure: Failure) -> bool {
    match failure {
        Failure::Reset { sent } => upload.replayable && (!sent || is_idempotent(scratch)),
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
