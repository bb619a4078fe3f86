//! What a client makes of a server that does not answer everything.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mesh_ir::{Endpoints, Locality, LocalityEndpoints};

use super::*;
use crate::resource::XdsResource;
use crate::resource::tests::cluster_with_eds;

fn endpoints(cluster: &str, priority: u32) -> Endpoints {
    Endpoints {
        cluster: cluster.into(),
        localities: vec![LocalityEndpoints {
            priority,
            ..LocalityEndpoints::new(Locality::default(), vec![])
        }],
    }
}

fn response(kind: ResourceType, resources: Vec<(String, Bytes)>) -> DeltaDiscoveryResponse {
    let resources = resources.into_iter().map(|(name, resource)| Wire {
        version: "1".to_owned(),
        resource,
        name,
    });
    DeltaDiscoveryResponse {
        resources: resources.collect(),
        type_url: kind.type_url().to_owned(),
        ..DeltaDiscoveryResponse::default()
    }
}

fn of<T: XdsResource>(values: &[T]) -> DeltaDiscoveryResponse {
    let resources = values.iter();
    response(
        T::TYPE,
        resources
            .map(|value| (value.name().to_owned(), value.encode()))
            .collect(),
    )
}

fn names(client: &mut Client) -> Vec<Arc<str>> {
    let config = client.config();
    config.clusters.iter().map(|it| it.name.clone()).collect()
}

#[test]
fn a_name_that_is_never_answered_holds_changes_up_for_a_limited_time() {
    let second = Duration::from_secs;
    let mut client = Client::new(Node::default());
    client.connect(second(0));
    client.receive(response(ResourceType::Listener, vec![]), second(1));
    client.receive(
        of(&[cluster_with_eds("a"), cluster_with_eds("silent")]),
        second(1),
    );
    assert!(
        client
            .receive(of(&[endpoints("a", 0)]), second(2))
            .is_empty()
    );

    // The first configuration waits long, and then comes without the cluster.
    let deadline = client.deadline().unwrap();
    assert_eq!(deadline, second(1) + FIRST_ANSWER_TIMEOUT);
    assert_eq!(client.give_up(deadline - second(1)), None);
    assert_eq!(client.give_up(deadline), Some(Event::Changed));
    assert_eq!(names(&mut client), ["a".into()]);
    assert_eq!(client.deadline(), None);

    // Later changes do not wait for it any more.
    let changed = client.receive(of(&[endpoints("a", 1)]), deadline);
    assert_eq!(changed, [Event::Changed]);

    // A new silent name holds up less long.
    let changed = client.receive(of(&[cluster_with_eds("new")]), deadline);
    assert!(changed.is_empty());
    assert_eq!(client.deadline(), Some(deadline + ANSWER_TIMEOUT));

    // Once it is answered, it counts.
    let changed = client.receive(of(&[endpoints("silent", 0), endpoints("new", 0)]), deadline);
    assert_eq!(changed, [Event::Changed]);
    assert_eq!(
        names(&mut client),
        ["a".into(), "new".into(), "silent".into()]
    );
}

#[test]
fn a_new_stream_is_asked_again_for_what_was_not_answered() {
    let second = Duration::from_secs;
    let mut client = Client::new(Node::default());
    client.connect(second(0));
    client.receive(response(ResourceType::Listener, vec![]), second(1));
    client.receive(of(&[cluster_with_eds("silent")]), second(1));
    let later = second(100);
    assert_eq!(client.give_up(later), Some(Event::Changed));
    client.connect(later);
    assert_eq!(client.deadline(), Some(later + ANSWER_TIMEOUT));
    let mut requests = std::iter::from_fn(|| client.next_request());
    assert!(requests.any(|it| it.resource_names_subscribe == ["silent"]));
}
