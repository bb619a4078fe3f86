//! `shift` as the README tells it: objects are made, proxies acknowledge, their counters agree, and all of it can be taken back.

use std::process::{Child, Output, Stdio};
use std::time::Duration;

use mesh_tests::eventually;
use serde_json::Value;

use crate::chance::check;
use crate::exec;
use crate::processes::signal;
use crate::sandbox::{Sandbox, succeeded};

pub const PAGE: &str = "/productpage";

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

pub fn red(page: &str) -> bool {
    page.contains("color=\"red\"")
}

pub fn without_stars(page: &str) -> bool {
    !page.contains("color=\"red\"") && !page.contains("color=\"black\"")
}

/// Runs `meshctl shift reviews` with these words.
pub fn shift(sandbox: &Sandbox, words: &[&str]) -> Output {
    let mut command = sandbox.command(&["shift", "reviews"]);
    command.args(words).output().expect("meshctl runs")
}

/// The document that a shift that succeeds prints.
#[track_caller]
pub fn document(sandbox: &Sandbox, words: &[&str]) -> Value {
    let output = shift(sandbox, &[words, &["-o", "json"]].concat());
    serde_json::from_str(&succeeded(&output)).expect("JSON")
}

#[track_caller]
pub fn fails(output: &Output, says: &[&str]) {
    let talk = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{talk}");
    for text in says {
        assert!(talk.contains(text), "{text:?} is not in:\n{talk}");
    }
}

pub fn actions(document: &Value) -> Vec<String> {
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
    killed(&sandbox);
    for_one_user(&sandbox);
    broken(&sandbox, &probe);
    limits(&sandbox, &probe);
    connections(&sandbox);
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

/// Begins a shift of reviews to v3 by 50 that would take ten minutes, and waits until it is seen.
fn begun(sandbox: &Sandbox) -> Child {
    let words = [
        "v3",
        "--steps",
        "50,100",
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
    child
}

/// What `shift status reviews` tells.
#[track_caller]
pub fn status(sandbox: &Sandbox) -> Value {
    let mut command = sandbox.command(&["shift", "status", "reviews", "-o", "json"]);
    let output = command.output().expect("meshctl runs");
    let rows: Value = serde_json::from_str(&succeeded(&output)).expect("JSON");
    rows[0].clone()
}

/// Nobody else shifts meanwhile; Ctrl-C stops where it is, `--undo` goes back.
fn interrupted(sandbox: &Sandbox) {
    let child = begun(sandbox);
    let running = status(sandbox);
    assert_eq!(running["state"], "running", "{running:#}");
    assert_eq!(running["rollout"]["steps"], serde_json::json!([50, 100]));
    assert_eq!(running["rollout"]["step"], 50);
    let claim = "another shift of reviews.default.svc.cluster.local is under way (v3 at 50 of 100)";
    for words in [&["v2=5"][..], &["v3", "--steps", "60,100"], &["--undo"]] {
        fails(&shift(sandbox, words), &[claim, "shift status"]);
    }
    signal(i32::try_from(child.id()).expect("a process"), "INT");
    let output = child.wait_with_output().expect("it ends");
    fails(
        &output,
        &["stopped: v3 has 50 of 100", "--resume", "--undo"],
    );
    let stopped = status(sandbox);
    assert_eq!(stopped["state"], "stopped", "{stopped:#}");
    assert_eq!(
        stopped["rules"][0]["shares"],
        serde_json::json!({"v1": 50, "v3": 50})
    );
    let undo = stopped["undo"].as_u64();
    succeeded(&shift(sandbox, &["--undo"]));
    assert_eq!(sandbox.count(30, PAGE, &[], without_stars), 30);
    let back = status(sandbox);
    assert_eq!(back["state"], "done", "{back:#}");
    assert_eq!(back["undo"].as_u64(), undo.map(|undo| undo - 1));
    fails(
        &shift(sandbox, &["--resume"]),
        &["there is no interrupted shift of reviews"],
    );
}

/// A shift that is killed can be gone on with once its claim has ended, and one undo takes all of it back.
fn killed(sandbox: &Sandbox) {
    let mut child = begun(sandbox);
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    eventually("the claim ends", Duration::from_secs(60), || {
        status(sandbox)["state"].eq("stopped").then_some(())
    });
    // With the same words, but for less time.
    let words = ["v3", "--steps", "50,100", "--interval", "1s"];
    let end = document(sandbox, &words);
    let weights: Vec<u64> = end["steps"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|step| step["weight"].as_u64())
        .collect();
    assert_eq!(weights, [50, 100], "{end:#}");
    assert_eq!(sandbox.count(30, PAGE, &[], red), 30);
    succeeded(&shift(sandbox, &["--undo"]));
    assert_eq!(sandbox.count(30, PAGE, &[], without_stars), 30);
}

/// One user sees v3 first, then half of everybody; two shifts go back at once.
fn for_one_user(sandbox: &Sandbox) {
    let shifted = document(
        sandbox,
        &["v3=100", "--match", "end-user=ann", "--measure", "0"],
    );
    assert_eq!(actions(&shifted), ["replace VirtualService"]);
    // The page tells reviews by a header who has signed in.
    let ann = [("cookie", "user=ann")];
    assert_eq!(sandbox.count(20, PAGE, &ann, red), 20);
    assert_eq!(sandbox.count(20, PAGE, &[], without_stars), 20);
    succeeded(&shift(sandbox, &["v3=50", "--measure", "0"]));
    let seen = sandbox.count(200, PAGE, &[], red);
    check("pages with red stars", seen, 200, 0.5);
    succeeded(&shift(sandbox, &["--undo=2"]));
    assert_eq!(sandbox.count(30, PAGE, &[], without_stars), 30);
    fails(
        &shift(sandbox, &["--undo=99"]),
        &["99 shifts of reviews", "are remembered"],
    );
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

/// A limit that is passed takes everything back, and has an exit code of its own.
fn limits(sandbox: &Sandbox, probe: &str) {
    let watched = [
        "--interval",
        "1s",
        "--measure",
        "60s",
        "--probe",
        probe,
        "--requests",
        "100",
    ];
    for (words, flag, says) in [
        (
            &["v4", "--steps", "50,100", "--max-5xx", "1%"][..],
            "max-5xx",
            "limit --max-5xx 1% was passed",
        ),
        (
            &["v3", "--steps", "50,100", "--max-p99", "1ms"],
            "max-p99",
            "limit --max-p99 1 ms was passed",
        ),
    ] {
        let output = shift(sandbox, &[words, &watched, &["-o", "json"]].concat());
        let talk = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(80), "{talk}");
        assert!(talk.contains(says), "{says:?} is not in:\n{talk}");
        let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(document["limitPassed"], flag, "{document:#}");
        assert_eq!(sandbox.count(30, PAGE, &[], without_stars), 30);
    }
    let words = ["v3=20", "--max-5xx", "1%", "--max-p99", "10s"];
    let all = document(sandbox, &[&words[..], &watched[2..]].concat());
    assert_eq!(all["steps"][0]["weight"], 20, "{all:#}");
    succeeded(&shift(sandbox, &["--undo"]));
}

/// Connections are split as requests are.
fn connections(sandbox: &Sandbox) {
    sandbox.apply("samples/tcp-echo/tcp-echo-services.yaml");
    sandbox.apply("samples/sleep/sleep.yaml");
    let tcp = |words: &[&str]| {
        let mut command = sandbox.command(&["shift", "tcp-echo"]);
        command.args(words).output().expect("meshctl runs")
    };
    eventually("both versions are ready", Duration::from_secs(60), || {
        tcp(&["v1=40", "v2=60", "--dry-run"])
            .status
            .success()
            .then_some(())
    });
    succeeded(&tcp(&["v1=100", "--measure", "0"]));
    let status = sandbox.status();
    let pods = status["pods"].as_array().expect("pods").iter();
    let mut names = pods.filter_map(|pod| pod["name"].as_str());
    let sleep = names
        .find(|name| name.starts_with("sleep-"))
        .expect("sleep");
    // How many of 100 connections v2 has answered.
    let second = || {
        let script = "for i in $(seq 100); do exec 3<>/dev/tcp/tcp-echo/9000; echo hi >&3; read -r line <&3; echo $line; exec 3>&-; done";
        let lines = exec::run(sandbox, sleep, "sleep", &["bash", "-c", script]);
        assert_eq!(lines.lines().count(), 100, "{lines}");
        let answered = lines.lines().filter(|line| *line == "two hi").count();
        u32::try_from(answered).expect("a few")
    };
    assert_eq!(second(), 0);
    let refused = tcp(&["v2=5", "--match", "a=b"]);
    assert_eq!(refused.status.code(), Some(64), "{refused:?}");
    let half = tcp(&["v2=50", "--measure", "0", "-o", "json"]);
    let half: Value = serde_json::from_str(&succeeded(&half)).expect("JSON");
    assert_eq!(half["rules"][0]["section"], "tcp", "{half:#}");
    check("connections that v2 answered", second(), 100, 0.5);
    succeeded(&tcp(&["--undo"]));
    assert_eq!(second(), 0);
}
