//! Spans as collectors get them.

use std::time::{Duration, UNIX_EPOCH};

use prost::Message;
use serde_json::json;

use super::span::export;
use super::*;

fn span() -> Span {
    Span {
        context: Context {
            trace: 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10,
            span: 0x1112_1314_1516_1718,
            parent: Some(0x2122_2324_2526_2728),
            sampled: true,
        },
        state: "a=b".to_owned(),
        name: "reviews.default.svc.cluster.local:9080/*".to_owned(),
        kind: SpanKind::Server,
        start: UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
        duration: Duration::from_micros(4_567),
        tags: vec![("http.status_code".into(), "503".to_owned())],
        error: true,
    }
}

#[test]
fn zipkin_gets_json() {
    let text = zipkin::encode(&[span()], "reviews.default");
    let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(
        value,
        json!([{
            "traceId": "0102030405060708090a0b0c0d0e0f10",
            "id": "1112131415161718",
            "parentId": "2122232425262728",
            "name": "reviews.default.svc.cluster.local:9080/*",
            "kind": "SERVER",
            "timestamp": 1_700_000_000_123_000_u64,
            "duration": 4567,
            "localEndpoint": {"serviceName": "reviews.default"},
            "tags": {"http.status_code": "503"},
        }])
    );
}

/// The bytes are compared, since whoever reads them has other definitions of the messages.
#[test]
fn open_telemetry_gets_its_messages() {
    let message = export(vec![span()], "r").encode_to_vec();
    let mut expect: Vec<u8> = Vec::new();
    let field = |number: u8, bytes: &[u8]| {
        let mut out = vec![number << 3 | 2];
        prost::encode_length_delimiter(bytes.len(), &mut out).unwrap();
        out.extend_from_slice(bytes);
        out
    };
    let text = |key: &str, value: &str| {
        [
            field(1, key.as_bytes()),
            field(2, &field(1, value.as_bytes())),
        ]
        .concat()
    };
    let fixed =
        |number: u8, value: u64| [vec![number << 3 | 1], value.to_le_bytes().to_vec()].concat();
    let start = 1_700_000_000_123_000_000;
    let span = [
        field(1, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]),
        field(2, &[0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18]),
        field(3, b"a=b"),
        field(4, &[0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28]),
        field(5, b"reviews.default.svc.cluster.local:9080/*"),
        vec![6 << 3, 2],
        fixed(7, start),
        fixed(8, start + 4_567_000),
        field(9, &text("http.status_code", "503")),
        field(15, &[3 << 3, 2]),
    ]
    .concat();
    let resource = field(1, &field(1, &text("service.name", "r")));
    expect.extend(field(1, &[resource, field(2, &field(2, &span))].concat()));
    assert_eq!(message, expect);
}

#[test]
fn uris_are_cut() {
    assert_eq!(
        host_and_path("http://otel:4318/v1/traces"),
        ("otel:4318", "/v1/traces")
    );
    assert_eq!(host_and_path("https://otel"), ("otel", "/"));
}
