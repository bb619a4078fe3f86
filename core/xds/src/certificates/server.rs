//! The server's side.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tonic::codegen::{Body, BoxFuture, Service, StdError, http};
use tonic::server::{Grpc, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::{CREATE_PATH, CertificateRequest, CertificateResponse, MAX_MESSAGE};
use crate::service::no_method;

/// What an authority implements.
pub trait CertificateService: Send + Sync + 'static {
    /// Issues a certificate to whom the request's metadata says it comes from.
    fn create(
        &self,
        request: Request<CertificateRequest>,
    ) -> impl Future<Output = Result<CertificateResponse, Status>> + Send;
}

/// The service on gRPC.
#[derive(Debug)]
pub struct CertificateServer<S> {
    service: Arc<S>,
}

/// The one method.
struct Create<S>(Arc<S>);

// === impl CertificateServer ===

impl<S: CertificateService> CertificateServer<S> {
    /// Serves an implementation.
    pub fn new(service: Arc<S>) -> Self {
        Self { service }
    }
}

impl<S> Clone for CertificateServer<S> {
    fn clone(&self) -> Self {
        Self {
            service: self.service.clone(),
        }
    }
}

impl<S, B> Service<http::Request<B>> for CertificateServer<S>
where
    S: CertificateService,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        if request.uri().path() != CREATE_PATH {
            return no_method(request.uri().path());
        }
        let method = Create(self.service.clone());
        Box::pin(async move {
            let codec = ProstCodec::<CertificateResponse, CertificateRequest>::default();
            let mut grpc = Grpc::new(codec).max_decoding_message_size(MAX_MESSAGE);
            Ok(grpc.unary(method, request).await)
        })
    }
}

// === impl Create ===

impl<S: CertificateService> UnaryService<CertificateRequest> for Create<S> {
    type Response = CertificateResponse;
    type Future = BoxFuture<Response<CertificateResponse>, Status>;

    fn call(&mut self, request: Request<CertificateRequest>) -> Self::Future {
        let service = self.0.clone();
        Box::pin(async move { service.create(request).await.map(Response::new) })
    }
}
