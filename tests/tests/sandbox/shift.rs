//! `shift` as the README tells it: objects are made, proxies acknowledge, their counters agree, and all of it can be taken back.

use std::process::{Output, Stdio};
use std::time::Duration;

use mesh_tests::eventually;
use serde_json::Value;

use crate::chance::check;
use crate::processes::signal;
use crate::sandbox::{Sandbox, succeeded};

const PAGE: &str = "/productpage";

/// A version of reviews whose program listens elsewhere: its pods are ready, and every request to them fails.
const BROKEN: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: reviews-v4, labels: {app: reviews, version: v4}}
spec:
  selector: {matchLabels: {app: reviews, version: v4}}
  template:
    metadata: {labels: {app: reviews, version: v4}}
    spec:
      containers:
        - name: reviews
          image: docker.io/istio/examples-helloworld-v1
          ports: [{containerPort: 5000}]
";

fn red(page: &str) -> bool {
    page.contains("color=\"red\"")
}

fn without_stars(page: &str) -> bool {
    !page.contains("color=\"red\"") && !page.contains("color=\"black\"")
}

/// Runs `meshctl shift reviews` with these words.
fn shift(sandbox: &Sandbox, words: &[&str]) -> Output {
    let mut command = sandbox.command(&["shift", "reviews"]);
    command.args(words).output().expect("meshctl runs")
}

/// The document that a shift that succeeds prints.
#[track_caller]
fn document(sandbox: &Sandbox, words: &[&str]) -> Value {
    let output = shift(sandbox, &[words, &["-o", "json"]].concat());
    serde_json::from_str(&succeeded(&output)).expect("JSON")
}

#[track_caller]
fn fails(output: &Output, says: &[&str]) {
    let talk = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{talk}");
    for text in says {
        assert!(talk.contains(text), "{text:?} is not in:\n{talk}");
    }
}

fn actions(document: &Value) -> Vec<String> {
    let changes = document["changes"].as_array().into_iter().flatten();
    changes
        .map(|change| format!("{} {}", change["action"], change["kind"]).replace('"', ""))
        .collect()
}

#[test]
fn a_shift_is_written_acknowledged_measured_and_taken_back() {
    let sandbox = Sandbox::up("shift", &["--sample", "bookinfo"]);
    let probe = format!("{}{PAGE}", sandbox.ingress);

    let planned = document(&sandbox, &["v1=100", "--dry-run"]);
    // The sample brings its subsets along.
    let routes = ["create VirtualService"];
    assert_eq!(actions(&planned), routes);
    assert_eq!(
        actions(&document(&sandbox, &["v1=100", "--dry-run"])),
        routes,
        "nothing was written"
    );

    let first = document(&sandbox, &["v1=100", "--measure", "0"]);
    assert_eq!(actions(&first), routes);
    // Six sidecars and at least one gateway.
    assert!(first["acknowledged"].as_u64() >= Some(7), "{first:#}");
    assert_eq!(
        sandbox.count(30, PAGE, &[], without_stars),
        30,
        "all proxies have it"
    );

    half(&sandbox, &probe);
    let quiet = shift(&sandbox, &["v3=50", "--measure", "1s"]);
    assert!(succeeded(&quiet).contains("not measured"));
    assert!(String::from_utf8_lossy(&quiet.stderr).contains("--probe"));

    succeeded(&shift(&sandbox, &["--undo"]));
    assert_eq!(
        sandbox.count(30, PAGE, &[], without_stars),
        30,
        "all to v1 again"
    );
    in_steps(&sandbox, &probe);
    refusals(&sandbox);
    interrupted(&sandbox);
    broken(&sandbox, &probe);
}

/// Half of the requests go to v3, and the counters say the same.
fn half(sandbox: &Sandbox, probe: &str) {
    let half = document(sandbox, &["v3=50", "--probe", probe, "--requests", "200"]);
    assert_eq!(actions(&half), ["replace VirtualService"]);
    assert_eq!(half["rules"][0]["before"], serde_json::json!({"v1": 100}));
    assert_eq!(
        half["rules"][0]["after"],
        serde_json::json!({"v1": 50, "v3": 50})
    );
    assert_eq!(half["measured"], true, "{half:#}");
    let measurement = &half["measurement"];
    assert_eq!(measurement["requests"], 200, "{measurement:#}");
    let v3 = &measurement["subsets"][1];
    assert_eq!(v3["subset"], "v3");
    let counted = u32::try_from(v3["requests"].as_u64().expect("a count")).expect("a few");
    check(
        "requests that the proxies counted for v3",
        counted,
        200,
        0.5,
    );
    let seen = sandbox.count(200, PAGE, &[], red);
    check("pages with red stars", seen, 200, 0.5);
}

fn in_steps(sandbox: &Sandbox, probe: &str) {
    let words = [
        "v3=100",
        "--steps",
        "20,60",
        "--interval",
        "1s",
        "--measure",
        "30s",
        "--probe",
        probe,
        "--requests",
        "60",
    ];
    let all = document(sandbox, &words);
    let steps: Vec<&Value> = all["steps"].as_array().expect("steps").iter().collect();
    let weights: Vec<u64> = steps
        .iter()
        .filter_map(|step| step["weight"].as_u64())
        .collect();
    assert_eq!(weights, [20, 60, 100]);
    for step in steps {
        assert_eq!(step["measurement"]["requests"], 60, "{step:#}");
    }
    assert_eq!(sandbox.count(30, PAGE, &[], red), 30);
    // One undo takes all steps back.
    succeeded(&shift(sandbox, &["--undo"]));
    assert_eq!(sandbox.count(30, PAGE, &[], without_stars), 30);
}

fn refusals(sandbox: &Sandbox) {
    fails(
        &shift(sandbox, &["v33=5"]),
        &["has no subset v33", "reviews-v1-", "did you mean v3?"],
    );
    let output = sandbox.command(&["shift", "review", "v3=5"]).output();
    fails(
        &output.expect("meshctl runs"),
        &[
            "there is no service review in namespace default",
            "did you mean reviews?",
        ],
    );
}

/// Ctrl-C brings back what was there before the first step.
fn interrupted(sandbox: &Sandbox) {
    let words = [
        "v3=100",
        "--steps",
        "50",
        "--interval",
        "10m",
        "--measure",
        "1s",
    ];
    let mut command = sandbox.command(&["shift", "reviews"]);
    command
        .args(words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn().expect("meshctl runs");
    eventually("the first step is seen", Duration::from_secs(60), || {
        sandbox.count(20, PAGE, &[], red).ge(&1).then_some(())
    });
    signal(i32::try_from(child.id()).expect("a process"), "INT");
    let output = child.wait_with_output().expect("it ends");
    fails(
        &output,
        &["rolling back: interrupted", "as they were before"],
    );
    assert_eq!(sandbox.count(30, PAGE, &[], without_stars), 30);
}

/// A version whose requests fail is noticed and taken back.
fn broken(sandbox: &Sandbox, probe: &str) {
    sandbox.apply_text(BROKEN);
    eventually("v4 is ready", Duration::from_secs(60), || {
        shift(sandbox, &["v4=10", "--dry-run"])
            .status
            .success()
            .then_some(())
    });
    let words = [
        "v4=100",
        "--steps",
        "50",
        "--interval",
        "1s",
        "--measure",
        "60s",
        "--probe",
        probe,
        "--requests",
        "100",
    ];
    fails(
        &shift(sandbox, &words),
        &[
            "rolling back",
            "requests to v4 failed",
            "as they were before",
        ],
    );
    assert_eq!(sandbox.count(30, PAGE, &[], without_stars), 30);
}
