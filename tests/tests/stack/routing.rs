//! Weights, headers, failures.

use std::io::{Read, Write};
use std::net::TcpListener;

use mesh_tests::eventually;

use crate::chance;
use crate::mesh::{LIMIT, Mesh};
use crate::yaml::{PodSpec, route};

/// A client, and two versions of helloworld.
pub const HELLO: [PodSpec; 3] = [
    PodSpec::CLIENT,
    PodSpec::serving("helloworld-v1", "helloworld", "v1", "helloworld-v1", 5000),
    PodSpec::serving("helloworld-v2", "helloworld", "v2", "helloworld-v2", 5000),
];

pub const URL: &str = "http://helloworld:5000/hello";

/// Sends requests over one connection of the pod `client`; how many version v2 answered.
#[track_caller]
pub fn count_v2(mesh: &mut Mesh, requests: u32) -> u32 {
    let mut connection = mesh.pod("client").outbound();
    let mut count = 0;
    for _ in 0..requests {
        let answer = connection.get(URL, &[]).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        count += u32::from(answer.body.contains("version: v2"));
    }
    count
}

/// Waits until all of a few answers come from one version.
#[track_caller]
pub fn only(mesh: &mut Mesh, version: &str) {
    let expected = if version == "v2" { 10 } else { 0 };
    eventually("the route is in force", LIMIT, || {
        (count_v2(mesh, 10) == expected).then_some(())
    });
}

#[test]
fn weights_are_kept_and_changes_arrive() {
    let mut mesh = Mesh::start(&HELLO, &route("helloworld", &[("v1", 75), ("v2", 25)]));
    let requests = 600;
    let count = count_v2(&mut mesh, requests);
    chance::check("a quarter goes to v2", count, requests, 0.25);
    mesh.configure(&route("helloworld", &[("v1", 0), ("v2", 100)]));
    only(&mut mesh, "v2");
    mesh.configure(&route("helloworld", &[("v1", 100), ("v2", 0)]));
    only(&mut mesh, "v1");
}

#[test]
fn a_killed_program_is_told_apart_from_one_that_answers() {
    let mut mesh = Mesh::start(&HELLO, &route("helloworld", &[("v1", 100), ("v2", 0)]));
    only(&mut mesh, "v1");
    if let Some(app) = &mut mesh.pod("helloworld-v1").app {
        app.kill();
    }
    let answer = mesh.pod("client").outbound().get(URL, &[]).unwrap();
    assert_eq!(answer.status, 503, "{answer:?}");
    mesh.configure(&route("helloworld", &[("v1", 0), ("v2", 100)]));
    eventually("v2 answers", LIMIT, || {
        let answer = mesh.pod("client").outbound().get(URL, &[]).unwrap();
        answer.body.contains("version: v2").then_some(())
    });
}

#[test]
fn copies_of_requests_go_to_another_version() {
    let mirrored = route("helloworld", &[("v1", 100), ("v2", 0)])
        + "      mirror: {host: helloworld, subset: v2}\n      mirrorPercentage: {value: 100}\n";
    // With identities, since only proxies with mutual TLS are told who sends.
    let specs = HELLO.map(|spec| PodSpec {
        account: Some("hello"),
        ..spec
    });
    let mut mesh = Mesh::start(&specs, &mirrored);
    only(&mut mesh, "v1");
    let log = |mesh: &mut Mesh| {
        let text = mesh.pod("helloworld-v2").proxy.stdout();
        text.matches("helloworld-shadow:5000").count()
    };
    let before = log(&mut mesh);
    assert_eq!(count_v2(&mut mesh, 20), 0);
    eventually("all copies have arrived", LIMIT, || {
        (log(&mut mesh) - before >= 20).then_some(())
    });
    // Copies tell whose they are, as the requests do.
    let page = mesh.pod("helloworld-v2").admin("/stats/prometheus").body;
    let counted = page
        .lines()
        .filter(|line| line.starts_with("istio_requests_total{"));
    for line in counted {
        assert!(line.contains("source_workload=\"client\""), "{line}");
    }
}

#[test]
fn unknown_hosts_and_ports_are_not_found() {
    let mut mesh = Mesh::start(&HELLO[..1], "");
    let answer = mesh
        .pod("client")
        .outbound()
        .get("http://nobody.invalid:1/", &[])
        .unwrap();
    assert!((400..600).contains(&answer.status), "{answer:?}");
}

/// A server outside of the mesh that gives one answer to everybody; its port.
fn outside() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 4096];
            let answer =
                b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\nconnection: close\r\n\r\noutside";
            if stream.read(&mut request).is_ok() {
                let _ = stream.write_all(answer);
            }
        }
    });
    port
}

#[test]
fn host_names_outside_are_resolved_and_shown() {
    let port = outside();
    let entry = format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata:\n  name: outside\n  namespace: default\n\
         spec:\n  hosts: [api.example.com]\n  location: MESH_EXTERNAL\n  resolution: DNS\n  \
         ports:\n    - number: {port}\n      name: http\n      protocol: HTTP\n  endpoints:\n    - address: localhost\n"
    );
    let mut mesh = Mesh::start(&HELLO[..1], &entry);
    let client = mesh.pod("client");
    let url = format!("http://api.example.com:{port}/");
    eventually("the server outside answers", LIMIT, || {
        let answer = client.outbound().get(&url, &[]).unwrap();
        (answer.body == "outside").then_some(())
    });
    let host = format!("outbound|{port}||api.example.com::127.0.0.1:{port}::health_flags::healthy");
    let page = client.admin("/clusters").body;
    assert!(page.lines().any(|line| line == host), "{host}: {page}");
}
