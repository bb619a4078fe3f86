//! Who is let in: a stream needs a permit, and where tokens are asked for, a valid one.

use std::net::SocketAddr;
use std::sync::Arc;

use futures::stream;
use mesh_xds::discovery::{
    DeltaDiscoveryRequest, DiscoveryRequest, DiscoveryResponse, EncodedDeltaResponse,
};
use mesh_xds::server::{DeltaStream, SotwStream};
use mesh_xds::service::{AdsService, Requests, ResponseStream};
use tonic::{Request, Status};

use super::Shared;
use super::discovery_stream::DiscoveryStream;
use super::session::{Caller, Session};
use crate::identity::{TokenError, Tokens};

/// One listener's entry to the sessions.
pub struct DiscoveryService {
    shared: Arc<Shared>,
    /// Whom to ask whose a token is; nobody where everyone is let in.
    tokens: Option<Arc<Tokens>>,
}

/// Where a connection comes from, among a request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

// === impl DiscoveryService ===

impl DiscoveryService {
    pub(super) fn new(shared: Arc<Shared>, tokens: Option<Arc<Tokens>>) -> Self {
        Self { shared, tokens }
    }

    async fn open<M: DiscoveryStream>(
        &self,
        request: Request<Requests<M::Request>>,
    ) -> Result<ResponseStream<M::Response>, Status> {
        let permit = Arc::clone(&self.shared.streams)
            .try_acquire_owned()
            .map_err(|_| {
                Status::resource_exhausted("too many proxies are connected; try another replica")
            })?;
        let owner = match &self.tokens {
            None => None,
            Some(tokens) => {
                let header = request
                    .metadata()
                    .get("authorization")
                    .and_then(|value| value.to_str().ok());
                Some(
                    tokens
                        .check(header)
                        .await
                        .map_err(|error| self.refuse(&error))?,
                )
            }
        };
        let share = match &owner {
            None => None,
            Some(owner) => {
                let share = self.shared.identities.take(owner.identity.clone());
                Some(share.ok_or_else(|| {
                    Status::resource_exhausted(
                        "too many proxies of this service account are connected; try another replica",
                    )
                })?)
            }
        };
        let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
        let caller = Caller {
            owner,
            peer,
            _permit: permit,
            _share: share,
        };
        let session = Session::<M>::new(Arc::clone(&self.shared), request.into_inner(), caller);
        // Boxed: the future that waits for the next response would hold the room for it twice.
        let session = Box::new(session);
        Ok(Box::pin(stream::unfold(
            Some(session),
            |session| async move {
                let mut session = session?;
                let response = session.next().await?;
                // An error is the last thing that a stream says.
                let rest = response.is_ok().then_some(session);
                Some((response, rest))
            },
        )))
    }

    fn refuse(&self, error: &TokenError) -> Status {
        self.shared.metrics.unauthenticated();
        tracing::warn!(%error, "a client was not let in");
        match error {
            TokenError::Unavailable(_) => Status::unavailable(error.to_string()),
            _ => Status::unauthenticated(error.to_string()),
        }
    }
}

impl AdsService for DiscoveryService {
    async fn delta(
        &self,
        request: Request<Requests<DeltaDiscoveryRequest>>,
    ) -> Result<ResponseStream<EncodedDeltaResponse>, Status> {
        self.open::<DeltaStream>(request).await
    }

    async fn state_of_the_world(
        &self,
        request: Request<Requests<DiscoveryRequest>>,
    ) -> Result<ResponseStream<DiscoveryResponse>, Status> {
        self.open::<SotwStream>(request).await
    }
}
