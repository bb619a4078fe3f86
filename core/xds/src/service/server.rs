//! The server's side.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tonic::codegen::{Body, BoxFuture, Service, StdError, http};
use tonic::server::NamedService;
use tonic::{Request, Status};

use super::framing::{Outgoing, Requests, Split};
use super::{DELTA_PATH, NAME, SOTW_PATH};
use crate::discovery::{
    DeltaDiscoveryRequest, DiscoveryRequest, DiscoveryResponse, EncodedDeltaResponse,
};

/// Responses of one stream.
pub type ResponseStream<T> =
    Pin<Box<dyn futures::Stream<Item = Result<T, Status>> + Send + 'static>>;

/// What a control plane implements.
pub trait AdsService: Send + Sync + 'static {
    /// Serves a delta stream.
    fn delta(
        &self,
        request: Request<Requests<DeltaDiscoveryRequest>>,
    ) -> impl Future<Output = Result<ResponseStream<EncodedDeltaResponse>, Status>> + Send;

    /// Serves a state-of-the-world stream.
    fn state_of_the_world(
        &self,
        request: Request<Requests<DiscoveryRequest>>,
    ) -> impl Future<Output = Result<ResponseStream<DiscoveryResponse>, Status>> + Send;
}

/// The service for tonic's router.
#[derive(Debug)]
pub struct AdsServer<S> {
    service: Arc<S>,
}

// === impl AdsServer ===

impl<S: AdsService> AdsServer<S> {
    /// Serves an implementation.
    pub fn new(service: Arc<S>) -> Self {
        Self { service }
    }
}

impl<S> Clone for AdsServer<S> {
    fn clone(&self) -> Self {
        Self {
            service: self.service.clone(),
        }
    }
}

impl<S> NamedService for AdsServer<S> {
    const NAME: &'static str = NAME;
}

impl<S, B> Service<http::Request<B>> for AdsServer<S>
where
    S: AdsService,
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
        match request.uri().path() {
            DELTA_PATH => serve::<Delta<S>, B>(self.service.clone(), request),
            SOTW_PATH => serve::<Sotw<S>, B>(self.service.clone(), request),
            other => no_method(other),
        }
    }
}

/// The answer to a call of a method that the service does not have.
pub(crate) fn no_method(path: &str) -> BoxFuture<http::Response<tonic::body::Body>, Infallible> {
    let status = Status::unimplemented(format!("there is no method {path}"));
    Box::pin(ready(Ok(status.into_http())))
}

/// Runs one stream. The answer's head goes out as soon as the client is let in.
fn serve<M, B>(
    service: Arc<M::Service>,
    request: http::Request<B>,
) -> BoxFuture<http::Response<tonic::body::Body>, Infallible>
where
    M: Method,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    Box::pin(async move {
        let request =
            Request::from_http(request).map(|body| Requests::new(tonic::body::Body::new(body)));
        Ok(match M::call(&service, request).await {
            Err(status) => status.into_http(),
            Ok(responses) => {
                let body = tonic::body::Body::new(Outgoing::new(responses));
                let mut response = http::Response::new(body);
                let grpc = http::HeaderValue::from_static("application/grpc");
                response
                    .headers_mut()
                    .insert(http::header::CONTENT_TYPE, grpc);
                response
            }
        })
    })
}

/// One of the two variants of the protocol.
trait Method: 'static {
    type Service: AdsService;
    type Request: prost::Message + Default + 'static;
    type Response: Split + Send + 'static;

    fn call(
        service: &Self::Service,
        request: Request<Requests<Self::Request>>,
    ) -> impl Future<Output = Result<ResponseStream<Self::Response>, Status>> + Send;
}

struct Delta<S>(PhantomData<fn(S)>);

struct Sotw<S>(PhantomData<fn(S)>);

// === impl Method ===

impl<S: AdsService> Method for Delta<S> {
    type Service = S;
    type Request = DeltaDiscoveryRequest;
    type Response = EncodedDeltaResponse;

    async fn call(
        service: &S,
        request: Request<Requests<DeltaDiscoveryRequest>>,
    ) -> Result<ResponseStream<EncodedDeltaResponse>, Status> {
        service.delta(request).await
    }
}

impl<S: AdsService> Method for Sotw<S> {
    type Service = S;
    type Request = DiscoveryRequest;
    type Response = DiscoveryResponse;

    async fn call(
        service: &S,
        request: Request<Requests<DiscoveryRequest>>,
    ) -> Result<ResponseStream<DiscoveryResponse>, Status> {
        service.state_of_the_world(request).await
    }
}
