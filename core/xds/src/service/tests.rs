//! Client and server over a transport that is a function call.

use std::sync::Arc;
use std::time::SystemTime;

use futures::{StreamExt, stream};
use tonic::{Request, Status};

use super::{AdsClient, AdsServer, AdsService, Requests, ResponseStream};
use crate::ResourceType;
use crate::discovery::{
    DeltaDiscoveryRequest, DiscoveryRequest, DiscoveryResponse, EncodedDeltaResponse,
};
use crate::resource::ResourceSnapshot;
use crate::server::{DeltaStream, SotwStream};

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

/// Answers each request with what the state machines yield for an empty configuration.
struct Empty;

impl AdsService for Empty {
    async fn delta(
        &self,
        request: Request<Requests<DeltaDiscoveryRequest>>,
    ) -> Result<ResponseStream<EncodedDeltaResponse>, Status> {
        if request.metadata().get("authorization").is_none() {
            return Err(Status::unauthenticated("there is no token"));
        }
        let mut server = DeltaStream::new("test");
        server.update(ResourceSnapshot::default());
        let responses = request.into_inner().filter_map(move |request| {
            let response = request.and_then(|request| {
                let taken = server.on_request(request, NOW);
                taken.map_err(|error| Status::resource_exhausted(error.to_string()))?;
                Ok(server.poll(NOW))
            });
            async move { response.transpose() }
        });
        Ok(Box::pin(responses))
    }

    async fn state_of_the_world(
        &self,
        request: Request<Requests<DiscoveryRequest>>,
    ) -> Result<ResponseStream<DiscoveryResponse>, Status> {
        let mut server = SotwStream::new("test");
        server.update(ResourceSnapshot::default());
        let responses = request.into_inner().filter_map(move |request| {
            let response = request.and_then(|request| {
                let taken = server.on_request(request, NOW);
                taken.map_err(|error| Status::resource_exhausted(error.to_string()))?;
                Ok(server.poll(NOW))
            });
            async move { response.transpose() }
        });
        Ok(Box::pin(responses))
    }
}

fn client() -> AdsClient<AdsServer<Empty>> {
    AdsClient::new(AdsServer::new(Arc::new(Empty)))
}

#[tokio::test]
async fn delta_streams_carry_requests_metadata_and_responses() {
    let request = DeltaDiscoveryRequest {
        type_url: ResourceType::Cluster.type_url().to_owned(),
        ..DeltaDiscoveryRequest::default()
    };
    let mut with_token = Request::new(stream::iter([request]));
    let token = "Bearer x".parse().unwrap();
    with_token.metadata_mut().insert("authorization", token);
    let responses = client().delta(with_token).await.unwrap().into_inner();
    let responses: Vec<_> = responses.collect().await;
    let response = responses[0].as_ref().unwrap();
    assert_eq!(response.type_url, ResourceType::Cluster.type_url());
    assert_eq!(response.control_plane.as_ref().unwrap().identifier, "test");
    assert_eq!(responses.len(), 1);
}

#[tokio::test]
async fn state_of_the_world_streams_work_too() {
    let request = DiscoveryRequest {
        type_url: ResourceType::Listener.type_url().to_owned(),
        ..DiscoveryRequest::default()
    };
    let responses = client()
        .state_of_the_world(stream::iter([request]))
        .await
        .unwrap()
        .into_inner();
    let responses: Vec<_> = responses.collect().await;
    assert_eq!(
        responses[0].as_ref().unwrap().type_url,
        ResourceType::Listener.type_url()
    );
}

#[tokio::test]
async fn refusals_arrive_as_status() {
    let error = client()
        .delta(stream::empty::<DeltaDiscoveryRequest>())
        .await
        .unwrap_err();
    assert_eq!(error.code(), tonic::Code::Unauthenticated);
}
