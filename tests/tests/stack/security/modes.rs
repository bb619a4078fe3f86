//! Who reaches whom: clients and servers with and without a proxy, by the mode of the server and what is spoken.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use super::connect;
use crate::http::Connection;
use crate::mesh::{LIMIT, Mesh};
use crate::tls_client::TlsClient;
use crate::yaml::PodSpec;

const fn server(name: &'static str, port_name: &'static str) -> PodSpec {
    PodSpec {
        account: Some("echo"),
        port_name,
        ..PodSpec::serving(name, name, "v1", "echo", PORT)
    }
}

const PORT: u16 = 8080;

const PODS: [PodSpec; 3] = [
    PodSpec {
        account: Some("client"),
        ..PodSpec::CLIENT
    },
    server("web", "http"),
    server("bytes", "tcp"),
];

/// How a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    /// Through its proxy.
    Sidecar,
    /// To the server's proxy, in plain text.
    Plain,
    /// To the server's proxy, in TLS without a certificate.
    Tls,
    /// To the server's proxy, in the mesh's TLS.
    Mesh,
}

fn is_served(mesh: &mut Mesh, client: Client, server: &'static str) -> bool {
    let path = "/status/200";
    let status = match client {
        Client::Sidecar => {
            let url = format!("http://{server}:{PORT}{path}");
            mesh.pod("client").outbound().get(&url, &[])
        }
        Client::Plain => Connection::open(mesh.pod(server).at(PORT))
            .and_then(|mut connection| connection.get(path, &[])),
        Client::Tls | Client::Mesh => {
            let certificate =
                matches!(client, Client::Mesh).then(|| mesh.authority.issue("client"));
            let protocols: &[&str] = match client {
                Client::Mesh => &["istio-http/1.1", "istio"],
                _ => &["http/1.1"],
            };
            let tls = TlsClient::new(certificate, protocols);
            let mut answer = Vec::new();
            let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
            if let Ok(mut stream) = connect(&tls, mesh.pod(server).at(PORT))
                && stream.write_all(request.as_bytes()).is_ok()
            {
                let _ = stream.read_to_end(&mut answer);
            }
            return answer.starts_with(b"HTTP/1.1 200 ");
        }
    };
    status.is_ok_and(|answer| answer.status == 200)
}

fn mode(mode: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {{name: default, namespace: default}}\n\
         spec: {{mtls: {{mode: {mode}}}}}\n"
    )
}

/// Whether something becomes true.
fn within(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < limit {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}

#[test]
fn who_is_served_depends_on_the_mode_alone() {
    use Client::{Mesh as InMesh, Plain, Sidecar, Tls};
    let mut mesh = Mesh::start(&PODS, &mode("PERMISSIVE"));
    for (name, expected) in [
        // The program itself speaks no TLS, so that what is passed to it in TLS is not understood.
        (
            "PERMISSIVE",
            [(Sidecar, true), (Plain, true), (Tls, false), (InMesh, true)],
        ),
        (
            "STRICT",
            [
                (Sidecar, true),
                (Plain, false),
                (Tls, false),
                (InMesh, true),
            ],
        ),
        (
            "DISABLE",
            [
                (Sidecar, true),
                (Plain, true),
                (Tls, false),
                (InMesh, false),
            ],
        ),
    ] {
        mesh.configure(&mode(name));
        for server in ["web", "bytes"] {
            // All of them at once: a change reaches the proxies one after the other.
            let mut found = Vec::new();
            let as_expected = within(LIMIT, || {
                found = expected
                    .iter()
                    .map(|(client, _)| (*client, is_served(&mut mesh, *client, server)))
                    .collect();
                found == expected
            });
            assert!(as_expected, "{name}, {server}: {found:?}, not {expected:?}");
        }
    }
}
