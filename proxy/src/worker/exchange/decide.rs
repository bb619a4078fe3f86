//! The decision: who the client is, whether it may, where the request goes, and what is to fail. All of it is `mesh-ir`'s to decide, which
//! is handed facts and numbers to draw by, and does nothing.

use mesh_ir::evaluate::{Decision, Request, Server, Tokens, evaluate};

use super::Exchange;
use crate::worker::stream::DownstreamStream;

// === impl Exchange ===

impl<'a, D: DownstreamStream> Exchange<'a, D> {
    /// What is known of the connection and the request, and what becomes of them.
    #[inline]
    pub(super) fn decide(&self) -> Decision<'a> {
        let head = self.stream.head();
        let connection = self.stream.facts(self.context.destination);
        let request = Request {
            connection: &connection,
            head: &head,
            tokens: Tokens::None,
        };
        let server = Server {
            policy: &self.context.http.policy,
            routes: self.context.routes.map(|routes| &*routes.table),
        };
        evaluate(server, &request, &mut || self.worker.random(), &mut ())
    }
}
