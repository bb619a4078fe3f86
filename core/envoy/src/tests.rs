//! Messages from JSON, to JSON and merged.

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::show::duration_text;

const LISTENER: &str = "envoy.config.listener.v3.Listener";
const CLUSTER: &str = "envoy.config.cluster.v3.Cluster";

fn any(name: &str, value: &Value) -> Bytes {
    let mut value = value.clone();
    value["@type"] = type_url(name).into();
    any_from_json(&value).unwrap()
}

/// JSON that comes back as it was.
#[track_caller]
fn round_trip(name: &str, value: &Value) {
    let mut shown = any_to_json(&any(name, value)).unwrap();
    shown.as_object_mut().unwrap().shift_remove("@type");
    assert_eq!(&shown, value);
}

#[test]
fn messages_are_read_and_shown() {
    round_trip(
        CLUSTER,
        &json!({
            "name": "a",
            "type": "STRICT_DNS",
            "connect_timeout": "0.250s",
            "per_connection_buffer_limit_bytes": 32768,
            "circuit_breakers": { "thresholds": [{ "priority": "HIGH", "max_retries": 0 }, {}] },
            "metadata": { "filter_metadata": { "a": { "b": [1, 1.5, null, { "c": true }] } } },
            "outlier_detection": { "enforcing_success_rate": 0 },
            "common_lb_config": { "healthy_panic_threshold": { "value": 50.5 } },
        }),
    );
    round_trip(
        LISTENER,
        &json!({
            "filter_chains": [{ "filters": [{
                "name": "envoy.filters.network.tcp_proxy",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
                    "stat_prefix": "x", "cluster": "c",
                },
            }] }],
            "traffic_direction": "INBOUND",
        }),
    );
}

#[test]
fn names_in_camel_case_and_numbers_in_quotes_are_read() {
    let read = from_json(
        CLUSTER,
        &json!({ "connectTimeout": "3s", "perConnectionBufferLimitBytes": "7" }),
    );
    let same = from_json(
        CLUSTER,
        &json!({ "connect_timeout": "3s", "per_connection_buffer_limit_bytes": 7 }),
    );
    assert_eq!(read, same);
}

#[test]
fn a_typed_struct_is_the_message_that_it_stands_for() {
    let wasm = json!({
        "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
        "type_url": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer",
        "value": { "max_request_bytes": 5 },
    });
    let plain = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer",
        "max_request_bytes": 5,
    });
    assert_eq!(any_from_json(&wasm), any_from_json(&plain));
    let foreign = json!({
        "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
        "type_url": "type.googleapis.com/a.B",
        "value": { "c": 5 },
    });
    assert_eq!(
        any_to_json(&any_from_json(&foreign).unwrap()).unwrap(),
        foreign
    );
}

#[track_caller]
fn refused(name: &str, value: &Value, expect: &str) {
    let InvalidMessage { path, reason } = from_json(name, value).unwrap_err();
    let path: String = path.iter().map(ToString::to_string).collect();
    assert_eq!(format!("{path}: {reason}"), expect);
}

#[test]
fn what_is_wrong_is_told_by_its_path() {
    refused(
        CLUSTER,
        &json!({ "nam": "a" }),
        ".nam: envoy.config.cluster.v3.Cluster has no field nam",
    );
    refused(
        CLUSTER,
        &json!({ "connect_timeout": "3" }),
        ".connect_timeout: expected a duration such as 1.5s or 500ms, not \"3\"",
    );
    refused(
        CLUSTER,
        &json!({ "circuit_breakers": { "thresholds": [{}, { "max_retries": -1 }] } }),
        ".circuit_breakers.thresholds[1].max_retries: expected a whole number from 0 to 4294967295, not -1",
    );
    refused(
        LISTENER,
        &json!({ "filter_chains": [{ "filters": [{ "typed_config": { "@type": "type.googleapis.com/a.B" } }] }] }),
        ".filter_chains[0].filters[0].typed_config.@type: a.B is no message of Envoy's API",
    );
    refused(
        LISTENER,
        &json!({ "traffic_direction": "UP" }),
        ".traffic_direction: expected one of UNSPECIFIED, INBOUND, OUTBOUND, not \"UP\"",
    );
    refused(
        "envoy.config.route.v3.RouteMatch",
        &json!({ "prefix": "/", "path": "/a" }),
        ".path: prefix is set already, and only one of them can be",
    );
}

#[track_caller]
fn merged(name: &str, into: &Value, from: &Value, expect: &Value) {
    let (into, from) = (
        from_json(name, into).unwrap(),
        from_json(name, from).unwrap(),
    );
    let merged = merge(name, &into, &from).unwrap();
    let packed = wire::pack(&type_url(name), merged);
    let mut shown = any_to_json(&packed).unwrap();
    shown.as_object_mut().unwrap().shift_remove("@type");
    // Maps of JSON values are compared without order.
    assert_eq!(&shown, expect);
}

#[test]
fn messages_are_merged_as_protobuf_does() {
    merged(
        CLUSTER,
        &json!({
            "name": "a", "connect_timeout": "1.500s", "type": "EDS",
            "circuit_breakers": { "thresholds": [{ "max_retries": 1 }] },
            "eds_cluster_config": { "service_name": "s" },
        }),
        &json!({
            "connect_timeout": "2s", "cluster_type": { "name": "x" },
            "circuit_breakers": { "thresholds": [{ "max_retries": 2 }] },
            "eds_cluster_config": { "eds_config": { "ads": {} } },
        }),
        &json!({
            "name": "a", "connect_timeout": "2s", "cluster_type": { "name": "x" },
            "circuit_breakers": { "thresholds": [{ "max_retries": 1 }, { "max_retries": 2 }] },
            "eds_cluster_config": { "service_name": "s", "eds_config": { "ads": {} } },
        }),
    );
    merged(
        "envoy.config.core.v3.Metadata",
        &json!({ "filter_metadata": { "a": { "x": 1 }, "b": {} } }),
        &json!({ "filter_metadata": { "a": { "y": 2 } } }),
        &json!({ "filter_metadata": { "a": { "y": 2 }, "b": {} } }),
    );
}

#[test]
fn durations_are_written_as_protobuf_does() {
    for (seconds, nanos, text) in [
        (0, 0, "0s"),
        (5, 0, "5s"),
        (0, 20_000_000, "0.020s"),
        (1, 1_000, "1.000001s"),
        (1, 1, "1.000000001s"),
        (-1, -500_000_000, "-1.500s"),
    ] {
        let duration = prost_types::Duration { seconds, nanos };
        assert_eq!(duration_text(&duration), text);
        let read = from_json("google.protobuf.Duration", &text.into()).unwrap();
        assert_eq!(read, prost::Message::encode_to_vec(&duration));
    }
}

#[test]
fn foreign_messages_are_named() {
    let error = any_to_json(&wire::pack("type.googleapis.com/a.B", Bytes::new())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a.B is no message that this version can show"
    );
}
