//! The samples under their public image names: httpbin, a TCP echo, a load client, and ratings that keep their stars in a
//! data store.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::DeleteParams;
use mesh_tests::eventually;

use crate::exec;
use crate::namespaces::is_possible;
use crate::sandbox::Sandbox;
use crate::web_socket::WebSocket;

/// A load client as a pod that ends.
const LOAD: &str = "
apiVersion: v1
kind: Pod
metadata:
  name: load
spec:
  restartPolicy: Never
  containers:
    - name: load
      image: fortio/fortio
      args: [load, -c, '2', -qps, '0', -n, '20', -loglevel, Warning, 'http://httpbin:8000/get']
";

/// At most one connection, and one request that waits for it.
const LIMITS: &str = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: httpbin
spec:
  host: httpbin
  trafficPolicy:
    connectionPool:
      tcp:
        maxConnections: 1
      http:
        http1MaxPendingRequests: 1
        maxRequestsPerConnection: 1
";

#[test]
fn samples_run_by_their_public_images() {
    let sandbox = Sandbox::up(
        "samples",
        &[
            "--sample",
            "bookinfo",
            "-f",
            "samples/httpbin/httpbin.yaml",
            "-f",
            "samples/sleep/sleep.yaml",
            "-f",
            "samples/tcp-echo/tcp-echo.yaml",
            "-f",
            "samples/websockets/app.yaml",
            "-f",
            "samples/websockets/route.yaml",
            "-f",
            "samples/bookinfo/platform/kube/bookinfo-db.yaml",
            "-f",
            "samples/bookinfo/platform/kube/bookinfo-ratings-v2.yaml",
        ],
    );
    let sleep = pod(&sandbox, "sleep");
    httpbin_answers(&sandbox, &sleep);
    // The pod is found first, then what is for it is read: two steps with one client.
    let listed = sandbox.run(&["authz", "list", &sleep, "-o", "json"]);
    assert_eq!(listed.trim(), "[]");
    if is_possible() {
        lines_come_back(&sandbox, &sleep);
    }
    clients_hear_of_each_other(&sandbox);
    answers_are_counted(&sandbox);
    what_is_too_much_overflows(&sandbox);
    stars_come_from_the_store(&sandbox);
}

/// The pod of a workload.
#[track_caller]
pub fn pod(sandbox: &Sandbox, workload: &str) -> String {
    let status = sandbox.status();
    let pods = status["pods"].as_array().expect("pods").iter();
    let mut names = pods.filter_map(|pod| pod["name"].as_str());
    let found = names.find(|name| name.starts_with(workload));
    found
        .unwrap_or_else(|| panic!("no {workload} in {status:#}"))
        .to_owned()
}

fn httpbin_answers(sandbox: &Sandbox, sleep: &str) {
    let curl = |url: &str| {
        let words = ["curl", "-s", "-o", "-", "-w", " %{http_code}", url];
        exec::run(sandbox, sleep, "sleep", &words)
    };
    let headers = eventually("httpbin answers", crate::sandbox::SETTLED, || {
        let answer = curl("http://httpbin:8000/headers");
        answer.ends_with(" 200").then_some(answer)
    });
    // What has come through proxies with mutual TLS says whose certificate it was.
    assert!(headers.contains("X-Forwarded-Client-Cert"), "{headers}");
    assert!(headers.contains("ns/default/sa/sleep"), "{headers}");
    assert!(curl("http://httpbin:8000/status/418").ends_with(" 418"));
    assert!(curl("http://httpbin:8000/nothing").ends_with(" 404"));
}

/// Two clients of the chat behind the gateway: what one says, both hear.
fn clients_hear_of_each_other(sandbox: &Sandbox) {
    let authority = sandbox.ingress.trim_start_matches("http://");
    let open = || WebSocket::open(authority, "/ws").ok();
    let mut clients = [(); 2].map(|()| eventually("the chat opens", crate::sandbox::SETTLED, open));
    for said in ["hello", "again"] {
        clients[0].say(said).unwrap();
        for client in &mut clients {
            assert_eq!(client.hear().unwrap(), said);
        }
    }
    let answer = sandbox.get("/ws", &[]).unwrap();
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert!(
        answer.body.contains("upgrade: websocket"),
        "{}",
        answer.body
    );
}

/// Circuit breaking, as its tutorial shows it: a limit on connections, a load client in a pod, and the counters of that pod's proxy.
fn what_is_too_much_overflows(sandbox: &Sandbox) {
    sandbox.apply("samples/httpbin/sample-client/fortio-deploy.yaml");
    sandbox.apply_text(LIMITS);
    let client = eventually("the load client is there", crate::sandbox::SETTLED, || {
        let status = sandbox.status();
        let pods = status["pods"].as_array()?.iter();
        let mut ready = pods.filter(|pod| pod["ready"] == true);
        let pod = ready.find(|pod| {
            pod["name"]
                .as_str()
                .is_some_and(|name| name.starts_with("fortio"))
        })?;
        pod["name"].as_str().map(str::to_owned)
    });
    let overflows = || {
        let words = ["pilot-agent", "request", "GET", "stats?filter=httpbin"];
        let stats = exec::run(sandbox, &client, "istio-proxy", &words);
        let mut lines = stats.lines().filter_map(|line| line.split_once(": "));
        let (_, count) = lines.find(|(name, _)| {
            name.starts_with("cluster.outbound|8000||httpbin.default")
                && name.ends_with(".upstream_rq_pending_overflow")
        })?;
        count.parse::<u64>().ok()
    };
    let answer = eventually(
        "the load client reaches httpbin",
        crate::sandbox::SETTLED,
        || {
            let words = [
                "/usr/bin/fortio",
                "curl",
                "-quiet",
                "http://httpbin:8000/get",
            ];
            let answer = exec::run(sandbox, &client, "fortio", &words);
            answer.contains("200 OK").then_some(answer)
        },
    );
    assert!(answer.contains("\"url\""), "{answer}");
    let before = overflows().unwrap_or(0);
    let load =
        "/usr/bin/fortio load -c 20 -qps 0 -n 200 -loglevel Warning http://httpbin:8000/delay/0.02";
    let words: Vec<&str> = load.split(' ').collect();
    let counted = exec::run(sandbox, &client, "fortio", &words);
    let of_status = |status: &str| -> u64 {
        let line = counted
            .lines()
            .find(|line| line.starts_with(&format!("Code {status} :")));
        let count = line.and_then(|line| line.split_whitespace().nth(3));
        count.and_then(|count| count.parse().ok()).unwrap_or(0)
    };
    let (good, refused) = (of_status("200"), of_status("503"));
    assert_eq!(good + refused, 200, "{counted}");
    assert!(good > 0 && refused > 0, "{counted}");
    assert_eq!(overflows().unwrap_or(0) - before, refused, "{counted}");
}

fn lines_come_back(sandbox: &Sandbox, sleep: &str) {
    for port in [9000, 9001] {
        let script = format!(
            "exec 3<>/dev/tcp/tcp-echo/{port}; echo world >&3; read -r line <&3; echo \"$line\""
        );
        let answer = exec::run(sandbox, sleep, "sleep", &["bash", "-c", &script]);
        assert_eq!(answer, "hello world\n", "port {port}");
    }
}

fn answers_are_counted(sandbox: &Sandbox) {
    sandbox.apply_text(LOAD);
    eventually("20 answers are counted", Duration::from_secs(60), || {
        let output = sandbox
            .command(&["sandbox", "logs", "load"])
            .output()
            .ok()?;
        let log = String::from_utf8_lossy(&output.stdout).into_owned();
        log.contains("Code 200 : 20 (100.0 %)").then_some(())
    });
}

/// Ratings v2 answers as the store says, and fails without it.
fn stars_come_from_the_store(sandbox: &Sandbox) {
    sandbox.apply("samples/bookinfo/networking/virtual-service-ratings-db.yaml");
    let is_red = |page: &str| page.contains("color=\"red\"");
    sandbox.settle("red stars from the store", "/productpage", &[], is_red);
    let log = sandbox.run(&["sandbox", "logs", &pod(sandbox, "mongodb")]);
    assert!(log.contains("connection"), "{log}");
    sandbox.with_client(async |client| {
        let deployments: Api<Deployment> = Api::namespaced(client, "default");
        let params = DeleteParams::default();
        let deleted = deployments.delete("mongodb-v1", &params).await;
        deleted.expect("the store is there");
    });
    sandbox.settle("no stars without the store", "/productpage", &[], |page| {
        !is_red(page)
    });
}
