//! What a proxy tells about traffic: the access log, metrics, dumps.

use mesh_tests::eventually;
use serde_json::Value;

use crate::drain::ECHO;
use crate::mesh::{LIMIT, Mesh, Pod};
use crate::yaml::PodSpec;

/// Waits until the one metric whose line holds all the words has a value: what is counted is counted right after the answer.
#[track_caller]
pub fn check(pod: &Pod, words: &[&str], expected: u64) {
    eventually(&format!("{words:?} is {expected}"), LIMIT, || {
        let page = pod.admin("/stats/prometheus").body;
        let mut lines = page
            .lines()
            .filter(|line| words.iter().all(|word| line.contains(word)));
        let value: u64 = lines.next()?.rsplit(' ').next()?.parse().ok()?;
        assert_eq!(lines.next(), None, "{words:?} is not the only one");
        (value == expected).then_some(())
    });
}

#[test]
fn requests_are_counted_on_both_sides_and_logged() {
    let mut mesh = Mesh::start(&ECHO, "");
    let mut connection = mesh.pod("client").outbound();
    for _ in 0..7 {
        let answer = connection.get("http://echo:8080/status/200", &[]).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let id = [("x-request-id", "the-eighth"), ("user-agent", "stack")];
    let answer = connection
        .get("http://echo:8080/status/418?a=b", &id)
        .unwrap();
    assert_eq!(answer.status, 418, "{answer:?}");
    let source = [
        "istio_requests_total{",
        "reporter=\"source\"",
        "response_code=\"200\"",
    ];
    check(mesh.pod("client"), &source, 7);
    let who = [
        "istio_requests_total{",
        "source_workload=\"client\"",
        "source_app=\"client\"",
        "destination_service=\"echo.default.svc.cluster.local\"",
        "destination_service_name=\"echo\"",
        "destination_service_namespace=\"default\"",
        "destination_workload=\"echo\"",
        "destination_version=\"v1\"",
        "request_protocol=\"http\"",
        "response_code=\"418\"",
        "response_flags=\"-\"",
    ];
    check(mesh.pod("client"), &who, 1);
    let destination = [
        "istio_requests_total{",
        "reporter=\"destination\"",
        "destination_workload=\"echo\"",
        "response_code=\"200\"",
    ];
    check(mesh.pod("echo"), &destination, 7);
    let duration = [
        "istio_request_duration_milliseconds_count{",
        "response_code=\"200\"",
    ];
    check(mesh.pod("client"), &duration, 7);
    let upstream = ["envoy_cluster_upstream_rq_total{", "outbound|8080||echo"];
    check(mesh.pod("client"), &upstream, 8);
    let line = eventually("the line is written", LIMIT, || {
        let log = mesh.pod("client").proxy.stdout();
        log.lines()
            .find(|line| line.contains("the-eighth"))
            .map(str::to_owned)
    });
    let address = mesh.pod("echo").at(8080).to_string();
    for part in [
        "\"GET /status/418?a=b HTTP/1.1\" 418 - via_upstream",
        "\"stack\" \"the-eighth\" \"echo:8080\"",
        &address,
        "outbound|8080||echo.default.svc.cluster.local",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[test]
fn the_configuration_in_force_is_shown_as_envoy_does() {
    let mut mesh = Mesh::start(&ECHO, "");
    let client = mesh.pod("client");
    let dump: Value = serde_json::from_str(&client.admin("/config_dump?include_eds").body).unwrap();
    let section = |name: &str| {
        let configs = dump["configs"].as_array().unwrap().iter();
        let mut found = configs.filter(|config| config["@type"].as_str().unwrap().ends_with(name));
        found
            .next()
            .unwrap_or_else(|| panic!("no {name} in {dump}"))
    };
    let cluster = "outbound|8080||echo.default.svc.cluster.local";
    let clusters = section(".ClustersConfigDump")["dynamic_active_clusters"]
        .as_array()
        .unwrap();
    let found = clusters
        .iter()
        .find(|item| item["cluster"]["name"] == cluster)
        .unwrap();
    assert_eq!(found["cluster"]["type"], "EDS", "{found}");
    assert!(
        found["version_info"].is_string() && found["last_updated"].is_string(),
        "{found}"
    );
    let listeners = section(".ListenersConfigDump")["dynamic_listeners"]
        .as_array()
        .unwrap();
    assert!(
        listeners
            .iter()
            .all(|item| item["active_state"]["listener"]["name"] == item["name"])
    );
    let routes = section(".RoutesConfigDump")["dynamic_route_configs"]
        .as_array()
        .unwrap();
    assert!(
        routes
            .iter()
            .any(|item| item["route_config"]["name"] == "8080"),
        "{routes:?}"
    );
    let endpoints = section(".EndpointsConfigDump")["dynamic_endpoint_configs"]
        .as_array()
        .unwrap();
    assert!(
        endpoints
            .iter()
            .any(|item| item["endpoint_config"]["cluster_name"] == cluster)
    );
    client.outbound().get("http://echo:8080/", &[]).unwrap();
    let statuses: Value =
        serde_json::from_str(&client.admin("/clusters?format=json").body).unwrap();
    let statuses = statuses["cluster_statuses"].as_array().unwrap();
    let status = statuses
        .iter()
        .find(|status| status["name"] == cluster)
        .unwrap();
    let host = &status["host_statuses"][0];
    assert_eq!(
        host["health_status"]["eds_health_status"], "HEALTHY",
        "{host}"
    );
    let stats = host["stats"].as_array().unwrap();
    let total = stats
        .iter()
        .find(|stat| stat["name"] == "rq_total")
        .unwrap();
    assert_eq!(total["value"], "1", "{host}");
    let info: Value = serde_json::from_str(&client.admin("/server_info").body).unwrap();
    assert_eq!(info["state"], "LIVE");
}

#[test]
fn connections_pass_through_and_are_counted() {
    let ratings = PodSpec {
        port_name: "tcp",
        ..PodSpec::serving("ratings", "ratings", "v1", "ratings", 9080)
    };
    let mut mesh = Mesh::start(&[PodSpec::CLIENT, ratings], "");
    let mut connection = mesh.pod("client").outbound();
    let connect = "CONNECT ratings:9080 HTTP/1.1\r\nhost: ratings:9080\r\n\r\n";
    connection.send(connect.as_bytes()).unwrap();
    assert_eq!(connection.receive().unwrap().status, 200);
    // From here on the proxies see bytes, of which they understand nothing.
    let answer = connection.get("/ratings/0", &[]).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    drop(connection);
    for (pod, reporter) in [("client", "source"), ("ratings", "destination")] {
        let reporter = format!("reporter=\"{reporter}\"");
        for name in ["opened", "closed"] {
            let name = format!("istio_tcp_connections_{name}_total{{");
            let words = [&name, "request_protocol=\"tcp\"", reporter.as_str()];
            check(mesh.pod(pod), &words, 1);
        }
    }
    let page = mesh.pod("client").admin("/stats/prometheus").body;
    assert!(!page.contains("istio_requests_total{"), "{page}");
}
