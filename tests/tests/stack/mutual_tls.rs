//! Mutual TLS between workloads: without any configuration, and as PeerAuthentications and DestinationRules say.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use mesh_tests::eventually;

use crate::certificates::{Authority, identity};
use crate::http::Connection;
use crate::mesh::{LIMIT, Mesh, Pod};
use crate::telemetry::check;
use crate::yaml::PodSpec;

const PODS: [PodSpec; 2] = [
    PodSpec {
        account: Some("client"),
        ..PodSpec::CLIENT
    },
    PodSpec {
        account: Some("echo"),
        ..PodSpec::serving("echo", "echo", "v1", "echo", 8080)
    },
];

/// A PeerAuthentication of the namespace, or of the pod `echo` with its port.
fn policy(mode: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {{name: default, namespace: default}}\n\
         spec: {{mtls: {{mode: {mode}}}}}\n"
    )
}

fn port_policy(mode: &str, port: u16, port_mode: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {{name: echo, namespace: default}}\n\
         spec: {{selector: {{matchLabels: {{app: echo}}}}, mtls: {{mode: {mode}}}, portLevelMtls: {{{port}: {{mode: {port_mode}}}}}}}\n"
    )
}

/// Requests at the server by the security of their connections.
fn requests(pod: &Pod, policy: &str) -> u64 {
    let page = pod.admin("/stats/prometheus").body;
    let label = format!("connection_security_policy=\"{policy}\"");
    let lines = page.lines().filter(|line| {
        line.starts_with("istio_requests_total{")
            && line.contains("reporter=\"destination\"")
            && line.contains(&label)
    });
    lines
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum()
}

/// One request in plaintext to where the server's proxy listens, as a client without a proxy sends it.
fn plaintext(address: SocketAddr) -> std::io::Result<u16> {
    Connection::open(address)?
        .get("/status/200", &[])
        .map(|answer| answer.status)
}

#[test]
fn traffic_is_mutual_tls_from_the_first_request_on() {
    let mut mesh = Mesh::start(&PODS, "");
    let mut connection = mesh.pod("client").outbound();
    for _ in 0..5 {
        let forged = [(
            "x-forwarded-client-cert",
            "By=me;URI=spiffe://cluster.local/ns/default/sa/admin",
        )];
        let answer = connection.get("http://echo:8080/headers", &forged).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        let told = format!(";Subject=\\\"\\\";URI={}", identity("client"));
        let by = format!("By={};Hash=", identity("echo"));
        assert!(answer.body.contains(&told), "{}", answer.body);
        assert!(answer.body.contains(&by), "{}", answer.body);
        assert!(!answer.body.contains("sa/admin"), "{}", answer.body);
    }
    let (client, echo) = (identity("client"), identity("echo"));
    let principals = [
        format!("source_principal=\"{client}\""),
        format!("destination_principal=\"{echo}\""),
    ];
    for (pod, reporter, policy) in [
        ("echo", "destination", "mutual_tls"),
        ("client", "source", "unknown"),
    ] {
        let words = [
            "istio_requests_total{",
            &format!("reporter=\"{reporter}\""),
            &format!("connection_security_policy=\"{policy}\""),
            "source_workload=\"client\"",
            "source_workload_namespace=\"default\"",
            &principals[0],
            &principals[1],
        ];
        check(mesh.pod(pod), &words, 5);
    }
    // Plaintext still gets in, and is told apart.
    assert_eq!(plaintext(mesh.pod("echo").at(8080)).unwrap(), 200);
    let words = [
        "istio_requests_total{",
        "connection_security_policy=\"none\"",
        "source_principal=\"unknown\"",
        "source_workload=\"unknown\"",
    ];
    check(mesh.pod("echo"), &words, 1);
}

#[test]
fn strict_refuses_plaintext_and_disable_serves_nothing_else() {
    let mut mesh = Mesh::start(&PODS, &policy("STRICT"));
    let address = mesh.pod("echo").at(8080);
    let get = |mesh: &mut Mesh| {
        let mut connection = mesh.pod("client").outbound();
        connection
            .get("http://echo:8080/status/200", &[])
            .unwrap()
            .status
    };
    let mut raw = Connection::open(address).unwrap();
    raw.send_get("/status/200", &[]).unwrap();
    assert!(raw.is_closed(), "plaintext is closed, without a word");
    assert_eq!(get(&mut mesh), 200);
    // A request is counted once it has ended, which may be after the client has its answer.
    eventually("the request is counted", LIMIT, || {
        (requests(mesh.pod("echo"), "mutual_tls") == 1).then_some(())
    });
    // The agent's ports are not those of the workload: probes go on.
    assert_eq!(
        Connection::open(mesh.pod("echo").at(15021))
            .unwrap()
            .get("/healthz/ready", &[])
            .unwrap()
            .status,
        200
    );

    mesh.configure(&policy("DISABLE"));
    eventually("the client speaks plaintext", LIMIT, || {
        (get(&mut mesh) == 200 && requests(mesh.pod("echo"), "none") > 0).then_some(())
    });
    assert_eq!(plaintext(address).unwrap(), 200);

    // The port counts before the workload, and the workload before the namespace.
    mesh.configure(&[policy("DISABLE"), port_policy("DISABLE", 8080, "STRICT")].join("---\n"));
    eventually("plaintext is closed again", LIMIT, || {
        plaintext(address).is_err().then_some(())
    });
    eventually("the client has followed", LIMIT, || {
        (get(&mut mesh) == 200).then_some(())
    });
    mesh.configure(&[policy("STRICT"), port_policy("STRICT", 8080, "PERMISSIVE")].join("---\n"));
    eventually("plaintext is served again", LIMIT, || {
        plaintext(address).ok()
    });
    assert_eq!(get(&mut mesh), 200);
}

#[test]
fn destination_rules_decide_before_what_is_automatic() {
    let rule = |mode: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: echo, namespace: default}}\n\
             spec: {{host: echo, trafficPolicy: {{tls: {{mode: {mode}}}}}}}\n"
        )
    };
    let mut mesh = Mesh::start(&PODS, &rule("DISABLE"));
    let get = |mesh: &mut Mesh| {
        let mut connection = mesh.pod("client").outbound();
        connection.get("http://echo:8080/status/200", &[]).unwrap()
    };
    assert_eq!(get(&mut mesh).status, 200);
    check(
        mesh.pod("echo"),
        &[
            "istio_requests_total{",
            "connection_security_policy=\"none\"",
        ],
        1,
    );
    mesh.configure(&rule("ISTIO_MUTUAL"));
    eventually("the rule is in force", LIMIT, || {
        assert_eq!(get(&mut mesh).status, 200);
        (requests(mesh.pod("echo"), "mutual_tls") > 0).then_some(())
    });
    // A server that is not who it should be gets nothing.
    let other = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: echo, namespace: default}\n\
                 spec: {host: echo, trafficPolicy: {tls: {mode: ISTIO_MUTUAL, subjectAltNames: ['spiffe://cluster.local/ns/default/sa/other']}}}\n";
    mesh.configure(other);
    let answer = eventually("the other name is asked for", LIMIT, || {
        let answer = get(&mut mesh);
        (answer.status == 503).then_some(answer)
    });
    assert!(answer.body.contains("TLS_error"), "{}", answer.body);
}

#[test]
fn connections_of_bytes_are_mutual_tls_as_well() {
    for port_name in ["tcp", "unnamed-protocol"] {
        let ratings = PodSpec {
            port_name,
            account: Some("ratings"),
            ..PodSpec::serving("ratings", "ratings", "v1", "ratings", 9080)
        };
        let mut mesh = Mesh::start(&[PODS[0], ratings], &policy("STRICT"));
        let mut connection = mesh.pod("client").outbound();
        let connect = "CONNECT ratings:9080 HTTP/1.1\r\nhost: ratings:9080\r\n\r\n";
        connection.send(connect.as_bytes()).unwrap();
        assert_eq!(connection.receive().unwrap().status, 200);
        let answer = connection.get("/ratings/0", &[]).unwrap();
        assert_eq!(answer.status, 200, "{port_name}: {answer:?}");
        drop(connection);
        let metric = if port_name == "tcp" {
            "istio_tcp_connections_closed_total{"
        } else {
            // What the client's proxy has detected is told to the server's.
            "istio_requests_total{"
        };
        let principal = format!("source_principal=\"{}\"", identity("client"));
        let words = [
            metric,
            "connection_security_policy=\"mutual_tls\"",
            &principal,
        ];
        check(mesh.pod("ratings"), &words, 1);
        assert!(
            plaintext(mesh.pod("ratings").at(9080)).is_err(),
            "{port_name}"
        );
    }
}

/// Certificates are replaced, and the root as well, while requests go on: first both roots are trusted, then certificates change, then
/// the old root goes.
#[test]
fn certificates_and_roots_change_without_a_failed_request() {
    let mesh = Mesh::start(&PODS, &policy("STRICT"));
    let stop = AtomicBool::new(false);
    let client = mesh.pods[0].at(15001);
    let (old, new) = (&mesh.authority, Authority::new());
    let sent = std::thread::scope(|scope| {
        let requests = scope.spawn(|| {
            let mut sent = 0;
            let mut connection = Connection::open(client).unwrap();
            while !stop.load(Ordering::Relaxed) {
                let answer = connection.get("http://echo:8080/status/200", &[]).unwrap();
                assert_eq!(answer.status, 200, "after {sent}: {answer:?}");
                sent += 1;
            }
            sent
        });
        mesh.certify(old, &[old]);
        mesh.certify(old, &[old, &new]);
        mesh.certify(&new, &[old, &new]);
        mesh.certify(&new, &[&new]);
        stop.store(true, Ordering::Relaxed);
        requests.join().unwrap()
    });
    assert!(sent > 0);
    assert_eq!(requests(&mesh.pods[1], "none"), 0);
}

/// Passes bytes on and keeps all of them.
struct Relay {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Relay {
    fn start(at: Ipv4Addr, to: SocketAddr) -> Self {
        let listener = TcpListener::bind((at, 0)).unwrap();
        let relay = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
        };
        let seen = relay.seen.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let server = TcpStream::connect(to).unwrap();
                for (from, into) in [(&client, &server), (&server, &client)] {
                    let (mut from, mut into) =
                        (from.try_clone().unwrap(), into.try_clone().unwrap());
                    let seen = seen.clone();
                    std::thread::spawn(move || {
                        let mut buffer = [0; 4096];
                        while let Ok(count @ 1..) = from.read(&mut buffer) {
                            seen.lock().unwrap().extend_from_slice(&buffer[..count]);
                            if into.write_all(&buffer[..count]).is_err() {
                                break;
                            }
                        }
                        let _ = into.shutdown(std::net::Shutdown::Both);
                    });
                }
            }
        });
        relay
    }

    fn has_seen(&self, text: &str) -> bool {
        let seen = self.seen.lock().unwrap();
        seen.windows(text.len())
            .any(|window| window == text.as_bytes())
    }
}

/// What a request and its answer say, between two proxies, is read by nobody.
#[test]
fn nothing_is_readable_on_the_wire() {
    const SECRET: &str = "the-number-of-my-card";
    let mut mesh = Mesh::start(&PODS, "");
    let echo = mesh.pod("echo");
    let relay = Relay::start(echo.address, echo.at(8080));
    let endpoint = |mode: &str| {
        let SocketAddr::V4(address) = relay.address else {
            panic!("an address of the loopback network");
        };
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: relayed, namespace: default}}\n\
             spec: {{clusterIP: 10.96.0.99, ports: [{{name: http, port: 8080}}]}}\n---\n\
             apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
             metadata: {{name: relayed-1, namespace: default, labels: {{kubernetes.io/service-name: relayed}}}}\n\
             addressType: IPv4\nports: [{{name: http, port: {}}}]\n\
             endpoints: [{{addresses: [{}], targetRef: {{kind: Pod, name: echo, namespace: default}}}}]\n---\n{}",
            address.port(),
            address.ip(),
            policy(mode)
        )
    };
    let send = |mesh: &mut Mesh| {
        let mut connection = mesh.pod("client").outbound();
        let answer = connection.get("http://relayed:8080/headers", &[("x-secret", SECRET)]);
        let answer = answer.unwrap();
        (answer.status == 200 && answer.body.contains(SECRET)).then_some(())
    };
    mesh.configure(&endpoint("PERMISSIVE"));
    eventually("the relay is an endpoint", LIMIT, || send(&mut mesh));
    assert!(!relay.seen.lock().unwrap().is_empty());
    assert!(!relay.has_seen(SECRET));
    assert!(!relay.has_seen("HTTP/1.1"));
    // The relay would have seen it.
    mesh.configure(&endpoint("DISABLE"));
    eventually("plaintext is spoken", LIMIT, || {
        send(&mut mesh)?;
        relay.has_seen(SECRET).then_some(())
    });
}
