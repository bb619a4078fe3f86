//! The client's side.

use bytes::Bytes;
use tonic::codegen::{Body, StdError, http::uri::PathAndQuery};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use super::{CREATE_PATH, CertificateRequest, CertificateResponse, MAX_MESSAGE};
use crate::service::unreachable;

/// Asks for certificates over a channel (or any other gRPC transport).
#[derive(Clone, Debug)]
pub struct CertificateClient<T> {
    inner: tonic::client::Grpc<T>,
}

// === impl CertificateClient ===

impl<T> CertificateClient<T>
where
    T: tonic::client::GrpcService<tonic::body::Body>,
    T::Error: Into<StdError>,
    T::ResponseBody: Body<Data = Bytes> + Send + 'static,
    <T::ResponseBody as Body>::Error: Into<StdError> + Send,
{
    /// A client over a transport.
    pub fn new(transport: T) -> Self {
        Self {
            inner: tonic::client::Grpc::new(transport).max_decoding_message_size(MAX_MESSAGE),
        }
    }

    /// Asks for a certificate. Metadata of the request (the token) is sent along.
    ///
    /// # Errors
    /// When the transport fails or the server refuses.
    pub async fn create(
        &mut self,
        request: Request<CertificateRequest>,
    ) -> Result<CertificateResponse, Status> {
        self.inner.ready().await.map_err(unreachable)?;
        let path = PathAndQuery::from_static(CREATE_PATH);
        let codec = ProstCodec::<CertificateRequest, CertificateResponse>::default();
        let response = self.inner.unary(request, path, codec).await?;
        Ok(response.into_inner())
    }
}
