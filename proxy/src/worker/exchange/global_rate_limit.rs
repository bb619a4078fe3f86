//! Requests that are too many by the count of a service for many proxies.

use std::sync::Arc;

use mesh_ir::evaluate::{Action, RateLimitAnswer};
use mesh_ir::policy::GlobalRateLimit;
use mesh_ir::{HeaderAppend, HeaderOps, HeaderValue};
use mesh_xds::rate_limit::{RATE_LIMIT_PATH, decode, encode};

use super::Exchange;
use super::rate_limit::matched;
use crate::rate_limit::GlobalLimits;
use crate::record::ResponseFlags;
use crate::worker::call::{self, CallFailure};
use crate::worker::grpc::is_grpc;
use crate::worker::reply::Reply;
use crate::worker::stream::DownstreamStream;

/// Details of the answers, as Envoy's.
const LIMITED: &str = "request_rate_limited";
const FAILED: &str = "rate_limiter_error";

/// gRPC's status for what is too much, where that is asked for.
const RESOURCE_EXHAUSTED: u32 = 8;

// === impl Exchange ===

impl<D: DownstreamStream> Exchange<'_, D> {
    /// Asks the services whether the request is one too many, and answers it if it is. Whether it was answered.
    pub(super) async fn limit_globally(
        &mut self,
        limits: &GlobalLimits,
        action: &Action<'_>,
    ) -> bool {
        let (route, is_refused) = matched(action);
        let routes = self.context.routes;
        let own = route.and_then(|route| routes?.limits(route));
        let Some(own) = own else {
            return false;
        };
        for limit in limits.of(is_refused) {
            let message = {
                let request = self.stream.head();
                let facts = self.rate_limit_facts(action);
                let rules = &own.rules;
                let descriptors = rules.descriptors(limit.stage, facts, &request);
                let descriptors: Vec<_> = descriptors.collect();
                if descriptors.is_empty() {
                    continue;
                }
                encode(&limit.domain, &descriptors)
            };
            let Some(answer) = self.ask_limit(limit, &message).await else {
                self.leave();
                return true;
            };
            let answered = match answer {
                Ok(answer) => self.obey_limit(limit, answer, action).await,
                Err(failure) => self.unlimited(limit, &failure, action).await,
            };
            if answered {
                return true;
            }
        }
        false
    }

    /// None if the client has gone.
    async fn ask_limit(
        &mut self,
        limit: &GlobalRateLimit,
        message: &[u8],
    ) -> Option<Result<RateLimitAnswer, CallFailure>> {
        let (worker, runtime) = (self.worker, self.runtime);
        let service = (&*limit.cluster, &*limit.authority);
        let asking = call::unary(
            worker,
            runtime,
            service,
            RATE_LIMIT_PATH,
            message,
            limit.timeout,
        );
        let answer = self.unless_gone(asking).await?;
        Some(answer.and_then(|answer| {
            decode(&answer).map_err(|_| CallFailure::Broken("the answer is no RateLimitResponse"))
        }))
    }

    /// Whether the request was answered.
    async fn obey_limit(
        &mut self,
        limit: &GlobalRateLimit,
        answer: RateLimitAnswer,
        action: &Action<'_>,
    ) -> bool {
        let mut told = if limit.tells_limits {
            answer.limit_headers()
        } else {
            Vec::new()
        };
        let RateLimitAnswer {
            is_over_limit,
            request_headers,
            response_headers,
            body,
            limits: _,
        } = answer;
        told.extend(response_headers);
        if !is_over_limit {
            let edits = &mut self.written.edits;
            for (name, value) in request_headers {
                edits.get_or_insert_default().set(&name, value);
            }
            if !told.is_empty() {
                self.add_shared(HeaderOps {
                    remove: Vec::new(),
                    set: told,
                });
            }
            return false;
        }
        told.extend(limit.response_headers.iter().cloned());
        if !limit.hides_limited {
            told.push(HeaderValue {
                name: Arc::from("x-envoy-ratelimited"),
                value: Arc::from("true"),
                append: HeaderAppend::Overwrite,
            });
        }
        let body = String::from_utf8_lossy(&body);
        let reply = Reply::new(limit.status, ResponseFlags::RATE_LIMITED, LIMITED);
        let mut reply = Reply {
            headers: &told,
            ..reply.with_body(&body)
        };
        if limit.as_resource_exhausted && is_grpc(self.stream.head()) {
            reply.code = 200;
            reply.grpc_status = Some(RESOURCE_EXHAUSTED);
        }
        let (route, cluster) = self.of_action(action);
        self.answer(reply, route, cluster).await;
        true
    }

    /// Lets the request pass, or refuses it, where nobody could be asked. Whether it was answered.
    async fn unlimited(
        &mut self,
        limit: &GlobalRateLimit,
        failure: &CallFailure,
        action: &Action<'_>,
    ) -> bool {
        tracing::debug!(
            cluster = &*limit.cluster,
            reason = %failure,
            "a rate limit service could not be asked"
        );
        if !limit.fail_closed {
            return false;
        }
        let flags = ResponseFlags::RATE_LIMIT_SERVICE_ERROR;
        let reply = Reply::new(limit.status_on_error, flags, FAILED);
        let (route, cluster) = self.of_action(action);
        self.answer(reply, route, cluster).await;
        true
    }
}
