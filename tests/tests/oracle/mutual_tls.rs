//! Mutual TLS between our proxy and Envoy, as either side, under STRICT.

use std::net::SocketAddr;
use std::time::Duration;

use mesh_tests::eventually;

use crate::backends::Backends;
use crate::certificates::identity;
use crate::http;
use crate::mesh::{Mesh, Node, Protocol, Proxy, listening};

const CONFIG: &str = include_str!("mutual_tls.yaml");

#[derive(Clone, Copy, Debug)]
enum Who {
    Ours,
    Envoy,
}

const CLIENT: Node = Node {
    role: "sidecar",
    pod: "client",
    address: "127.0.2.1",
    labels: r#"{"app":"client","security.istio.io/tlsMode":"istio"}"#,
    app: None,
    admin: "127.0.0.1",
};

const SERVER: Node = Node {
    role: "sidecar",
    pod: "server",
    address: "127.0.4.1",
    labels: r#"{"app":"server","security.istio.io/tlsMode":"istio"}"#,
    app: Some("127.0.4.2"),
    admin: "127.0.4.1",
};

fn start(mesh: &Mesh, who: Who, node: &Node) -> Proxy {
    match who {
        Who::Ours => mesh.start_our_node(node),
        Who::Envoy => mesh.start_envoy_node(node, Protocol::Delta),
    }
}

fn exchange(port: u16, request: &str, ends: bool) -> String {
    let address = SocketAddr::from(([10, 96, 0, 20], port));
    http::exchange(address, request, ends).unwrap_or_default()
}

#[test]
fn either_is_understood_by_the_other() {
    let _backends = Backends::start();
    let mesh = Mesh::start_with(CONFIG.to_owned());
    let mut told = Vec::new();
    for (client, server) in [
        (Who::Envoy, Who::Envoy),
        (Who::Ours, Who::Envoy),
        (Who::Envoy, Who::Ours),
        (Who::Ours, Who::Ours),
    ] {
        let who = format!("{client:?} -> {server:?}");
        // Both have a listener for outbound traffic, the client's on all addresses. Only the first to come gets its port.
        let _client = start(&mesh, client, &CLIENT);
        listening("127.0.0.1:15001");
        let _server = start(&mesh, server, &SERVER);
        let request = "GET /told HTTP/1.1\r\nHost: server\r\nX-Test: 1\r\n\
                       X-Forwarded-Client-Cert: By=forged\r\nConnection: close\r\n\r\n";
        let answer = eventually(&format!("{who}: HTTP"), Duration::from_secs(30), || {
            let answer = exchange(9080, request, false);
            answer.starts_with("HTTP/1.1 200").then_some(answer)
        });
        let field = answer
            .lines()
            .find(|line| line.starts_with("x-forwarded-client-cert:"));
        let field = field
            .unwrap_or_else(|| panic!("{who}: {answer}"))
            .to_owned();
        assert!(
            field.contains(&format!("by={};hash=", identity("server")))
                && field.ends_with(&format!(";uri={}", identity("client"))),
            "{who}: {field}"
        );
        told.push((who.clone(), field));
        assert_eq!(exchange(9090, "said", true), "said", "{who}: bytes");
        let answer = exchange(9100, request, false);
        assert!(
            answer.starts_with("HTTP/1.1 200"),
            "{who}: detected: {answer}"
        );
        // Plain text is closed without a word.
        for port in [9080, 9090, 9100] {
            let address = SocketAddr::from(([127, 0, 4, 1], port));
            let answer = http::exchange(address, request, false).unwrap_or_default();
            assert_eq!(answer, "", "{who}: plain text on {port}");
        }
    }
    // The same is told of the same certificate, whoever tells it.
    let (first, field) = &told[0];
    for (who, other) in &told {
        assert_eq!(other, field, "{who}, {first}");
    }
}
