//! The server's side.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tonic::codegen::{Body, BoxFuture, Service, StdError, http};
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use super::{DELTA_PATH, NAME, SOTW_PATH};
use crate::discovery::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};

/// Largest request that is taken, in bytes. A client that resumes tells the version of everything it has.
const MAX_REQUEST: usize = 16 << 20;

/// Responses of one stream.
pub type ResponseStream<T> =
    Pin<Box<dyn futures::Stream<Item = Result<T, Status>> + Send + 'static>>;

/// What a control plane implements.
pub trait AdsService: Send + Sync + 'static {
    /// Serves a delta stream.
    fn delta(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> impl Future<Output = Result<ResponseStream<DeltaDiscoveryResponse>, Status>> + Send;

    /// Serves a state-of-the-world stream.
    fn state_of_the_world(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> impl Future<Output = Result<ResponseStream<DiscoveryResponse>, Status>> + Send;
}

/// The service for tonic's router.
#[derive(Debug)]
pub struct AdsServer<S> {
    service: Arc<S>,
}

/// One method of the service.
struct Method<S, Q> {
    service: Arc<S>,
    request: PhantomData<fn(Q)>,
}

// === impl AdsServer ===

impl<S: AdsService> AdsServer<S> {
    /// Serves an implementation.
    pub fn new(service: Arc<S>) -> Self {
        Self { service }
    }

    fn method<Q>(&self) -> Method<S, Q> {
        Method {
            service: self.service.clone(),
            request: PhantomData,
        }
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
    B: Body + Send + 'static,
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
            DELTA_PATH => serve(self.method::<DeltaDiscoveryRequest>(), request),
            SOTW_PATH => serve(self.method::<DiscoveryRequest>(), request),
            other => {
                let status = Status::unimplemented(format!("there is no method {other}"));
                Box::pin(ready(Ok(status.into_http())))
            }
        }
    }
}

fn serve<M, Q, B>(
    method: M,
    request: http::Request<B>,
) -> BoxFuture<http::Response<tonic::body::Body>, Infallible>
where
    M: StreamingService<Q> + Send + 'static,
    M::Response: prost::Message + 'static,
    M::ResponseStream: Send + 'static,
    M::Future: Send,
    Q: prost::Message + Default + 'static,
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    Box::pin(async move {
        let mut grpc = Grpc::new(ProstCodec::<M::Response, Q>::default())
            .max_decoding_message_size(MAX_REQUEST);
        Ok(grpc.streaming(method, request).await)
    })
}

// === impl Method ===

impl<S: AdsService> StreamingService<DeltaDiscoveryRequest> for Method<S, DeltaDiscoveryRequest> {
    type Response = DeltaDiscoveryResponse;
    type ResponseStream = ResponseStream<DeltaDiscoveryResponse>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<Streaming<DeltaDiscoveryRequest>>) -> Self::Future {
        let service = self.service.clone();
        Box::pin(async move { service.delta(request).await.map(Response::new) })
    }
}

impl<S: AdsService> StreamingService<DiscoveryRequest> for Method<S, DiscoveryRequest> {
    type Response = DiscoveryResponse;
    type ResponseStream = ResponseStream<DiscoveryResponse>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<Streaming<DiscoveryRequest>>) -> Self::Future {
        let service = self.service.clone();
        Box::pin(async move { service.state_of_the_world(request).await.map(Response::new) })
    }
}
