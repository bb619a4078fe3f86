//! Whether a request is tried again, and what comes of it if it is not.

use mesh_ir::evaluate::retry::{self, Failure, Hint};
use mesh_ir::{RetryOn, RetryPolicy};

use super::forward::{Attempt, Progress};
use super::{Exchange, UpstreamTarget};
use crate::health::outlier::Outcome;
use crate::http1::{Fields, Known, RequestRef};
use crate::limits::{Permit, Resource};
use crate::record::ResponseFlags;
use crate::runtime::Cluster;
use crate::worker::endpoint::LocalEndpoint;
use crate::worker::grpc;
use crate::worker::reply::Reply;
use crate::worker::stream::{DownstreamStream, RequestUpload, UpstreamStream};

// === impl Exchange ===

impl<D: DownstreamStream> Exchange<'_, D> {
    /// Whether a response is a failure that is worth another try; none if it is to be passed on.
    pub(super) fn should_retry(
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
        let is_call = || code == 200 && grpc::is_grpc(self.stream.head());
        self.info.awaits_status = grpc.is_none() && is_call();
        if !self.info.awaits_status {
            let status = grpc.map_or(code, grpc::http_status);
            endpoint.report(&target.cluster.cluster, Outcome::Response(status));
        }
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
    pub(super) async fn retry_or_fail<U>(
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
