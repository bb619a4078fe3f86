//! The messages mean the same to `envoy-types`.

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::service::discovery::v3 as envoy;
use envoy_types::pb::google::{protobuf, rpc};
use prost::Message;

use super::*;

fn node() -> Node {
    Node {
        id: "id".into(),
        cluster: "cluster".into(),
        metadata: Some(Struct {
            fields: [("KEY".to_owned(), prost_types::Value::from("value"))].into(),
        }),
        locality: Some(Locality {
            region: "r".into(),
            zone: "z".into(),
            sub_zone: "s".into(),
        }),
        user_agent_name: "agent".into(),
        user_agent_version: "1".into(),
    }
}

fn envoy_node() -> core::Node {
    let value = protobuf::Value {
        kind: Some(protobuf::value::Kind::StringValue("value".into())),
    };
    core::Node {
        id: "id".into(),
        cluster: "cluster".into(),
        metadata: Some(protobuf::Struct {
            fields: [("KEY".to_owned(), value)].into(),
        }),
        locality: Some(core::Locality {
            region: "r".into(),
            zone: "z".into(),
            sub_zone: "s".into(),
        }),
        user_agent_name: "agent".into(),
        user_agent_version_type: Some(core::node::UserAgentVersionType::UserAgentVersion(
            "1".into(),
        )),
        ..core::Node::default()
    }
}

fn status() -> Option<Status> {
    Some(Status {
        code: 3,
        message: "why".into(),
    })
}

fn envoy_status() -> Option<rpc::Status> {
    Some(rpc::Status {
        code: 3,
        message: "why".into(),
        details: vec![],
    })
}

fn any() -> Bytes {
    Any {
        type_url: "t".into(),
        value: Bytes::from_static(b"v"),
    }
    .encode_to_vec()
    .into()
}

fn envoy_any() -> protobuf::Any {
    protobuf::Any {
        type_url: "t".into(),
        value: b"v".to_vec(),
    }
}

#[track_caller]
fn check<A, B>(ours: &A, theirs: &B)
where
    A: Message + Default + PartialEq + std::fmt::Debug,
    B: Message + Default + PartialEq + std::fmt::Debug,
{
    assert_eq!(&B::decode(ours.encode_to_vec().as_slice()).unwrap(), theirs);
    assert_eq!(&A::decode(theirs.encode_to_vec().as_slice()).unwrap(), ours);
}

#[test]
fn state_of_the_world_messages() {
    check(
        &DiscoveryRequest {
            version_info: "1".into(),
            node: Some(node()),
            resource_names: vec!["a".into(), "b".into()],
            type_url: "t".into(),
            response_nonce: "n".into(),
            error_detail: status(),
        },
        &envoy::DiscoveryRequest {
            version_info: "1".into(),
            node: Some(envoy_node()),
            resource_names: vec!["a".into(), "b".into()],
            type_url: "t".into(),
            response_nonce: "n".into(),
            error_detail: envoy_status(),
            ..Default::default()
        },
    );
    check(
        &DiscoveryResponse {
            version_info: "1".into(),
            resources: vec![any()],
            type_url: "t".into(),
            nonce: "n".into(),
            control_plane: Some(ControlPlane {
                identifier: "i".into(),
            }),
        },
        &envoy::DiscoveryResponse {
            version_info: "1".into(),
            resources: vec![envoy_any()],
            type_url: "t".into(),
            nonce: "n".into(),
            control_plane: Some(core::ControlPlane {
                identifier: "i".into(),
            }),
            ..Default::default()
        },
    );
}

#[test]
fn delta_messages() {
    check(
        &DeltaDiscoveryRequest {
            node: Some(node()),
            type_url: "t".into(),
            resource_names_subscribe: vec!["a".into()],
            resource_names_unsubscribe: vec!["b".into()],
            initial_resource_versions: [("a".to_owned(), "1".to_owned())].into(),
            response_nonce: "n".into(),
            error_detail: status(),
        },
        &envoy::DeltaDiscoveryRequest {
            node: Some(envoy_node()),
            type_url: "t".into(),
            resource_names_subscribe: vec!["a".into()],
            resource_names_unsubscribe: vec!["b".into()],
            initial_resource_versions: [("a".to_owned(), "1".to_owned())].into(),
            response_nonce: "n".into(),
            error_detail: envoy_status(),
            ..Default::default()
        },
    );
    check(
        &DeltaDiscoveryResponse {
            system_version_info: "1".into(),
            resources: vec![Resource {
                version: "1".into(),
                resource: any(),
                name: "a".into(),
            }],
            type_url: "t".into(),
            nonce: "n".into(),
            removed_resources: vec!["b".into()],
            control_plane: None,
        },
        &envoy::DeltaDiscoveryResponse {
            system_version_info: "1".into(),
            resources: vec![envoy::Resource {
                version: "1".into(),
                resource: Some(envoy_any()),
                name: "a".into(),
                ..Default::default()
            }],
            type_url: "t".into(),
            nonce: "n".into(),
            removed_resources: vec!["b".into()],
            ..Default::default()
        },
    );
}
