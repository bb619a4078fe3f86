//! How often resources are sent that a client refuses.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::ResourceType;
use crate::discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Status};
use crate::resource::{Entry, ResourceSet, ResourceSnapshot};
use crate::server::DeltaStream;

const KIND: ResourceType = ResourceType::Cluster;
const COUNT: usize = 500;

fn name(index: usize) -> String {
    format!("c{index}")
}

/// Clusters of these versions by their position.
fn snapshot(versions: impl Fn(usize) -> u64, generation: u64) -> ResourceSnapshot {
    let any = Bytes::from_static(b"any");
    let entry = |name: String, version| (name.clone(), Entry::new(&name, version, &any));
    let set: ResourceSet = (0..COUNT)
        .map(|index| entry(name(index), versions(index)))
        .collect();
    ResourceSnapshot::default()
        .with(KIND, Arc::new(set))
        .with_version(generation)
}

/// A client that answers everything at once.
struct Client {
    stream: DeltaStream,
    now: SystemTime,
    responses: Vec<DeltaDiscoveryResponse>,
}

impl Client {
    fn new() -> Self {
        let mut stream = DeltaStream::new("");
        let request = DeltaDiscoveryRequest {
            type_url: KIND.type_url().to_owned(),
            ..DeltaDiscoveryRequest::default()
        };
        stream.on_request(request, SystemTime::UNIX_EPOCH).unwrap();
        Self {
            stream,
            now: SystemTime::UNIX_EPOCH,
            responses: vec![],
        }
    }

    /// Answers until some time has passed, with the refusal that `judge` gives.
    fn run(
        &mut self,
        time: Duration,
        judge: impl Fn(&DeltaDiscoveryResponse) -> Option<&'static str>,
    ) -> usize {
        let (end, before) = (self.now + time, self.responses.len());
        while self.now <= end {
            while let Some(response) = self.stream.poll(self.now) {
                let response = response.decoded().unwrap();
                let error_detail = judge(&response).map(|message| Status {
                    code: 3,
                    message: message.to_owned(),
                });
                let answer = DeltaDiscoveryRequest {
                    type_url: response.type_url.clone(),
                    response_nonce: response.nonce.clone(),
                    error_detail,
                    ..DeltaDiscoveryRequest::default()
                };
                self.stream.on_request(answer, self.now).unwrap();
                self.responses.push(response);
            }
            match self.stream.wake_at() {
                Some(wake) if wake <= end => self.now = wake,
                _ => break,
            }
        }
        self.now = end;
        self.responses.len() - before
    }
}

#[test]
fn a_client_that_refuses_everything_is_tried_a_bounded_number_of_times() {
    let mut client = Client::new();
    client.stream.update(snapshot(|_| 1, 1));
    let refuse = |_: &DeltaDiscoveryResponse| Some("no");
    let first = client.run(Duration::from_secs(600), refuse);
    assert!(
        (30..=100).contains(&first),
        "{first} responses in ten minutes"
    );
    // Nothing blocks the others, and the status tells of all that is not there.
    let status = client.stream.status(KIND);
    assert_eq!(status.refused.len(), COUNT);
    assert_eq!(status.synced, Some(1));

    // What changes is sent, and only that.
    client
        .stream
        .update(snapshot(|index| if index == 7 { 2 } else { 1 }, 2));
    let response = client.stream.poll(client.now).unwrap().decoded().unwrap();
    assert_eq!(response.resources[0].name, name(7));
}

#[test]
fn one_bad_resource_is_found_without_its_name() {
    let mut client = Client::new();
    client.stream.update(snapshot(|_| 1, 1));
    let judge = |response: &DeltaDiscoveryResponse| {
        let mut resources = response.resources.iter();
        resources.any(|it| it.name == name(123)).then_some("no")
    };
    let count = client.run(Duration::ZERO, judge);
    assert!(count <= 20, "{count} responses");
    let status = client.stream.status(KIND);
    let refused: Vec<&str> = status.refused.keys().map(|name| &**name).collect();
    assert_eq!(refused, [name(123)]);
    // It is not sent again, however long the client stays and whatever else changes.
    client
        .stream
        .update(snapshot(|index| if index == 123 { 1 } else { 2 }, 2));
    let before = client.responses.len();
    assert_eq!(client.run(Duration::from_secs(3600), judge), 1);
    let sent = &client.responses[before].resources;
    assert_eq!(sent.len(), COUNT - 1);
}

#[test]
fn refused_resources_that_are_named_are_not_tried_at_all() {
    let mut client = Client::new();
    client.stream.update(snapshot(|_| 1, 1));
    let judge = |response: &DeltaDiscoveryResponse| {
        (response.resources.len() == COUNT).then_some("\"c3\": bad; \"c9\": bad")
    };
    assert_eq!(client.run(Duration::from_secs(3600), judge), 1);
    assert_eq!(client.stream.status(KIND).refused.len(), 2);
}
