//! Upstream and back: tries, until one has a response or none is left.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use mesh_ir::evaluate::Forwarding;
use mesh_ir::evaluate::retry::{self, Failure, Hint};
use mesh_ir::{Direction, ForwardClientCertificate, HttpProtocol, RetryOn, RetryPolicy};
use smallvec::SmallVec;

use super::connect::Connected;
use super::{Exchange, IDLE, UpstreamTarget, uuid};
use crate::health::outlier::Outcome;
use crate::http1::{Fields, Framing, Known, RequestLine, RequestRef, Upgrade, write_decimal};
use crate::limits::{Permit, Resource};
use crate::record::{Protocol, ResponseFlags};
use crate::runtime::Cluster;
use crate::worker::edit::RequestEdit;
use crate::worker::endpoint::{Active, LocalEndpoint};
use crate::worker::grpc;
use crate::worker::reply::Reply;
use crate::worker::scratch::UpstreamRoom;
use crate::worker::stream::{
    AttemptResult, Deadlines, DownstreamStream, Http1, Http2, RequestUpload, Reset,
    UpstreamProtocol, UpstreamStream,
};
use crate::worker::upstream::Wanted;

/// How far a request has got.
pub(super) struct Progress<'p> {
    pub(super) upload: RequestUpload,
    pub(super) deadlines: Deadlines,
    policy: Option<&'p RetryPolicy>,
    /// The try among the retries of the cluster.
    retry: Permit,
    /// What the endpoint is chosen by, where hashes lead to endpoints.
    hash: Option<u64>,
    /// Whether copies of the request are still to be sent.
    mirrors: bool,
    /// Endpoints that have failed.
    tried: SmallVec<[SocketAddr; 2]>,
    /// Whether idle connections are not to be trusted.
    pub(super) fresh: bool,
}

/// A try on its way, or the response that came of it.
struct Attempt<U> {
    endpoint: Rc<LocalEndpoint>,
    /// None without a connection.
    stream: Option<U>,
    /// Whether the connection had been idle before.
    reused: bool,
    _active: Active,
    _permit: Permit,
}

// === impl Exchange ===

impl<D: DownstreamStream> Exchange<'_, D> {
    /// Sends the request upstream, or answers why that is not possible.
    pub(super) async fn serve(&mut self, room: &mut UpstreamRoom, target: UpstreamTarget<'_>) {
        let UpstreamTarget {
            forwarding,
            cluster,
        } = target;
        let route = forwarding.map_or("", |forwarding| &*forwarding.matched.route.name);
        let http2 = match cluster.cluster.config.client.protocol {
            HttpProtocol::Http1 => false,
            HttpProtocol::Http2 => true,
            HttpProtocol::AsClient => self.stream.protocol() == Protocol::Http2,
        };
        let refused = match self.stream.head().head.upgrade {
            Some(Upgrade::WebSocket) if !self.context.http.config.websocket || http2 => {
                Some(Reply::NO_UPGRADE)
            }
            Some(Upgrade::WebSocket) | None => None,
        };
        if let Some(reply) = refused {
            return Box::pin(self.answer(reply, route, Some(cluster))).await;
        }
        self.prepare(target);
        let forward = forwarding.map(|forwarding| forwarding.forward);
        let policy = forward.and_then(|forward| forward.retry.as_ref());
        let mut progress = Progress {
            upload: RequestUpload::new(),
            deadlines: Deadlines::new(
                IDLE,
                self.timeout(forward.and_then(|forward| forward.timeout)),
                policy.and_then(|policy| policy.per_try_timeout),
            ),
            policy,
            retry: Permit::default(),
            hash: self.hash(target),
            mirrors: self.is_mirrored(forwarding),
            tried: SmallVec::new(),
            fresh: false,
        };
        let options = &self.worker.shared.options;
        room.begin(options.response_limits(self.context.direction));
        if http2 {
            Box::pin(self.forward::<Http2>(room, &mut progress, target)).await;
        } else {
            self.forward::<Http1>(room, &mut progress, target).await;
        }
        self.info.received = self.stream.received();
        let response = room.response.fields(&room.response_bytes);
        self.report(response, route, Some(cluster), forwarding);
    }

    /// The limit of the whole request: the route's, or a shorter one that a gRPC client has set.
    fn timeout(&self, configured: Option<Duration>) -> Option<Duration> {
        let request = self.stream.head();
        if !grpc::is_grpc(request) {
            return configured;
        }
        let own = request.fields().get("grpc-timeout").and_then(grpc::timeout);
        match (own, configured) {
            (Some(own), Some(configured)) => Some(own.min(configured)),
            (own, configured) => own.or(configured),
        }
    }

    /// Computes what is written into the request: its id, the way it came, its path.
    fn prepare(&mut self, target: UpstreamTarget<'_>) {
        let (request, written) = (self.stream.head(), &mut *self.written);
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
            write_ip(&mut written.forwarded_for, self.stream.remote());
        }
        self.tell_certificate();
        let Some(forwarding) = target.forwarding else {
            return;
        };
        // Before the path and the host are rewritten, as in Envoy.
        let ops = self.substitute(forwarding.request_ops(), Fields::default(), target);
        let (request, written) = (self.stream.head(), &mut *self.written);
        written.ops = ops;
        let edited = written
            .edits
            .as_ref()
            .and_then(|edits| edits.query.as_ref());
        let path = forwarding.path(request.path());
        if path.is_some() || edited.is_some() {
            let path = path.unwrap_or(Cow::Borrowed(request.path()));
            written.path.extend_from_slice(&path);
            let query = match edited {
                Some(query) => query.as_deref(),
                None => request.query(),
            };
            if let Some(query) = query {
                written.path.push(b'?');
                written.path.extend_from_slice(query);
            }
        }
    }

    /// Whether `x-forwarded-client-cert` goes on as it came: only a client that has proven who it is may speak for others.
    fn forwards_certificate(&self) -> bool {
        use ForwardClientCertificate::{
            AlwaysForward, AppendForward, Forward, Sanitize, SanitizeSet,
        };
        match self.context.http.config.trust.client_certificate {
            AlwaysForward => true,
            Forward => self.is_mutual(),
            AppendForward | Sanitize | SanitizeSet => false,
        }
    }

    fn is_mutual(&self) -> bool {
        self.stream.tls().is_some_and(|tls| tls.facts.is_mutual())
    }

    /// Computes what is told of the client's certificate.
    fn tell_certificate(&mut self) {
        let trust = self.context.http.config.trust;
        let appends = match trust.client_certificate {
            ForwardClientCertificate::AppendForward => true,
            ForwardClientCertificate::SanitizeSet => false,
            _ => return,
        };
        let Some(tls) = self.stream.tls() else {
            return;
        };
        let Some(element) = tls.facts.forwarded(trust.certificate_details) else {
            return;
        };
        let (request, written) = (self.stream.head(), &mut *self.written);
        if appends && let Some(before) = request.fields().joined_known(Known::ForwardedClientCert) {
            written.client_certificate.extend_from_slice(&before);
            written.client_certificate.push(b',');
        }
        written
            .client_certificate
            .extend_from_slice(element.as_bytes());
    }

    /// Whether copies of the request are to be sent when its body has come. Without a body they are sent now.
    fn is_mirrored(&self, forwarding: Option<Forwarding<'_>>) -> bool {
        let mirrored = forwarding.filter(|forwarding| !forwarding.forward.mirrors.is_empty());
        let Some(forwarding) = mirrored else {
            return false;
        };
        let head = self.stream.head().head;
        if head.upgrade.is_some() {
            return false;
        }
        let has_body = head.framing != Framing::None;
        if !has_body {
            self.mirror(forwarding, &[]);
        }
        has_body
    }

    /// The head that goes out.
    pub(super) fn outgoing<'e>(
        &'e self,
        forwarding: Option<Forwarding<'e>>,
    ) -> (RequestLine<'e>, RequestEdit<'e>) {
        let (request, written) = (self.stream.head(), &*self.written);
        let rewritten = !written.path.is_empty();
        let host = forwarding.and_then(|forwarding| forwarding.host());
        let edge = self.context.http.config.trust.use_remote_address;
        let proto = edge || request.fields().known(Known::ForwardedProto).is_none();
        let edit = RequestEdit {
            policies: written.edits.as_deref(),
            ops: match (&written.ops, forwarding) {
                (Some(ops), _) => ops.each_ref().map(Some),
                (None, Some(forwarding)) => forwarding.request_ops(),
                (None, None) => [None; 2],
            },
            request_id: Some(&*written.request_id).filter(|id| !id.is_empty()),
            forwarded_for: edge.then_some(&*written.forwarded_for),
            forwards_certificate: self.forwards_certificate(),
            client_certificate: Some(&*written.client_certificate).filter(|text| !text.is_empty()),
            forwarded_proto: proto.then(|| request.scheme()),
            original_path: (rewritten && !written.hides_query()).then(|| request.path_and_query()),
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
        (line, edit)
    }

    /// Tries until there is a response, and relays it.
    async fn forward<P: UpstreamProtocol>(
        &mut self,
        room: &mut UpstreamRoom,
        progress: &mut Progress<'_>,
        target: UpstreamTarget<'_>,
    ) {
        if self.stream.awaits_continue() && self.stream.proceed().await.is_err() {
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
            let wanted = Wanted {
                destination,
                hash: progress.hash,
                avoid: &progress.tried,
                attempts: selections,
            };
            let picked = target
                .cluster
                .pick(wanted, &worker.metrics, || worker.random());
            let Some(endpoint) = picked else {
                return self.reply(Reply::NO_ENDPOINT).await;
            };
            let (attempt, result) = self.attempt::<P>(room, progress, target, endpoint).await;
            if progress.mirrors
                && self.stream.is_complete()
                && progress.upload.replayable
                && let (Some(up), Some(forwarding)) = (&attempt.stream, target.forwarding)
                && let Some(body) = up.kept_body()
            {
                progress.mirrors = false;
                self.mirror(forwarding, body);
            }
            let failure = match (result, &attempt.stream) {
                (AttemptResult::Response, Some(up)) => {
                    match self.should_retry(up, progress, target, &attempt.endpoint) {
                        Some(failure) => failure,
                        None => {
                            let Attempt {
                                endpoint,
                                stream: Some(up),
                                reused: _,
                                _active,
                                _permit,
                            } = attempt
                            else {
                                return;
                            };
                            return self.relay(up, &endpoint, progress, target).await;
                        }
                    }
                }
                (AttemptResult::Failed(failure), _) => failure,
                (other, _) => return self.local_reply(target, &attempt.endpoint, other).await,
            };
            if !self.retry_or_fail(progress, target, attempt, failure).await {
                return;
            }
        }
    }

    /// One try on one endpoint.
    async fn attempt<'r, P: UpstreamProtocol>(
        &mut self,
        room: &'r mut UpstreamRoom,
        progress: &mut Progress<'_>,
        target: UpstreamTarget<'_>,
        endpoint: Rc<LocalEndpoint>,
    ) -> (Attempt<P::Stream<'r>>, AttemptResult) {
        self.info.attempts += 1;
        self.info.endpoint = Some(endpoint.clone());
        let mut attempt = Attempt {
            _active: Active::new(&endpoint),
            _permit: Permit::default(),
            reused: false,
            stream: None,
            endpoint,
        };
        let connected = self
            .connected::<P>(&attempt.endpoint, target, progress)
            .await;
        let Connected {
            connection,
            reused,
            permit,
        } = match connected {
            Ok(connected) => connected,
            Err(result) => return (attempt, result),
        };
        attempt.reused = reused;
        attempt._permit = permit;
        attempt.endpoint.cells.rq_total.inc();
        let mut up = P::stream(connection, room, self.stream.head());
        self.info.upstream_local = Some(up.local());
        let (line, edit) = self.outgoing(target.forwarding);
        up.request(self.stream.head(), line, &edit);
        if let Err(refusal) = self.stream.first_data(&mut up.sink()) {
            return (attempt, AttemptResult::Client(Some(refusal)));
        }
        let upload = &mut progress.upload;
        // An idle connection that the upstream closes in this very moment is worth another one.
        upload.replayable = progress.policy.is_some() || progress.mirrors || attempt.reused;
        let result = upload
            .attempt(
                &mut self.stream,
                &mut up,
                &mut progress.deadlines,
                self.begun + self.held_back,
            )
            .await;
        attempt.stream = Some(up);
        (attempt, result)
    }

    /// Whether a response is a failure that is worth another try; none if it is to be passed on.
    fn should_retry(
        &mut self,
        up: &impl UpstreamStream,
        progress: &mut Progress<'_>,
        target: UpstreamTarget<'_>,
        endpoint: &LocalEndpoint,
    ) -> Option<Failure> {
        let (response, bytes) = up.response();
        let code = response.code;
        let grpc = grpc::status(response.fields(bytes));
        self.info.grpc = grpc;
        if code < 500 {
            endpoint.cells.rq_success.inc();
        } else {
            endpoint.cells.rq_error.inc();
        }
        let status = grpc.map_or(code, grpc::http_status);
        endpoint.report(&target.cluster.cluster, Outcome::Response(status));
        let hint = progress
            .policy
            .and_then(|policy| self.hint(policy, response.fields(bytes)));
        let failure = Failure::Response { code, grpc, hint };
        self.is_retried(progress, target, endpoint, failure)
            .then_some(failure)
    }

    /// What a response says about another try beyond its status.
    fn hint(&self, policy: &RetryPolicy, response: Fields<'_>) -> Option<Hint> {
        if response.known(Known::Overloaded).is_some() {
            return Some(Hint::Overloaded);
        }
        if response.known(Known::RateLimited).is_some() {
            return Some(Hint::RateLimited);
        }
        // Only what is inside of the mesh may ask for that.
        let is_edge = self.context.http.config.trust.use_remote_address;
        if is_edge || !policy.on.contains(&RetryOn::RetriableHeaders) {
            return None;
        }
        let request = self.stream.head().fields();
        let names = request.joined("x-envoy-retriable-header-names")?;
        let mut names = names.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        let is_there = |name: &[u8]| {
            let mut fields = response.iter();
            fields.any(|(other, _)| other.eq_ignore_ascii_case(name))
        };
        names.any(is_there).then_some(Hint::Named)
    }

    /// Whether the policy asks for another try, and there may be one.
    fn is_retried(
        &mut self,
        progress: &mut Progress<'_>,
        target: UpstreamTarget<'_>,
        endpoint: &LocalEndpoint,
        failure: Failure,
    ) -> bool {
        // The try before is over.
        progress.retry = Permit::default();
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
        if !progress.upload.replayable {
            return false;
        }
        let Cluster { config, usage, .. } = &*target.cluster.cluster;
        match usage.take(&config.client.limits, Resource::Retries) {
            Some(permit) => progress.retry = permit,
            None => {
                self.info.flags |= ResponseFlags::OVERFLOW;
                endpoint.cells.rq_retry_overflow.inc();
                return false;
            }
        }
        true
    }

    /// Prepares the next try after a failed one, or answers that there is none. Whether there is to be one.
    async fn retry_or_fail<U>(
        &mut self,
        progress: &mut Progress<'_>,
        target: UpstreamTarget<'_>,
        attempt: Attempt<U>,
        failure: Failure,
    ) -> bool {
        let Attempt {
            endpoint,
            stream,
            reused,
            _active,
            _permit,
        } = attempt;
        drop(stream);
        drop((_active, _permit));
        if reused && !progress.fresh && is_stale(self.stream.head(), &progress.upload, failure) {
            // Not a try of the policy: the connection had ended before the request.
            progress.fresh = true;
            self.info.attempts = self.info.attempts.saturating_sub(1);
            return true;
        }
        let answered = matches!(failure, Failure::Response { .. });
        if !answered && failure != Failure::Overflow {
            endpoint.cells.rq_error.inc();
            let outcome = match failure {
                Failure::Timeout => Outcome::TimedOut,
                _ => Outcome::Failed,
            };
            if outcome == Outcome::TimedOut {
                endpoint.cells.rq_timeout.inc();
            }
            endpoint.report(&target.cluster.cluster, outcome);
        }
        let again = answered || self.is_retried(progress, target, &endpoint, failure);
        let Some(policy) = progress.policy.filter(|_| again) else {
            Box::pin(self.failed(failure)).await;
            return false;
        };
        progress.fresh = false;
        endpoint.cells.rq_retry.inc();
        progress.tried.push(endpoint.address);
        let pause = retry::pause(policy, self.info.attempts, self.worker.random());
        if progress.deadlines.expire_within(pause) {
            self.reply(Reply::TIMEOUT).await;
            return false;
        }
        Box::pin(tokio::time::sleep(pause)).await;
        true
    }

    /// Answers where another try makes no sense.
    async fn local_reply(
        &mut self,
        target: UpstreamTarget<'_>,
        endpoint: &LocalEndpoint,
        result: AttemptResult,
    ) {
        let reply = match result {
            AttemptResult::Timeout => {
                endpoint.cells.rq_timeout.inc();
                endpoint.cells.rq_error.inc();
                endpoint.report(&target.cluster.cluster, Outcome::TimedOut);
                Reply::TIMEOUT
            }
            AttemptResult::Client(Some(refusal)) => {
                let flags = ResponseFlags::PROTOCOL_ERROR;
                Reply::new(refusal.code, flags, refusal.details)
            }
            AttemptResult::Client(None) => return self.gone(),
            AttemptResult::Idle | AttemptResult::Response | AttemptResult::Failed(_) => Reply::IDLE,
        };
        self.reply(reply).await;
    }

    /// Answers for an upstream that did not.
    async fn failed(&mut self, failure: Failure) {
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
            Failure::Overflow => (
                503,
                ResponseFlags::OVERFLOW,
                "upstream_reset_before_response_started{overflow}",
                "overflow",
            ),
            Failure::Protocol => (
                502,
                ResponseFlags::UPSTREAM_PROTOCOL_ERROR,
                "upstream_reset_before_response_started{protocol_error}",
                "protocol error",
            ),
            Failure::Timeout => return self.reply(Reply::TRY_TIMEOUT).await,
            Failure::Refused => (
                503,
                ResponseFlags::UPSTREAM_RESET,
                "upstream_reset_before_response_started{remote_refused_stream_reset}",
                "remote refused stream reset",
            ),
            Failure::StreamReset => (
                503,
                ResponseFlags::UPSTREAM_RESET,
                "upstream_reset_before_response_started{remote_reset}",
                "remote reset",
            ),
            // Responses are passed on, whatever they are, so that only ends of connections are left.
            Failure::Reset { .. } | Failure::Response { .. } => (
                503,
                ResponseFlags::UPSTREAM_TERMINATED,
                "upstream_reset_before_response_started{connection_termination}",
                "connection termination",
            ),
        };
        let overloaded = failure == Failure::Overflow;
        let connect = failure == Failure::Connect;
        let text = [BEFORE, reason, if connect { &*transport } else { "" }].concat();
        let reply = Reply {
            overloaded,
            ..Reply::new(code, flags, details).with_body(&text)
        };
        self.reply(reply).await;
    }

    /// The client went away.
    pub(super) fn gone(&mut self) {
        self.info.flags |= ResponseFlags::CLIENT_TERMINATED;
        self.info.details = Cow::Borrowed("downstream_remote_disconnect");
        self.stream.reset(Reset::Gone);
    }
}

/// Whether a reset shows that an idle connection had ended, and the request can be sent again without doing anything twice.
fn is_stale(request: RequestRef<'_>, upload: &RequestUpload, failure: Failure) -> bool {
    match failure {
        Failure::Reset { sent } => upload.replayable && (!sent || is_idempotent(request)),
        Failure::Refused => upload.replayable,
        _ => false,
    }
}

/// Whether sending the request twice does no more than sending it once (RFC 9110, 9.2.2).
fn is_idempotent(request: RequestRef<'_>) -> bool {
    matches!(
        request.method(),
        b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE"
    )
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
