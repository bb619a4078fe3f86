//! One record through every format, and lines through to their file.

use std::time::{Duration, UNIX_EPOCH};

use mesh_ir::{Direction, FileLog as Config};
use proptest::prelude::*;

use super::*;
use crate::http1::Fields;
use crate::record::{Protocol, Request, ResponseFlags};

/// A request as bookinfo's product page sends it.
fn record() -> Record<'static> {
    Record {
        direction: Direction::Outbound,
        request: Some(Request {
            method: b"GET",
            authority: b"reviews:9080",
            path: b"/v2/reviews/0",
            original_path: Some(b"/reviews/0"),
            scheme: b"http",
            request_id: Some(b"a-b-c"),
            forwarded_for: None,
            fields: Fields::default(),
        }),
        protocol: Protocol::Http11,
        duration: Duration::from_millis(1_500),
        code: 503,
        flags: ResponseFlags::CONNECTION_FAILURE | ResponseFlags::RETRIES_EXHAUSTED,
        details: "upstream_reset",
        termination_details: None,
        transport_failure: Some("connection refused"),
        bytes_received: 0,
        bytes_sent: 91,
        request_head_bytes: 100,
        response_head_bytes: 50,
        response: Fields::default(),
        upstream_service_time: None,
        grpc_status: None,
        upstream_cluster: Some("outbound|9080|v2|reviews.default.svc.cluster.local"),
        upstream_host: Some(([127, 0, 0, 9], 9080).into()),
        upstream_local: None,
        downstream_local: ([10, 0, 0, 1], 9080).into(),
        downstream_remote: ([127, 0, 0, 2], 4242).into(),
        tls: None,
        upstream_tls: None,
        route_name: "",
        attempts: 3,
        service: None,
        trace: None,
    }
}

fn config(format: Option<&str>, json: bool) -> Config {
    Config {
        path: "/dev/stdout".into(),
        format: format.map(Into::into),
        json,
        omit_empty: false,
    }
}

fn line(format: Option<&str>, json: bool) -> String {
    let format = Format::compile(&config(format, json)).unwrap();
    let mut out = vec![];
    let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    format.write(&mut out, &record(), now);
    String::from_utf8(out).unwrap()
}

#[track_caller]
fn check(format: &str, expected: &str) {
    assert_eq!(line(Some(format), false), expected);
}

#[test]
fn the_default_line_is_istios() {
    assert_eq!(
        line(None, false),
        "[2023-11-14T22:13:18.500Z] \"GET /reviews/0 HTTP/1.1\" 503 UF,URX upstream_reset - \"connection refused\" 0 91 \
         1500 - \"-\" \"-\" \"a-b-c\" \"reviews:9080\" \"127.0.0.9:9080\" \
         outbound|9080|v2|reviews.default.svc.cluster.local - 10.0.0.1:9080 127.0.0.2:4242 - -"
    );
}

#[test]
fn operators_are_expanded() {
    check(
        "100%% %REQ(:path)% %REQ(X-NONE?:METHOD):2%|",
        "100% /v2/reviews/0 GE|",
    );
    check("%START_TIME(%H:%M:%S)%", "22:13:18");
    check("%UPSTREAM_REQUEST_ATTEMPT_COUNT% %RESP(:STATUS)%", "3 503");
    check(
        "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
        "127.0.0.2",
    );
    check("%DYNAMIC_METADATA(a:b)% %GRPC_STATUS%", "- -");
}

#[test]
fn json_keeps_types_and_order() {
    let format = r#"{"z":"%RESPONSE_CODE%","a":"code %RESPONSE_CODE%","none":"%GRPC_STATUS%","n":{"x":[1,"%PROTOCOL%"]}}"#;
    assert_eq!(
        line(Some(format), true),
        r#"{"z":503,"a":"code 503","none":null,"n":{"x":[1,"HTTP/1.1"]}}"#
    );
    let default: serde_json::Value = serde_json::from_str(&line(None, true)).unwrap();
    assert_eq!(default["path"], "/reviews/0");
    assert_eq!(default["bytes_sent"], 91);
    assert_eq!(default["upstream_local_address"], serde_json::Value::Null);
}

#[test]
fn what_has_no_value_can_be_left_out() {
    let write = |format: &str, json| {
        let config = Config {
            omit_empty: true,
            ..config(Some(format), json)
        };
        let mut out = vec![];
        let format = Format::compile(&config).unwrap();
        format.write(&mut out, &record(), UNIX_EPOCH);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(write("<%GRPC_STATUS%>", false), "<>");
    let format = r#"{"none":"%GRPC_STATUS%","a":"%RESPONSE_CODE%","n":{"x":"%TRACE_ID%"}}"#;
    assert_eq!(write(format, true), r#"{"a":503,"n":{}}"#);
}

#[test]
fn filters_choose_what_is_logged() {
    let log = |filter: &str| {
        let directory = tempfile::tempdir().unwrap();
        let files = Arc::new(AccessLogs::new(directory.path().into()));
        let config = mesh_ir::AccessLog {
            filter: Some(filter.into()),
            ..mesh_ir::AccessLog::file("/log", Some("%RESPONSE_CODE%".into()), false)
        };
        let reporter = Reporter::new(files.clone());
        let log = AccessLog::open(&config, &reporter).unwrap();
        log.write(&record());
        files.flush(Duration::from_secs(30));
        files.counts().0
    };
    assert_eq!(log("response.code >= 500 && request.method == 'GET'"), 1);
    assert_eq!(log("response.code == 200"), 0);
    assert_eq!(
        log("request.url_path.startsWith('/v2') && destination.port == 9080"),
        1
    );
    assert_eq!(log("request.headers['x-none'] == 'a'"), 0);
    assert_eq!(
        log("xds.cluster_name.contains('reviews') && upstream.port == 9080"),
        1
    );
}

#[test]
fn bad_formats_are_refused() {
    for (format, json, reason) in [
        ("%NOPE%", false, "no operator %NOPE%"),
        ("%REQ(a", false, "does not end in %"),
        ("50%", false, "does not end in %"),
        ("%REQ()%", false, "need the name of a header"),
        ("%PROTOCOL:x%", false, "expected a number"),
        ("%START_TIME(%Q)%", false, "unknown specifier"),
        ("{", true, "EOF"),
    ] {
        let error = check_error(&config(Some(format), json));
        assert!(error.contains(reason), "{format}: {error}");
    }
}

fn check_error(config: &Config) -> String {
    Format::compile(config).unwrap_err()
}

#[test]
fn lines_reach_their_file() {
    let directory = std::env::temp_dir().join(format!("mesh-proxy-log-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let logs = AccessLogs::new(directory.clone());
    let config = Config {
        path: "/access.log".into(),
        ..config(Some("%RESPONSE_CODE%"), false)
    };
    let log = logs.open(&config).unwrap();
    let again = logs.open(&config).unwrap();
    log.write(&record(), UNIX_EPOCH);
    again.write(&record(), UNIX_EPOCH);
    logs.flush(Duration::from_secs(30));
    let text = std::fs::read_to_string(directory.join("access.log")).unwrap();
    assert_eq!(text, "503\n503\n");
    assert_eq!(logs.counts(), (2, 0));
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn lines_of_a_file_that_cannot_be_opened_count_as_dropped() {
    let logs = AccessLogs::new("/nonexistent".into());
    let config = Config {
        path: "/access.log".into(),
        ..config(None, false)
    };
    logs.open(&config).unwrap().write(&record(), UNIX_EPOCH);
    logs.flush(Duration::from_secs(30));
    assert_eq!(logs.counts(), (0, 1));
}

/// Pieces that formats are made of, right and wrong.
fn any_format() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("%".to_owned()),
        Just("%REQ(".to_owned()),
        Just("A?:B".to_owned()),
        Just("):3%".to_owned()),
        Just("%PROTOCOL%".to_owned()),
        Just("%START_TIME(%E3S%%)%".to_owned()),
        Just("%RESPONSE_CODE:9%".to_owned()),
        "[ -~äé\"{}]{0,4}",
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// Whatever a format is, it is refused or writes one line.
    #[test]
    fn formats_never_panic(text in any_format()) {
        let config = config(Some(&text), false);
        if let Ok(format) = Format::compile(&config) {
            let mut out = vec![];
            format.write(&mut out, &record(), UNIX_EPOCH);
            prop_assert!(!out.contains(&b'\n'));
        }
    }

    /// What JSON formats write is JSON, whatever their texts are.
    #[test]
    fn json_formats_write_json(key in "\\PC{0,8}", text in any_format()) {
        let object = serde_json::json!({ key.clone(): text });
        let config = config(Some(&object.to_string()), true);
        if let Ok(format) = Format::compile(&config) {
            let mut out = vec![];
            format.write(&mut out, &record(), UNIX_EPOCH);
            let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
            prop_assert!(value.get(&key).is_some());
        }
    }
}
