//! The same policies in front of our proxy and of Envoy: hundreds of requests made for them must get the same verdicts.
//!
//! ```text
//! Generator --policies, one set for each port--> control plane --> Envoy (127.0.4.1)   ours (127.0.4.3)
//!      `------requests---------------------------------------------> both at once, verdicts compared
//! ```
//!
//! Both proxies stand for pods of the same service, whose ports are told apart by the rules. Nothing listens behind them: what is
//! allowed is answered with 503, what is not with 401 or 403.

mod generate;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mesh_tests::eventually;
use serde_json::json;

use crate::http;
use crate::issuer::{ISSUER, Issuer};
use crate::mesh::{Mesh, Node, Protocol};
use crate::tls_client::TlsClient;
use generate::{Generator, Who};

/// Ports, each with policies of its own. Every listener has all of them, so that twice as many cost four times as much.
const PORTS: u16 = 10;
const FIRST_PORT: u16 = 20_001;

/// Requests for each port.
const REQUESTS: usize = 50;

/// Requests on their way at once.
const THREADS: usize = 8;

const ENVOY: Node = Node {
    role: "sidecar",
    pod: "envoy",
    address: "127.0.4.1",
    labels: r#"{"app":"server","security.istio.io/tlsMode":"istio"}"#,
    app: Some("127.0.4.2"),
    admin: "127.0.4.1",
};

const OURS: Node = Node {
    pod: "ours",
    address: "127.0.4.3",
    app: Some("127.0.4.4"),
    admin: "127.0.4.3",
    ..ENVOY
};

/// A request with the one who sends it.
pub struct Attempt {
    pub port: u16,
    pub who: Who,
    pub head: String,
}

/// What a proxy says to a request: its status, or none if it closes the connection.
type Verdict = Option<u16>;

#[test]
fn policies_have_the_same_verdicts() {
    let issuer = Issuer::new();
    let tokens = [
        issuer.token(json!({"groups": ["dev"]})),
        issuer.token(json!({"sub": "bob", "groups": ["ops", "dev"], "role": {"name": "lead"}})),
        Issuer::new().token(json!({"groups": ["dev"]})),
    ];
    let mut generator = Generator::new(7, tokens.to_vec());
    let ports: Vec<u16> = (FIRST_PORT..FIRST_PORT + PORTS).collect();
    let policies: Vec<String> = ports.iter().map(|port| generator.policies(*port)).collect();
    let attempts: Vec<Attempt> = ports
        .iter()
        .flat_map(|port| generator.attempts(*port, REQUESTS))
        .collect();
    let config = [objects(&ports), authentication(&issuer), policies.concat()].concat();
    let mesh = Mesh::start_with(config);
    let clients = Clients::new(&mesh);
    let _envoy = mesh.start_envoy_node(&ENVOY, Protocol::Delta);
    let _ours = mesh.start_our_node(&OURS);
    for node in [&ENVOY, &OURS] {
        for port in &ports {
            let address: SocketAddr = format!("{}:{port}", node.address).parse().unwrap();
            eventually(
                &format!("{address} listens"),
                Duration::from_secs(60),
                || TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok(),
            );
        }
    }
    let begun = Instant::now();
    let verdicts = ask(&clients, &attempts);
    let mut wrong = Vec::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (attempt, [theirs, ours]) in attempts.iter().zip(&verdicts) {
        *seen.entry(format!("{theirs:?}")).or_default() += 1;
        if theirs != ours {
            let port = usize::from(attempt.port - FIRST_PORT);
            let Attempt { who, head, .. } = attempt;
            let rules = &policies[port];
            wrong.push(format!(
                "Envoy {theirs:?}, ours {ours:?}: {who:?}\n{head}\n{rules}"
            ));
        }
    }
    let all = attempts.len();
    println!("{all} requests by both in {:?}: {seen:?}", begun.elapsed());
    assert!(
        wrong.is_empty(),
        "{} of {all} requests have other verdicts:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    // Neither all nor nothing.
    for verdict in ["Some(503)", "Some(403)", "Some(401)"] {
        let count = seen.get(verdict).copied().unwrap_or_default();
        assert!(count * 20 > all, "{verdict}: {count} of {all}");
    }
}

/// The service, and the pods of both proxies.
fn objects(ports: &[u16]) -> String {
    let pods = [&ENVOY, &OURS].map(|node| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {0}, namespace: default, labels: {{app: server, security.istio.io/tlsMode: istio}}}}\n\
             spec: {{serviceAccountName: {0}, containers: []}}\nstatus: {{podIP: {1}}}\n---\n",
            node.pod, node.address
        )
    });
    let list: Vec<String> = ports
        .iter()
        .map(|port| format!("  - {{name: http-{port}, port: {port}}}\n"))
        .collect();
    format!(
        "{}apiVersion: v1\nkind: Service\nmetadata: {{name: server, namespace: default}}\nspec:\n  clusterIP: 10.96.0.20\n  selector: {{app: server}}\n  ports:\n{}---\n",
        pods.concat(),
        list.concat()
    )
}

fn authentication(issuer: &Issuer) -> String {
    let jwks = issuer.jwks();
    format!(
        "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {{name: tokens, namespace: default}}\n\
         spec: {{selector: {{matchLabels: {{app: server}}}}, jwtRules: [{{issuer: '{ISSUER}', jwks: '{jwks}'}}]}}\n---\n"
    )
}

/// Those who send requests: in plain text, and with certificates of service accounts.
struct Clients {
    client: TlsClient,
    admin: TlsClient,
}

impl Clients {
    fn new(mesh: &Mesh) -> Self {
        let of = |account| {
            let certificate = mesh.authority().issue(account);
            TlsClient::new(Some(certificate), &["istio-http/1.1", "istio"])
        };
        Self {
            client: of("client"),
            admin: of("admin"),
        }
    }

    /// The verdict of a proxy.
    fn ask(&self, node: &Node, attempt: &Attempt) -> Verdict {
        let address: SocketAddr = format!("{}:{}", node.address, attempt.port)
            .parse()
            .unwrap();
        let stream = http::connect(address).ok()?;
        let request = format!("{}\r\nconnection: close\r\n\r\n", attempt.head);
        let mut answer = Vec::new();
        let tls = match attempt.who {
            Who::Nobody => None,
            Who::Client => Some(&self.client),
            Who::Admin => Some(&self.admin),
        };
        match tls {
            None => {
                let mut stream = stream;
                stream
                    .set_read_timeout(Some(Duration::from_secs(10)))
                    .ok()?;
                stream.write_all(request.as_bytes()).ok()?;
                let _ = stream.read_to_end(&mut answer);
                let _ = stream.shutdown(Shutdown::Both);
            }
            Some(tls) => {
                let mut stream = tls.over(stream).ok()?;
                stream.write_all(request.as_bytes()).ok()?;
                // An end without a word of TLS is an end as well.
                let _ = stream.read_to_end(&mut answer);
            }
        }
        let text = String::from_utf8_lossy(&answer);
        text.split(' ').nth(1)?.parse().ok()
    }
}

/// The verdicts of Envoy and of our proxy, in the order of the attempts.
fn ask(clients: &Clients, attempts: &[Attempt]) -> Vec<[Verdict; 2]> {
    let next = AtomicUsize::new(0);
    let verdicts = Mutex::new(vec![[None; 2]; attempts.len()]);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(attempt) = attempts.get(index) else {
                        return;
                    };
                    let both = [&ENVOY, &OURS].map(|node| clients.ask(node, attempt));
                    verdicts.lock().unwrap()[index] = both;
                }
            });
        }
    });
    verdicts.into_inner().unwrap()
}
