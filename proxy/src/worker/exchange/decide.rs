//! The decision: who the client is, whether it may, where the request goes, and what is to fail. All of it is `mesh-ir`'s to decide, which
//! is handed facts and numbers to draw by, and does nothing.

use std::time::SystemTime;

use mesh_ir::evaluate::{Action, Decision, Granted, Request, Server, Tokens, evaluate};
use mesh_ir::matching::{EditedRequest, HeadEdits};
use mesh_token::TokenVerifier;

use super::Exchange;
use crate::worker::stream::DownstreamStream;

// === impl Exchange ===

impl<'a, D: DownstreamStream> Exchange<'a, D> {
    /// What is known of the connection and the request, and what becomes of them.
    #[inline]
    pub(super) fn decide(&mut self) -> Decision<'a> {
        match &self.context.http.tokens {
            None => self.decide_by(Tokens::None, None, None),
            Some(verifier) => self.check_tokens(verifier, None),
        }
    }

    /// What becomes of the request after authorizers have allowed it.
    pub(super) fn decide_granted(&mut self, granted: &Granted) -> Decision<'a> {
        match &self.context.http.tokens {
            None => {
                let decision = self.decide_by(Tokens::None, None, Some(granted));
                self.keep_edits(&decision, granted.edits.clone());
                decision
            }
            Some(verifier) => self.check_tokens(verifier, Some(granted)),
        }
    }

    /// Keeps what has become of the head, unless it is not decided yet.
    fn keep_edits(&mut self, decision: &Decision<'_>, edits: HeadEdits) {
        let edits = match decision.action {
            // What was taken out of the query must not be told to a log, whatever comes of the question.
            Action::Ask(_) => HeadEdits {
                query: edits.query,
                ..HeadEdits::default()
            },
            _ => edits,
        };
        if !edits.is_empty() {
            self.written.edits = Some(Box::new(edits));
        }
    }

    /// The decision by the tokens of the request.
    #[cold]
    fn check_tokens(
        &mut self,
        verifier: &TokenVerifier,
        granted: Option<&Granted>,
    ) -> Decision<'a> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_secs());
        let mut cache = self.worker.tokens.borrow_mut();
        let head = self.stream.head();
        let checked = match granted {
            None => verifier.check(&head, now, &mut cache),
            Some(granted) => {
                let edited = EditedRequest {
                    request: &head,
                    edits: &granted.edits,
                    tokens: Tokens::None,
                };
                verifier.check(&edited, now, &mut cache)
            }
        };
        drop(cache);
        let decision = self.decide_by(checked.tokens(), Some(&checked.edits), granted);
        let edits = match granted {
            None => checked.edits,
            Some(granted) => granted.edits.clone().followed_by(&checked.edits),
        };
        self.keep_edits(&decision, edits);
        decision
    }

    #[inline]
    fn decide_by(
        &self,
        tokens: Tokens<'_>,
        edits: Option<&HeadEdits>,
        granted: Option<&Granted>,
    ) -> Decision<'a> {
        let head = self.stream.head();
        let connection = self.stream.facts(self.context.destination);
        let request = Request {
            connection: &connection,
            head: &head,
            tokens,
            edits,
            granted,
        };
        let server = Server {
            policy: &self.context.http.policy,
            routes: self.context.routes.map(|routes| &*routes.table),
        };
        evaluate(server, &request, &mut || self.worker.random(), &mut ())
    }
}
