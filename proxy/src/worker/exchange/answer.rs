//! Answers of the proxy itself.

use std::borrow::Cow;
use std::rc::Rc;

use super::{Exchange, Next};
use crate::http1::{Fields, Skipped};
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
    ) -> Next {
        // A body that has come in already is skipped; one that is still to come ends the connection.
        let skipped = self.stream.first_data(&mut Skipped);
        let close = !self.stream.is_complete() || skipped.is_err();
        self.info.received = self.stream.received();
        let next = Box::pin(self.reply(reply, close)).await;
        self.report(Fields::default(), route, cluster, None);
        next
    }

    /// Sends an answer of the proxy itself.
    pub(super) async fn reply(&mut self, reply: Reply<'_>, close: bool) -> Next {
        let draining = self.worker.downstream.draining(self.context.direction);
        let request = self.stream.head().head;
        let (keep_alive, to_head) = (request.keep_alive, request.is_head);
        let close = close || !keep_alive || draining;
        self.info.code = reply.code;
        self.info.flags |= reply.flags;
        self.info.details = match reply.denial {
            Some(denial) => Cow::Owned(denial.to_owned()),
            None => Cow::Borrowed(reply.details),
        };
        self.info.has_response = false;
        if !to_head {
            self.info.sent = reply.content().len() as u64;
        }
        let context = ReplyContext {
            dates: &self.worker.date_cache,
            server: self.server(),
            more: self.shared.as_deref(),
            close,
        };
        match self.stream.reply(&reply, context).await {
            Ok(()) if close => Next::Close,
            Ok(()) => Next::Keep,
            Err(_) => Next::Abort,
        }
    }
}
