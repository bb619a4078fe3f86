//! The limits of a cluster, as `connectionPool` and `retryBudget` ask for them.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mesh_tests::eventually;

use crate::http::Answer;
use crate::mesh::{LIMIT, Mesh};
use crate::yaml::PodSpec;

/// How long the server outside takes for an answer.
const SLOW: Duration = Duration::from_millis(700);

/// A server outside of the mesh that takes its time and says 503 to `/busy`.
struct Slow {
    port: u16,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

impl Slow {
    fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, requests) =
            (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let slow = Self {
            port,
            connections: connections.clone(),
            requests: requests.clone(),
        };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                connections.fetch_add(1, Ordering::Relaxed);
                let requests = requests.clone();
                std::thread::spawn(move || {
                    let mut request = [0; 4096];
                    while let Ok(read @ 1..) = stream.read(&mut request) {
                        requests.fetch_add(1, Ordering::Relaxed);
                        let is_busy = request[..read].starts_with(b"GET /busy");
                        if !is_busy {
                            std::thread::sleep(SLOW);
                        }
                        let code = if is_busy { 503 } else { 200 };
                        let answer = format!("HTTP/1.1 {code} X\r\ncontent-length: 2\r\n\r\nok");
                        if stream.write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        slow
    }

    /// The server as a host of the mesh, with a policy.
    fn objects(&self, policy: &str) -> String {
        let port = self.port;
        format!(
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: slow, namespace: default}}\nspec:\n  \
             hosts: [slow.example.com]\n  resolution: STATIC\n  ports: [{{number: {port}, name: http, protocol: HTTP}}]\n  \
             endpoints: [{{address: 127.0.0.1}}]\n---\n\
             apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: slow, namespace: default}}\nspec:\n  \
             host: slow.example.com\n  trafficPolicy:\n    {policy}\n---\n\
             apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: slow, namespace: default}}\nspec:\n  \
             hosts: [slow.example.com]\n  http:\n  - retries: {{attempts: 2, retryOn: 5xx}}\n    \
             route: [{{destination: {{host: slow.example.com}}}}]\n"
        )
    }

    fn mesh(&self, policy: &str) -> Mesh {
        let mut mesh = Mesh::start(&[PodSpec::CLIENT], &self.objects(policy));
        let url = format!("http://slow.example.com:{}/busy", self.port);
        eventually("the server outside answers", LIMIT, || {
            let answer = mesh.pod("client").outbound().get(&url, &[]).unwrap();
            (answer.status == 503 && answer.body == "ok").then_some(())
        });
        mesh
    }

    /// Requests that are sent at the same time.
    fn all_at_once(&self, mesh: &mut Mesh, count: usize, path: &str) -> Vec<Answer> {
        let address = mesh.pod("client").at(15001);
        let url = format!("http://slow.example.com:{}{path}", self.port);
        let threads: Vec<_> = (0..count)
            .map(|_| {
                let url = url.clone();
                std::thread::spawn(move || {
                    let mut connection = crate::http::Connection::open(address).unwrap();
                    connection.get(&url, &[]).unwrap()
                })
            })
            .collect();
        threads.into_iter().map(|it| it.join().unwrap()).collect()
    }

    fn stat(&self, mesh: &mut Mesh, name: &str) -> u64 {
        let cluster = format!("cluster.outbound|{}||slow.example.com.{name}", self.port);
        mesh.pod("client").stat(&cluster)
    }
}

#[track_caller]
fn overflowed(answers: &[Answer], expect: usize) {
    let overflowed: Vec<&Answer> = answers.iter().filter(|it| it.status == 503).collect();
    assert_eq!(overflowed.len(), expect, "{answers:?}");
    for answer in overflowed {
        assert_eq!(answer.header("x-envoy-overloaded"), Some("true"));
        assert!(
            answer.body.ends_with("reset reason: overflow"),
            "{answer:?}"
        );
    }
}

#[test]
fn what_is_too_much_is_refused_and_the_rest_waits_its_turn() {
    let slow = Slow::start();
    let mut mesh = slow.mesh(
        "connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1, maxRequestsPerConnection: 1}}",
    );
    let refused = slow.stat(&mut mesh, "upstream_rq_pending_overflow");
    // Proxies have two workers, each of which gives an endpoint one connection whatever the limit, as Envoy does. Who waits for a
    // connection to be made is the one that may wait: if all come meanwhile, and to one worker, only that one is served.
    let answers = slow.all_at_once(&mut mesh, 12, "/");
    let busy = answers.iter().filter(|it| it.status == 503).count();
    assert!((8..=11).contains(&busy), "{answers:?}");
    overflowed(&answers, busy);
    let after = slow.stat(&mut mesh, "upstream_rq_pending_overflow");
    assert_eq!(after - refused, busy as u64);
    assert_eq!(
        slow.stat(&mut mesh, "circuit_breakers.default.remaining_pending"),
        1
    );
    // All is given back.
    let after = slow.all_at_once(&mut mesh, 1, "/");
    overflowed(&after, 0);
}

#[test]
fn active_requests_are_limited() {
    let slow = Slow::start();
    let mut mesh = slow.mesh("connectionPool: {http: {http2MaxRequests: 3}}");
    let answers = slow.all_at_once(&mut mesh, 10, "/");
    overflowed(&answers, 7);
    overflowed(&slow.all_at_once(&mut mesh, 3, "/"), 0);
}

#[test]
fn requests_wait_for_a_connection_in_their_turn() {
    let slow = Slow::start();
    let mut mesh = slow.mesh("connectionPool: {tcp: {maxConnections: 1}}");
    let before = slow.connections.load(Ordering::Relaxed);
    let answers = slow.all_at_once(&mut mesh, 6, "/");
    overflowed(&answers, 0);
    assert!(slow.connections.load(Ordering::Relaxed) - before <= 2);
    assert!(slow.stat(&mut mesh, "upstream_cx_overflow") > 0);
}

#[test]
fn retries_are_limited_by_number_or_by_a_budget() {
    for (policy, retries) in [
        ("connectionPool: {http: {maxRetries: 1024}}", 2),
        ("retryBudget: {percent: 0, minRetryConcurrency: 0}", 0),
    ] {
        let slow = Slow::start();
        let mut mesh = slow.mesh(policy);
        let before = slow.requests.load(Ordering::Relaxed);
        let answers = slow.all_at_once(&mut mesh, 1, "/busy");
        assert_eq!(answers[0].status, 503);
        let asked = slow.requests.load(Ordering::Relaxed) - before;
        assert_eq!(asked, 1 + retries, "{policy}");
        let refused = slow.stat(&mut mesh, "upstream_rq_retry_overflow");
        assert_eq!(refused > 0, retries == 0, "{policy}");
    }
}
