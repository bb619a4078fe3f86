//! Failures that are injected before a request goes anywhere.

use std::rc::Rc;

use mesh_ir::evaluate::{Action, InjectedAbort, InjectedFault};
use tokio::time::Instant;

use super::Exchange;
use crate::record::ResponseFlags;
use crate::worker::grpc::is_grpc;
use crate::worker::reply::Reply;
use crate::worker::stream::DownstreamStream;
use crate::worker::upstream::LocalCluster;

const BODY: &str = "fault filter abort";
const DETAILS: &str = "fault_filter_abort";

// === impl Exchange ===

impl<'a, D: DownstreamStream> Exchange<'a, D> {
    /// Holds the request back, then answers it, as far as the fault says so. Whether it was answered.
    pub(super) async fn inject(&mut self, fault: InjectedFault, action: &Action<'_>) -> bool {
        let InjectedFault { delay, abort } = fault;
        if let Some(delay) = delay {
            self.info.flags |= ResponseFlags::DELAY_INJECTED;
            let before = Instant::now();
            tokio::time::sleep(delay).await;
            self.held_back = before.elapsed();
        }
        let Some(abort) = abort else {
            return false;
        };
        let request = self.stream.head();
        let (code, status) = match abort {
            InjectedAbort::Http(code) => (code, None),
            InjectedAbort::Grpc(status) => (200, is_grpc(request).then_some(status)),
        };
        let reply = Reply {
            grpc_status: status,
            ..Reply::new(code, ResponseFlags::FAULT_INJECTED, DETAILS).with_body(BODY)
        };
        let (route, cluster) = self.of_action(action);
        self.answer(reply, route, cluster).await;
        true
    }

    /// The route that was taken, and where the request would have gone.
    pub(super) fn of_action<'x>(
        &self,
        action: &'x Action<'_>,
    ) -> (&'x str, Option<&'a Rc<LocalCluster>>) {
        match action {
            Action::Forward(forwarding) => {
                let runtime = self.runtime;
                let id = self
                    .context
                    .routes
                    .and_then(|routes| routes.cluster(forwarding));
                let cluster = id.and_then(|id| runtime.cluster(id));
                (&forwarding.matched.route.name, cluster)
            }
            Action::Redirect { matched, .. }
            | Action::Direct { matched, .. }
            | Action::Preflight { matched, .. } => (&matched.route.name, None),
            Action::NoRoute | Action::Reject(_) | Action::Ask(_) => ("", None),
        }
    }
}
