//! `whatif` and `route test` on files: what a change does to requests, and tests that hold routes.

use serde_json::Value;

use crate::place::{Place, repository};

/// Bookinfo, of which reviews v2 is for jason and v1 for all others.
const FILES: [&str; 4] = [
    "platform/kube/bookinfo.yaml",
    "networking/destination-rule-all.yaml",
    "networking/bookinfo-gateway.yaml",
    "networking/virtual-service-reviews-test-v2.yaml",
];

fn bookinfo(flag: &str) -> Vec<String> {
    let path = |file: &&str| repository(&format!("samples/bookinfo/{file}"));
    let flags = FILES.iter().flat_map(|file| [flag.to_owned(), path(file)]);
    flags.collect()
}

fn words(own: &[&str], more: Vec<String>) -> Vec<String> {
    own.iter()
        .map(|word| (*word).to_owned())
        .chain(more)
        .collect()
}

#[track_caller]
fn whatif(place: &Place, own: &[&str], code: i32) -> Value {
    let words = words(
        &[&["whatif", "-o", "json"], own].concat(),
        bookinfo("--base"),
    );
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ran = place.run(&words);
    serde_json::from_str(&ran.ends(code).stdout).expect("JSON")
}

fn effects(answer: &Value) -> Vec<(String, String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = answer["requests"].as_array().expect("requests").iter();
    all.map(|effect| {
        (
            text(&effect["kind"]),
            text(&effect["request"]),
            text(&effect["before"]),
            text(&effect["after"]),
        )
    })
    .collect()
}

const REVIEWS: &str = "reviews.default.svc.cluster.local";

#[test]
fn a_change_of_routes_tells_which_requests_go_elsewhere() {
    let place = Place::new();
    let change = repository("samples/bookinfo/networking/virtual-service-reviews-50-v3.yaml");
    let answer = whatif(&place, &["-f", &change], 0);
    let url = format!("GET http://{REVIEWS}:9080/");
    let after = format!("50 % {REVIEWS} v1, 50 % {REVIEWS} v3");
    let row = |request: String, before: &str| {
        let before = format!("100 % {REVIEWS} {before}");
        ("elsewhere".to_owned(), request, before, after.clone())
    };
    assert_eq!(
        effects(&answer),
        [
            row(url.clone(), "v1"),
            row(format!("{url} (end-user: jason)"), "v2")
        ],
        "{answer:#}"
    );
    let from = answer["requests"][0]["from"].as_array().expect("clients");
    assert!(
        from.iter().any(|name| name == "productpage-v1.default"),
        "{answer:#}"
    );
    let proxies = answer["proxies"].as_array().expect("proxies");
    assert!(
        proxies
            .iter()
            .all(|proxy| proxy["clusters"] == serde_json::json!([]))
    );
    assert!(!proxies.is_empty());
    // The same again changes nothing.
    let same = repository("samples/bookinfo/networking/virtual-service-reviews-test-v2.yaml");
    let answer = whatif(&place, &["-f", &same], 0);
    assert_eq!(answer["proxies"], serde_json::json!([]), "{answer:#}");
    assert_eq!(effects(&answer), []);
}

#[test]
fn what_breaks_ends_with_one() {
    let place = Place::new();
    let change = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: default}
spec: {hosts: [reviews], http: [{route: [{destination: {host: reviews, subset: v9}}]}]}
";
    place.file("change.yaml", change);
    let answer = whatif(&place, &["-f", "change.yaml"], 1);
    let effects = effects(&answer);
    assert!(
        effects.iter().all(|(kind, ..)| kind == "breaks"),
        "{answer:#}"
    );
    assert!(
        effects[0].3.contains("there is no such cluster"),
        "{answer:#}"
    );
    let findings = answer["findings"].as_array().expect("findings");
    assert!(
        findings.iter().any(|found| found["code"] == "IST0101"),
        "{answer:#}"
    );
    place.file("broken.yaml", "kind: [");
    let words = words(&["whatif", "-f", "broken.yaml"], bookinfo("--base"));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    place
        .run(&words)
        .ends(65)
        .prints_nothing()
        .says("broken.yaml");
    place.run(&["whatif"]).ends(64).says("--filename");
}

const TESTS: &str = "tests:
- name: jason sees v2
  url: http://reviews:9080/reviews/0
  headers: {end-user: jason}
  expect: {to: {v2: 100}, allowed: true}
- name: everybody sees v1
  from: deployment/productpage-v1
  url: http://reviews:9080/reviews/0
  expect: {to: {reviews/v1: 100}}
- name: the page is served outside
  from: gateway/bookinfo-gateway
  url: http://any.example/productpage
  expect: {to: {productpage: 100}}
- name: nothing else is
  from: gateway/bookinfo-gateway
  url: http://any.example/secret
  expect: {status: 404}
";

#[test]
fn tests_of_routes_pass_and_fail() {
    let place = Place::new();
    place.file("tests.yaml", TESTS);
    let run = |own: &[&str]| {
        let words = words(&[&["route", "test"], own].concat(), bookinfo("-f"));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        place.run(&words)
    };
    run(&["tests.yaml"])
        .ends(0)
        .prints("ok      jason sees v2\n")
        .says("4 tests, 0 failed");
    place.file(
        "wrong.yaml",
        &TESTS
            .replace("{v2: 100}", "{v3: 100}")
            .replace("404", "200"),
    );
    run(&["wrong.yaml"])
        .ends(1)
        .prints("failed  jason sees v2")
        .prints("100 % are expected to go to v3, and 0 % do")
        .prints("status: expected 200, and it is 404")
        .says("4 tests, 2 failed");
    run(&["wrong.yaml", "-o", "junit"])
        .ends(1)
        .prints("<testsuite name=\"wrong.yaml\" tests=\"4\" failures=\"2\">")
        .prints("<testcase classname=\"wrong.yaml\" name=\"everybody sees v1\"/>");
    for (text, says) in [
        (
            "tests: [{name: x, url: reviews, expect: {}}]",
            "expects nothing",
        ),
        (
            "tests: [{name: x, uri: reviews, expect: {status: 200}}]",
            "unknown field",
        ),
        ("tests: 5", "no file of tests"),
    ] {
        place.file("bad.yaml", text);
        run(&["bad.yaml"]).ends(65).prints_nothing().says(says);
    }
}

#[test]
fn failures_of_access_logs_are_explained() {
    let place = Place::new();
    let line = r#"[2026-11-28T12:00:00.000Z] "GET /a?token=x HTTP/1.1" 503 UF,URX upstream_reset_before_response_started{connection_failure} - "-" 0 152 27 - "-" "curl/8" "8d9b" "reviews:9080" "10.0.0.7:9080" outbound|9080|v3|reviews - 10.96.0.4:9080 10.0.0.3:50000 - default"#;
    place
        .run(&["explain", "error", line])
        .ends(0)
        .prints("was answered with 503")
        .prints("UF (UpstreamConnectionFailure)")
        .prints("URX (")
        .prints("upstream_reset_before_response_started{connection_failure}:");
    let ran = place.run(&["explain", "error", "uh", "-o", "json"]);
    let answer: Value = serde_json::from_str(&ran.ends(0).stdout).expect("JSON");
    assert_eq!(answer["flags"][0]["name"], "NoHealthyUpstream");
    place
        .run(&["explain", "error", "XYZ"])
        .ends(64)
        .says("neither a flag nor a detail");
    place
        .run(&["explain", "error", "[x] y"])
        .ends(65)
        .says("default format");
}

#[test]
fn services_are_described_from_files() {
    let place = Place::new();
    let words = words(&["describe", "service", "reviews"], bookinfo("-f"));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    place
        .run(&words)
        .ends(0)
        .prints("Service:    reviews.default (reviews.default.svc.cluster.local)")
        .prints("VirtualService default/reviews")
        .prints("DestinationRule default/reviews")
        .prints("PERMISSIVE")
        .prints("not known without a cluster");
    place
        .run(&[
            "describe",
            "service",
            "nobody",
            "-f",
            words[words.len() - 1],
        ])
        .ends(1)
        .says("there is no service nobody");
}

#[test]
fn saved_configurations_are_compared() {
    let place = Place::new();
    let dump = crate::place::fixture("envoy/config_dump.json");
    let text = std::fs::read_to_string(&dump).expect("the fixture");
    let mut value: Value = serde_json::from_str(&text).expect("JSON");
    place
        .run(&["proxy-config", "diff", "-f", &dump, "-f", &dump])
        .ends(0)
        .says("are the same");
    let configs = value["configs"].as_array_mut().expect("a list");
    let clusters = configs
        .iter_mut()
        .find_map(|config| config.get_mut("dynamic_active_clusters"));
    let cluster = &mut clusters.expect("clusters")[0]["cluster"];
    cluster["connect_timeout"] = Value::String("77s".to_owned());
    let name = cluster["name"].as_str().expect("a name").to_owned();
    place.file("after.json", &value.to_string());
    place
        .run(&["proxy-config", "diff", "-f", &dump, "-f", "after.json"])
        .ends(1)
        .prints(&format!("cluster {name} (changed)"))
        .prints("+connect_timeout: 77s");
    place
        .run(&["proxy-config", "diff", "-f", &dump])
        .ends(64)
        .says("two configurations");
}
