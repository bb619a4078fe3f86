//! The response on its way to the client.

use std::borrow::Cow;
use std::time::Duration;

use tokio::time::Instant;

use super::forward::{Attempt, Progress};
use super::{Exchange, IDLE, Next, UpstreamTarget};
use crate::http1::{BodyPipe, Framing, Known, ResponseLine, write_response};
use crate::record::ResponseFlags;
use crate::runtime::Routes;
use crate::worker::attempt::End;
use crate::worker::edit::{ResponseEdit, followed_by};
use crate::worker::endpoint::Connection;
use crate::worker::scratch::Scratch;
use crate::worker::tunnel;

// === impl Exchange ===

impl Exchange<'_> {
    /// Passes the response on.
    pub(super) async fn relay(
        &mut self,
        scratch: &mut Scratch,
        progress: &mut Progress<'_>,
        target: UpstreamTarget<'_>,
        attempt: Attempt,
    ) -> Next {
        let Some(mut connection) = attempt.connection else {
            return Next::Abort;
        };
        let upload = &mut progress.upload;
        let now = Instant::now();
        let upgraded = scratch.response.code == 101;
        let framing = scratch.response.framing;
        let draining = self.worker.downstream.draining(self.context.direction);
        let line = ResponseLine {
            chunked: matches!(framing, Framing::Chunked | Framing::UntilClose),
            close: !scratch.request.keep_alive || draining || !upload.is_uploaded(),
            upgraded,
        };
        self.begin_reply(
            scratch,
            now,
            now.saturating_duration_since(upload.uploaded_at(self.begun + self.held_back)),
        );
        self.write_reply(scratch, target, line, now);
        scratch.answer.consume(scratch.response.length);
        if upgraded {
            return Box::pin(self.tunnel(scratch, connection)).await;
        }
        let mut download = BodyPipe::new(framing, line.chunked);
        let end = upload
            .relay(
                self.client,
                scratch,
                &mut connection,
                &mut download,
                &mut progress.deadlines,
            )
            .await;
        self.info.sent = download.passed;
        // Without a wait it has ended in the moment in which it has begun, as far as a clock can tell.
        self.info.ended = (!upload.waited).then_some(now);
        if end != End::Done {
            return self.broken(end);
        }
        let limits = &target.cluster.cluster.config.client.limits;
        let limit = limits.max_requests_per_connection.unwrap_or(0);
        let clean = scratch.response.keep_alive && upload.is_clean() && scratch.answer.is_empty();
        if clean && (limit == 0 || connection.requests < limit) {
            attempt.endpoint.keep(connection, now);
            self.worker.sweep_later();
        }
        if line.close { Next::Close } else { Next::Keep }
    }

    fn begin_reply(&mut self, scratch: &mut Scratch, now: Instant, service_time: Duration) {
        self.info.service_time = Some(service_time);
        self.info.code = scratch.response.code;
        self.info.details = Cow::Borrowed("via_upstream");
        self.info.has_response = true;
        self.info.ended = Some(now);
        let substitutes = self.context.routes.is_some_and(Routes::substitutes);
        if self.context.http.log.is_some() || substitutes {
            let Scratch {
                answer,
                response,
                response_bytes,
                ..
            } = scratch;
            let head = answer.filled().get(..response.length).unwrap_or_default();
            response_bytes.clear();
            response_bytes.extend_from_slice(head);
        }
    }

    fn write_reply(
        &mut self,
        scratch: &mut Scratch,
        target: UpstreamTarget<'_>,
        line: ResponseLine,
        now: Instant,
    ) {
        let configured = target
            .forwarding
            .map_or([None; 2], |forwarding| forwarding.response_ops());
        let substituted = self.substitute(configured, scratch, target);
        let ops = match &substituted {
            Some(ops) => ops.each_ref().map(Some),
            None => configured,
        };
        let shared = self
            .shared
            .as_deref()
            .map(|shared| followed_by(ops, shared));
        let ops = shared.as_ref().map_or(ops, |ops| ops.each_ref().map(Some));
        let Scratch {
            answer,
            response,
            reply,
            ..
        } = scratch;
        let bytes = answer.filled();
        let dated = response.fields(bytes).known(Known::Date).is_some();
        let (server, service_time) = (self.server(), self.info.service_time);
        reply.clear();
        self.worker.date_cache.with(now, |date| {
            let edit = ResponseEdit {
                ops,
                server,
                date: (!dated).then_some(date),
                service_time: service_time
                    .map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
            };
            write_response(reply, response, bytes, line, &edit);
        });
        self.info.reply_head = reply.len() as u64;
    }

    /// The response did not come to its end.
    fn broken(&mut self, end: End) -> Next {
        let (flags, details) = match end {
            End::Client | End::Done => return self.gone(),
            End::Upstream { refused: true } => (
                ResponseFlags::UPSTREAM_PROTOCOL_ERROR,
                "upstream_reset_after_response_started{protocol_error}",
            ),
            End::Upstream { refused: false } => (
                ResponseFlags::UPSTREAM_TERMINATED,
                "upstream_reset_after_response_started{connection_termination}",
            ),
            End::Timeout => (ResponseFlags::UPSTREAM_TIMEOUT, "response_timeout"),
        };
        self.info.flags |= flags;
        self.info.details = Cow::Borrowed(details);
        Next::Abort
    }

    /// Lets client and upstream talk as they like.
    async fn tunnel(&mut self, scratch: &mut Scratch, connection: Connection) -> Next {
        let mut connection = connection;
        let first = scratch.answer.filled().len() as u64;
        scratch.reply.extend_from_slice(scratch.answer.filled());
        if self.client.send(&scratch.reply).await.is_err() {
            return self.gone();
        }
        let idle = self.context.http.config.idle_timeout.unwrap_or(IDLE);
        let head = scratch.request.length;
        let rest = scratch.input.filled().get(head..).unwrap_or_default();
        let (client, upstream) = (&mut self.client.io, &mut connection.io);
        let copied = tunnel::copy(self.worker, client, upstream, rest, idle, &mut |_, _| {}).await;
        self.info.received = copied.up;
        self.info.sent = copied.down + first;
        self.info.ended = None;
        Next::Abort
    }
}
