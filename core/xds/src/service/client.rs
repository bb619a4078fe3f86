//! The client's side.

use bytes::Bytes;
use tonic::codegen::{Body, StdError, http::uri::PathAndQuery};
use tonic::{IntoStreamingRequest, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use super::{DELTA_PATH, SOTW_PATH};
use crate::discovery::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};

/// Largest response that is taken, in bytes. A first response holds all clusters of a mesh.
const MAX_RESPONSE: usize = 256 << 20;

/// Opens discovery streams over a channel (or any other gRPC transport).
#[derive(Clone, Debug)]
pub struct AdsClient<T> {
    inner: tonic::client::Grpc<T>,
}

// === impl AdsClient ===

impl<T> AdsClient<T>
where
    T: tonic::client::GrpcService<tonic::body::Body>,
    T::Error: Into<StdError>,
    T::ResponseBody: Body<Data = Bytes> + Send + 'static,
    <T::ResponseBody as Body>::Error: Into<StdError> + Send,
{
    /// A client over a transport.
    pub fn new(transport: T) -> Self {
        Self {
            inner: tonic::client::Grpc::new(transport).max_decoding_message_size(MAX_RESPONSE),
        }
    }

    /// Opens a delta stream. Metadata of the request (a token, for instance) is sent along.
    ///
    /// # Errors
    /// When the transport fails or the server refuses.
    pub async fn delta(
        &mut self,
        requests: impl IntoStreamingRequest<Message = DeltaDiscoveryRequest>,
    ) -> Result<Response<Streaming<DeltaDiscoveryResponse>>, Status> {
        self.open(DELTA_PATH, requests).await
    }

    /// Opens a state-of-the-world stream.
    ///
    /// # Errors
    /// When the transport fails or the server refuses.
    pub async fn state_of_the_world(
        &mut self,
        requests: impl IntoStreamingRequest<Message = DiscoveryRequest>,
    ) -> Result<Response<Streaming<DiscoveryResponse>>, Status> {
        self.open(SOTW_PATH, requests).await
    }

    async fn open<Q, A>(
        &mut self,
        path: &'static str,
        requests: impl IntoStreamingRequest<Message = Q>,
    ) -> Result<Response<Streaming<A>>, Status>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        self.inner.ready().await.map_err(unreachable)?;
        self.inner
            .streaming(
                requests.into_streaming_request(),
                PathAndQuery::from_static(path),
                ProstCodec::<Q, A>::default(),
            )
            .await
    }
}

/// Why nothing can be asked: the transport is not ready.
pub(crate) fn unreachable(error: impl Into<StdError>) -> Status {
    let error = error.into();
    Status::unavailable(format!("the control plane cannot be reached: {error}"))
}
