//! Chaos and what helps against it: mirrored traffic, instances that fail, retries, and a pool with limits.

use std::time::Duration;

use mesh_tests::eventually;

use crate::exec;
use crate::namespaces::is_possible;
use crate::samples::pod;
use crate::sandbox::{SETTLED, Sandbox};

const PAGE: &str = "/productpage";

/// Reviews by v1; v2 gets a copy of each request.
const MIRROR: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - route: [{destination: {host: reviews, subset: v1}}]
    mirror: {host: reviews, subset: v2}
    mirrorPercentage: {value: 100}
";

/// Two instances behind one name, of which one answers 500 only.
const FLAKY: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: flaky}
spec:
  selector: {app: flaky}
  ports: [{port: 80, targetPort: 7777, name: http}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: flaky-good}
spec:
  selector: {matchLabels: {app: flaky, version: good}}
  template:
    metadata: {labels: {app: flaky, version: good}}
    spec: {containers: [{name: hello, image: buoyantio/helloworld, args: ["-addr=:7777", "-text=good"]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: flaky-bad}
spec:
  selector: {matchLabels: {app: flaky, version: bad}}
  template:
    metadata: {labels: {app: flaky, version: bad}}
    spec: {containers: [{name: hello, image: buoyantio/helloworld, args: ["-addr=:7777", "-text=bad", "-failure-rate=1"]}]}
"#;

const RETRIES: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: flaky}
spec:
  hosts: [flaky]
  http:
  - route: [{destination: {host: flaky}}]
    retries: {attempts: 30, retryOn: 5xx}
";

/// Seven answers of 5xx in a row, and an instance is left out.
const OUTLIERS: &str = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: flaky}
spec:
  host: flaky
  trafficPolicy:
    loadBalancer: {simple: ROUND_ROBIN}
    outlierDetection: {consecutive5xxErrors: 7, interval: 1s, baseEjectionTime: 300s, maxEjectionPercent: 100}
";

/// One request at a time, one that waits.
const POOL: &str = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: httpbin}
spec:
  host: httpbin
  trafficPolicy:
    connectionPool:
      tcp: {maxConnections: 1}
      http: {http1MaxPendingRequests: 1, maxRequestsPerConnection: 1}
";

#[test]
fn what_fails_is_borne() {
    let sandbox = Sandbox::up(
        "chaos",
        &[
            "--sample",
            "bookinfo",
            "-f",
            "samples/sleep/sleep.yaml",
            "-f",
            "samples/httpbin/httpbin.yaml",
        ],
    );
    if is_possible() {
        copies_are_sent(&sandbox);
    }
    sandbox.apply_text(FLAKY);
    instances_that_fail_are_left_out(&sandbox);
    too_much_at_once_is_refused(&sandbox);
}

/// Requests that have arrived at a pod, by its own proxy.
fn arrived(sandbox: &Sandbox, workload: &str, container: &str) -> u64 {
    let words = ["curl", "-s", "http://localhost:15000/stats/prometheus"];
    let page = exec::run(sandbox, &pod(sandbox, workload), container, &words);
    let counts = page.lines().filter(|line| {
        line.starts_with("istio_requests_total{") && line.contains("reporter=\"destination\"")
    });
    let counts = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    counts.sum()
}

/// Nobody sees what the copies are answered.
fn copies_are_sent(sandbox: &Sandbox) {
    let plain = |page: &str| page.contains("Book Details") && !page.contains("<font color=");
    sandbox.apply_text(MIRROR);
    sandbox.settle("all answers by v1", PAGE, &[], plain);
    // Copies of earlier requests may still be on their way.
    let before = eventually("the copies have come to rest", SETTLED, || {
        let one = arrived(sandbox, "reviews-v2", "reviews");
        let other = arrived(sandbox, "reviews-v2", "reviews");
        (one == other).then_some(one)
    });
    assert_eq!(sandbox.count(50, PAGE, &[], plain), 50);
    eventually("each request has been copied", SETTLED, || {
        (arrived(sandbox, "reviews-v2", "reviews") >= before + 50).then_some(())
    });
    assert_eq!(arrived(sandbox, "reviews-v2", "reviews"), before + 50);
}

/// The statuses of requests one after another, out of one pod.
#[track_caller]
fn statuses(sandbox: &Sandbox, n: u32) -> Vec<String> {
    let line = format!(
        "for i in $(seq {n}); do curl -s -m 10 -o /dev/null -w '%{{http_code}}\\n' http://flaky/ || true; done"
    );
    let sleep = pod(sandbox, "sleep");
    let output = exec::run(sandbox, &sleep, "sleep", &["sh", "-c", &line]);
    output.lines().map(str::to_owned).collect()
}

fn instances_that_fail_are_left_out(sandbox: &Sandbox) {
    let count =
        |statuses: &[String], status: &str| statuses.iter().filter(|it| *it == status).count();
    eventually("both instances answer", Duration::from_secs(60), || {
        let seen = statuses(sandbox, 20);
        let (good, bad) = (count(&seen, "200"), count(&seen, "500"));
        (good > 0 && bad > 0 && good + bad == 20).then_some(())
    });
    // Each try may meet the other instance.
    sandbox.apply_text(RETRIES);
    eventually("retries have arrived", SETTLED, || {
        (count(&statuses(sandbox, 10), "200") == 10).then_some(())
    });
    assert_eq!(count(&statuses(sandbox, 40), "200"), 40);
    sandbox.run(&["delete", "virtualservice", "flaky"]);
    eventually("there are no retries", SETTLED, || {
        (count(&statuses(sandbox, 10), "500") > 0).then_some(())
    });
    sandbox.apply_text(OUTLIERS);
    eventually("the bad instance is left out", SETTLED, || {
        (count(&statuses(sandbox, 10), "200") == 10).then_some(())
    });
    assert_eq!(count(&statuses(sandbox, 40), "200"), 40);
}

fn too_much_at_once_is_refused(sandbox: &Sandbox) {
    let load = |connections: &str| {
        let url = "http://httpbin:8000/delay/0.1";
        let line = format!(
            "for i in 1 2 3 4 5; do for c in $(seq {connections}); do curl -s -m 20 -o /dev/null -w '%{{http_code}}\\n' {url} & done; wait; done"
        );
        let sleep = pod(sandbox, "sleep");
        exec::run(sandbox, &sleep, "sleep", &["sh", "-c", &line])
    };
    assert!(
        load("6").lines().all(|status| status == "200"),
        "without limits"
    );
    sandbox.apply_text(POOL);
    let seen = eventually("some requests are refused", SETTLED, || {
        let seen = load("6");
        seen.contains("503").then_some(seen)
    });
    assert!(
        seen.lines().all(|it| ["200", "503"].contains(&it)),
        "{seen}"
    );
    // One after another fits.
    assert!(load("1").lines().all(|status| status == "200"));
}
