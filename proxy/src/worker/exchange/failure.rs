//! Answers in place of an upstream's, and what is left to do where nobody waits for one.

use std::borrow::Cow;

use mesh_ir::evaluate::retry::Failure;

use super::{Exchange, UpstreamTarget};
use crate::health::outlier::Outcome;
use crate::record::ResponseFlags;
use crate::worker::endpoint::LocalEndpoint;
use crate::worker::reply::Reply;
use crate::worker::stream::{AttemptResult, DownstreamStream, Reset};

// === impl Exchange ===

impl<D: DownstreamStream> Exchange<'_, D> {
    /// Answers where another try makes no sense.
    pub(super) async fn local_reply(
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
    pub(super) async fn failed(&mut self, failure: Failure) {
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
