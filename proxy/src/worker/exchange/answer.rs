//! Answers of the proxy itself.

use std::borrow::Cow;
use std::rc::Rc;

use super::Exchange;
use crate::http1::{Fields, Skipped};
use crate::worker::grpc;
use crate::worker::reply::Reply;
use crate::worker::stream::{DownstreamStream, ReplyContext};
use crate::worker::upstream::LocalCluster;

// === impl Exchange ===

impl<D: DownstreamStream> Exchange<'_, D> {
    /// Answers without an upstream. Boxed, so that requests that are forwarded need no room for it.
    pub(super) async fn answer(
        &mut self,
        reply: Reply<'_>,
        route: &str,
        cluster: Option<&Rc<LocalCluster>>,
    ) {
        self.hide_query();
        // A body that has come in already is skipped. What is none is never complete.
        let _ = self.stream.first_data(&mut Skipped);
        self.info.received = self.stream.received();
        Box::pin(self.reply(reply)).await;
        self.report(Fields::default(), route, cluster, None);
    }

    /// Sends an answer of the proxy itself.
    pub(super) async fn reply(&mut self, reply: Reply<'_>) {
        let reply = if grpc::is_grpc(self.stream.head()) {
            reply.to_grpc()
        } else {
            reply
        };
        self.info.grpc = reply
            .grpc_status
            .and_then(|status| u8::try_from(status).ok());
        let draining = self.worker.is_last_answer(self.context.direction);
        self.info.code = reply.code;
        self.info.flags |= reply.flags;
        self.info.details = match reply.denial {
            Some(denial) => Cow::Owned(denial.to_owned()),
            None => Cow::Borrowed(reply.details),
        };
        self.info.has_response = false;
        if !self.stream.head().head.is_head {
            self.info.sent = reply.content().len() as u64;
        }
        let context = ReplyContext {
            dates: &self.worker.date_cache,
            server: self.server(),
            more: self.shared.as_deref(),
            draining,
        };
        self.stream.reply(&reply, context).await;
    }
}
