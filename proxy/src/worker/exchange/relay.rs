//! The response on its way to the client.

use std::borrow::Cow;

use tokio::time::Instant;

use super::forward::Progress;
use super::{Exchange, IDLE, UpstreamTarget};
use crate::health::outlier::Outcome;
use crate::http1::Known;
use crate::record::ResponseFlags;
use crate::runtime::Routes;
use crate::worker::edit::{ResponseEdit, followed_by};
use crate::worker::endpoint::LocalEndpoint;
use crate::worker::grpc;
use crate::worker::stream::{DownstreamStream, End, Reset, UpstreamStream};
use crate::worker::tunnel;

// === impl Exchange ===

impl<D: DownstreamStream> Exchange<'_, D> {
    /// Passes the response on.
    pub(super) async fn relay<U: UpstreamStream>(
        &mut self,
        up: U,
        endpoint: &LocalEndpoint,
        progress: &mut Progress<'_>,
        target: UpstreamTarget<'_>,
    ) {
        let mut up = up;
        let upload = &mut progress.upload;
        let now = Instant::now();
        let (response, _) = up.response();
        let upgraded = response.code == 101;
        self.info.service_time =
            Some(now.saturating_duration_since(upload.uploaded_at(self.begun + self.held_back)));
        self.info.code = response.code;
        self.info.details = Cow::Borrowed("via_upstream");
        self.info.has_response = true;
        self.info.ended = Some(now);
        let substitutes = self.context.routes.is_some_and(Routes::substitutes);
        if self.context.http.telemetry.needs_head() || substitutes {
            up.keep_head();
        }
        self.write_reply(&up, target, now);
        if upgraded {
            return Box::pin(self.tunnel(up)).await;
        }
        let end = upload
            .relay(&mut self.stream, &mut up, &progress.deadlines)
            .await;
        self.info.sent = up.received();
        // Without a wait it has ended in the moment in which it has begun, as far as a clock can tell.
        self.info.ended = (!upload.waited).then_some(now);
        if let (End::Done, Some(status)) = (end, grpc::status(up.trailers())) {
            self.info.grpc = Some(status);
        }
        if self.info.awaits_status
            && let Some(outcome) = outcome(end, self.info.grpc)
        {
            endpoint.report(&target.cluster.cluster, outcome);
        }
        if end != End::Done {
            return self.broken(end);
        }
        let limits = &target.cluster.cluster.config.client.limits;
        if upload.is_finished() && up.release(endpoint, limits, now) {
            self.worker.sweep_later();
        }
    }

    fn write_reply(&mut self, up: &impl UpstreamStream, target: UpstreamTarget<'_>, now: Instant) {
        if !self.cookies.is_empty() {
            self.add_cookies();
        }
        let (response, bytes) = up.response();
        let configured = target
            .forwarding
            .map_or([None; 2], |forwarding| forwarding.response_ops());
        let substituted = self.substitute(configured, response.fields(bytes), target);
        let ops = match &substituted {
            Some(ops) => ops.each_ref().map(Some),
            None => configured,
        };
        let shared = self
            .shared
            .as_deref()
            .map(|shared| followed_by(ops, shared));
        let ops = shared.as_ref().map_or(ops, |ops| ops.each_ref().map(Some));
        let draining = self.worker.is_last_answer(self.context.direction);
        let dated = response.fields(bytes).known(Known::Date).is_some();
        let (server, service_time) = (self.server(), self.info.service_time);
        let stream = &mut self.stream;
        let length = self.worker.date_cache.with(now, |date| {
            let edit = ResponseEdit {
                ops,
                server,
                date: (!dated).then_some(date),
                service_time: service_time
                    .map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
            };
            stream.respond(response, bytes, draining, &edit)
        });
        self.info.reply_head = length as u64;
    }

    /// The response did not come to its end.
    fn broken(&mut self, end: End) {
        let (flags, details, reset) = match end {
            End::Client | End::Done => return self.gone(),
            End::Upstream { refused: true } => (
                ResponseFlags::UPSTREAM_PROTOCOL_ERROR,
                "upstream_reset_after_response_started{protocol_error}",
                Reset::Protocol,
            ),
            End::Upstream { refused: false } => (
                ResponseFlags::UPSTREAM_TERMINATED,
                "upstream_reset_after_response_started{connection_termination}",
                Reset::Upstream,
            ),
            End::Timeout => (
                ResponseFlags::UPSTREAM_TIMEOUT,
                "response_timeout",
                Reset::Timeout,
            ),
        };
        self.info.flags |= flags;
        self.info.details = Cow::Borrowed(details);
        self.stream.reset(reset);
    }

    /// Lets client and upstream talk as they like.
    async fn tunnel(&mut self, up: impl UpstreamStream) {
        let mut up = up;
        let Some((upstream, first)) = up.upgraded() else {
            return self.broken(End::Upstream { refused: true });
        };
        let count = first.len() as u64;
        let Ok((client, rest)) = self.stream.upgrade(first).await else {
            return self.gone();
        };
        let idle = self.context.http.config.idle_timeout.unwrap_or(IDLE);
        let copied = tunnel::copy(self.worker, client, upstream, rest, idle, &mut |_, _| {}).await;
        self.info.received = copied.up;
        self.info.sent = copied.down + count;
        self.info.ended = None;
    }
}

/// What the end of a call says about the endpoint; nothing where the client broke it off.
fn outcome(end: End, status: Option<u8>) -> Option<Outcome> {
    match end {
        End::Done => Some(Outcome::Response(status.map_or(200, grpc::http_status))),
        End::Client => None,
        End::Upstream { .. } => Some(Outcome::Failed),
        End::Timeout => Some(Outcome::TimedOut),
    }
}
