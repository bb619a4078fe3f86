//! Upstream and back: tries, until one has a response or none is left.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use mesh_ir::evaluate::Forwarding;
use mesh_ir::matching::strip_port;
use mesh_ir::{HttpProtocol, RetryPolicy};
use smallvec::SmallVec;

use super::connect::Connected;
use super::{Exchange, IDLE, UpstreamTarget};
use crate::http1::{Framing, Upgrade};
use crate::limits::Permit;
use crate::record::Protocol;
use crate::worker::endpoint::{Active, LocalEndpoint};
use crate::worker::grpc;
use crate::worker::reply::Reply;
use crate::worker::scratch::UpstreamRoom;
use crate::worker::stream::{
    AttemptResult, Deadlines, DownstreamStream, Http1, Http2, RequestUpload, UpstreamProtocol,
    UpstreamStream,
};
use crate::worker::upstream::Wanted;

/// How far a request has got.
pub(super) struct Progress<'p> {
    pub(super) upload: RequestUpload,
    pub(super) deadlines: Deadlines,
    pub(super) policy: Option<&'p RetryPolicy>,
    /// The try among the retries of the cluster.
    pub(super) retry: Permit,
    /// What the endpoint is chosen by, where hashes lead to endpoints.
    hash: Option<u64>,
    /// Whether copies of the request are still to be sent.
    mirrors: bool,
    /// Endpoints that have failed.
    pub(super) tried: SmallVec<[SocketAddr; 2]>,
    /// Whether idle connections are not to be trusted.
    pub(super) fresh: bool,
}

/// A try on its way, or the response that came of it.
pub(super) struct Attempt<U> {
    pub(super) endpoint: Rc<LocalEndpoint>,
    /// None without a connection.
    pub(super) stream: Option<U>,
    /// Whether the connection had been idle before.
    pub(super) reused: bool,
    pub(super) _active: Active,
    pub(super) _permit: Permit,
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
        if progress.mirrors {
            // The body was too large to be kept, or was not all there.
            self.worker.metrics.cells().mirror_dropped.inc();
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
            let endpoint = match endpoint.is_of_request() {
                true => self.for_host(endpoint, target),
                false => endpoint,
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

    /// The endpoint for the host that the request has when it is sent on.
    fn for_host(
        &self,
        endpoint: Rc<LocalEndpoint>,
        target: UpstreamTarget<'_>,
    ) -> Rc<LocalEndpoint> {
        let rewritten = target.forwarding.and_then(|forwarding| forwarding.host());
        let authority = rewritten.map_or(self.stream.head().authority(), str::as_bytes);
        // Without a name that can be asked for the connection fails, and says so.
        endpoint.for_host(strip_port(authority)).unwrap_or(endpoint)
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
        if let Some(buffered) = self.buffered.take() {
            buffered.pass_on(&mut up.sink());
        }
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
}
