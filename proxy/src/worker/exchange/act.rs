//! The end of the stages: what was decided is done, upstream or here.

use mesh_ir::evaluate::{Action, Rejection};

use super::{Exchange, UpstreamTarget};
use crate::http1::RequestRef;
use crate::record::ResponseFlags;
use crate::worker::reply::Reply;
use crate::worker::scratch::UpstreamRoom;
use crate::worker::stream::DownstreamStream;

// === impl Exchange ===

impl<D: DownstreamStream> Exchange<'_, D> {
    /// Does what was decided.
    pub(super) async fn act(&mut self, room: &mut UpstreamRoom, action: Action<'_>) {
        let context = self.context;
        match action {
            Action::Forward(forwarding) => {
                let runtime = self.runtime;
                let found = context
                    .routes
                    .and_then(|routes| routes.cluster(&forwarding))
                    .and_then(|id| runtime.cluster(id));
                match found {
                    Some(cluster) => {
                        let target = UpstreamTarget {
                            forwarding: Some(forwarding),
                            cluster,
                        };
                        self.serve(room, target).await
                    }
                    None => {
                        let route = &forwarding.matched.route.name;
                        self.answer(Reply::NO_CLUSTER, route, None).await
                    }
                }
            }
            Action::NoRoute => self.answer(Reply::NO_ROUTE, "", None).await,
            Action::Redirect {
                matched,
                code,
                location,
            } => {
                let reply = Reply {
                    location: Some(&location),
                    ..Reply::new(code, ResponseFlags::NONE, "direct_response")
                };
                self.answer(reply, &matched.route.name, None).await
            }
            Action::Direct { matched, response } => {
                let reply = Reply::new(response.code, ResponseFlags::NONE, "direct_response")
                    .with_body(&response.body);
                self.answer(reply, &matched.route.name, None).await
            }
            Action::Preflight { matched, .. } => {
                let reply = Reply::new(200, ResponseFlags::NONE, "cors_response");
                self.answer(reply, &matched.route.name, None).await
            }
            Action::Reject(rejection) => self.reject(rejection).await,
            // Whoever is to be asked was asked before.
            Action::Ask(ask) => self.reject(Rejection::UnknownProvider(ask.rule)).await,
        }
    }

    /// Answers a request that policies refuse.
    async fn reject(&mut self, rejection: Rejection<'_>) {
        if let Rejection::UnknownProvider(rule) = rejection {
            self.worker.count_denial(rule);
        }
        let details = rejection.details();
        let challenge = match rejection {
            Rejection::Token(_) => Some(challenge(self.stream.head())),
            Rejection::Denied(_) | Rejection::UnknownProvider(_) => None,
        };
        let reply = Reply {
            denial: Some(&details),
            challenge: challenge.as_deref(),
            ..Reply::new(rejection.code(), ResponseFlags::NONE, "").with_body(rejection.body())
        };
        self.answer(reply, "", None).await;
    }
}

/// What a client with a wrong token is told (RFC 6750), as by Envoy.
fn challenge(request: RequestRef<'_>) -> Vec<u8> {
    /// Longest realm.
    const LONGEST: usize = 256;
    let parts = [
        request.scheme(),
        b"://",
        request.authority(),
        request.path(),
    ];
    let mut realm = parts.concat();
    realm.truncate(LONGEST);
    realm.retain(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
    [b"Bearer realm=\"", &*realm, b"\", error=\"invalid_token\""].concat()
}
