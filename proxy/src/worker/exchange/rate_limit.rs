//! Requests that are too many, by the proxy's own count.

use mesh_ir::HeaderOps;
use mesh_ir::evaluate::{Action, RateLimitFacts};
use mesh_ir::matching::Matched;

use super::Exchange;
use crate::rate_limit::{LimitList, Query};
use crate::record::ResponseFlags;
use crate::worker::reply::Reply;
use crate::worker::stream::DownstreamStream;

/// Body and details of the answer, as Envoy's.
const LIMITED: &str = "local_rate_limited";

// === impl Exchange ===

impl<D: DownstreamStream> Exchange<'_, D> {
    /// Counts the request, and answers it if it is one too many. Whether it was answered.
    pub(super) async fn limit(&mut self, limits: LimitList<'_>, action: &Action<'_>) -> bool {
        let (matched, is_refused) = matched(action);
        let routes = self.context.routes;
        let own = matched.and_then(|matched| routes?.limits(matched));
        let request = self.stream.head();
        let query = Query {
            request: &request,
            facts: self.rate_limit_facts(action),
            rules: own.map(|own| &own.rules),
        };
        let mut limiters = limits.of(is_refused).map(|limiter| match own {
            Some(own) => own.limiter.as_ref().unwrap_or(limiter),
            None => limiter,
        });
        let Some(limiter) =
            limiters.find(|limiter| limiter.refuses(query, || self.worker.random()))
        else {
            return false;
        };
        let config = &limiter.config;
        if !config.response_headers.is_empty() {
            self.add_shared(HeaderOps {
                remove: Vec::new(),
                set: config.response_headers.clone(),
            });
        }
        let reply = Reply::new(config.status, ResponseFlags::RATE_LIMITED, LIMITED);
        let (route, cluster) = self.of_action(action);
        self.answer(reply.with_body(LIMITED), route, cluster).await;
        true
    }

    /// What descriptors are made from beside the request's head.
    pub(super) fn rate_limit_facts<'f>(&'f self, action: &'f Action<'_>) -> RateLimitFacts<'f> {
        RateLimitFacts {
            peer: self.stream.remote().ip(),
            remote_address: self.context.http.policy.remote_address(),
            source_cluster: &self.worker.shared.options.service_cluster,
            destination_cluster: match action {
                Action::Forward(forwarding) => Some(forwarding.picked.cluster),
                _ => None,
            },
        }
    }
}

/// The route that was taken, and whether policies refuse the request.
pub(super) fn matched<'x>(action: &'x Action<'_>) -> (Option<&'x Matched<'x>>, bool) {
    match action {
        Action::Forward(forwarding) => (Some(&forwarding.matched), false),
        Action::Redirect { matched, .. }
        | Action::Direct { matched, .. }
        | Action::Preflight { matched, .. } => (Some(matched), false),
        Action::NoRoute | Action::Ask(_) => (None, false),
        Action::Reject(_) => (None, true),
    }
}
