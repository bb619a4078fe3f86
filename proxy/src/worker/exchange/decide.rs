//! The decision: who the client is, whether it may, where the request goes, and what is to fail. All of it is `mesh-ir`'s to decide, which
//! is handed facts and numbers to draw by, and does nothing.

use std::time::SystemTime;

use mesh_ir::evaluate::{Decision, Request, Server, Tokens, evaluate};
use mesh_ir::matching::HeadEdits;
use mesh_token::TokenVerifier;

use super::Exchange;
use crate::worker::stream::DownstreamStream;

// === impl Exchange ===

impl<'a, D: DownstreamStream> Exchange<'a, D> {
    /// What is known of the connection and the request, and what becomes of them.
    #[inline]
    pub(super) fn decide(&mut self) -> Decision<'a> {
        match &self.context.http.tokens {
            None => self.decide_by(Tokens::None, None),
            Some(verifier) => self.check_tokens(verifier),
        }
    }

    /// The decision by the tokens of the request.
    #[cold]
    fn check_tokens(&mut self, verifier: &TokenVerifier) -> Decision<'a> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_secs());
        let mut cache = self.worker.tokens.borrow_mut();
        let checked = verifier.check(&self.stream.head(), now, &mut cache);
        let decision = self.decide_by(checked.tokens(), Some(&checked.edits));
        if !checked.edits.is_empty() {
            self.written.edits = Some(Box::new(checked.edits));
        }
        decision
    }

    #[inline]
    fn decide_by(&self, tokens: Tokens<'_>, edits: Option<&HeadEdits>) -> Decision<'a> {
        let head = self.stream.head();
        let connection = self.stream.facts(self.context.destination);
        let request = Request {
            connection: &connection,
            head: &head,
            tokens,
            edits,
        };
        let server = Server {
            policy: &self.context.http.policy,
            routes: self.context.routes.map(|routes| &*routes.table),
        };
        evaluate(server, &request, &mut || self.worker.random(), &mut ())
    }
}
