//! Where connections were meant to go: without capture by the kernel, from the authority of each request.

use std::net::TcpListener;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use mesh_ir::names::{BLACK_HOLE, PASSTHROUGH};
use mesh_ir::*;

use super::harness::*;

fn original(name: &str) -> Arc<Cluster> {
    let mut cluster = (*static_cluster(name, &[])).clone();
    cluster.kind = ClusterKind::OriginalDestination;
    cluster.client.balancing = LoadBalancing::ClusterProvided;
    Arc::new(cluster)
}

/// A sidecar in loopback capture: HTTP on port 9080 of any address, TCP on one port of one, everything else passed through.
fn sidecar() -> Proxy {
    let address = free();
    let pod = address.ip();
    let mut outbound = (*listener("virtualOutbound", address, true, Vec::new())).clone();
    outbound.use_original_destination = true;
    outbound.default_chain = Some(chain(tcp_to(PASSTHROUGH)));
    let database: SocketAddr = "10.96.0.7:3306".parse().unwrap();
    let named = |address: IpAddr| NamedHost {
        addresses: vec![address],
        service: None,
    };
    let names = NameTable {
        namespace: "default".into(),
        hosts: [
            ("db".into(), named(database.ip())),
            ("reviews".into(), named([10, 96, 0, 1].into())),
        ]
        .into(),
    };
    let tcp = backend(|_, mut wire| wire.send("database"));
    let config = ProxyConfig {
        listeners: vec![
            Arc::new(outbound),
            listener(
                "0.0.0.0_9080",
                "0.0.0.0:9080".parse().unwrap(),
                false,
                vec![chain(Network::Http(manager(vec![to("/", "http")])))],
            ),
            listener(
                "10.96.0.7_3306",
                database,
                false,
                vec![chain(tcp_to("tcp"))],
            ),
        ]
        .into(),
        clusters: vec![
            original(PASSTHROUGH),
            static_cluster(BLACK_HOLE, &[]),
            static_cluster("http", &[echo("http")]),
            static_cluster("tcp", &[tcp]),
        ]
        .into(),
        names: vec![Arc::new(names)].into(),
        ..ProxyConfig::default()
    };
    start(address, Capture::Loopback { pod, app: pod }, &config)
}

#[test]
fn requests_to_a_proxy_are_routed_by_their_authority() {
    let proxy = sidecar();
    let mut wire = proxy.connect();
    for _ in 0..2 {
        wire.send("GET http://reviews:9080/reviews/0?x HTTP/1.1\r\nHost: reviews:9080\r\nProxy-Connection: keep-alive\r\n\r\n");
        let answer = wire.answer();
        assert!(
            answer
                .body
                .starts_with("http\nGET /reviews/0?x HTTP/1.1\r\nhost: reviews:9080\r\n"),
            "{}",
            answer.body
        );
        assert_eq!(field(&answer.body, "proxy-connection"), None);
    }
    // Another destination on the same connection: no service, hence passed through.
    let other = echo("other");
    wire.send(&format!(
        "GET http://{other}/y HTTP/1.1\r\nHost: {other}\r\n\r\n"
    ));
    assert!(wire.answer().body.starts_with("other\nGET /y HTTP/1.1\r\n"));
    wire.send("GET http://reviews:9080/ HTTP/1.1\r\nHost: reviews:9080\r\n\r\n");
    assert!(wire.answer().body.starts_with("http\n"));
}

#[test]
fn what_follows_a_connect_is_a_connection_of_its_own() {
    let proxy = sidecar();
    let mut wire = proxy.connect();
    wire.send("CONNECT db:3306 HTTP/1.1\r\nHost: db:3306\r\n\r\n");
    assert_eq!(wire.head().unwrap(), "HTTP/1.1 200 OK\r\n\r\n");
    assert_eq!(wire.rest(), "database");
    let mut wire = proxy.connect();
    wire.send("CONNECT reviews:9080 HTTP/1.1\r\nHost: reviews\r\n\r\nGET /a HTTP/1.1\r\nHost: reviews\r\n\r\n");
    wire.head();
    assert!(wire.answer().body.starts_with("http\nGET /a "));
}

#[test]
fn chains_are_chosen_by_port() {
    let address = free();
    let of_port = |port, network| FilterChain {
        matcher: ChainMatch::port(port),
        ..chain(network)
    };
    let mut inbound = (*listener(
        "virtualInbound",
        address,
        true,
        vec![
            of_port(address.port(), Network::Http(manager(vec![to("/", "own")]))),
            of_port(1, tcp_to(BLACK_HOLE)),
        ],
    ))
    .clone();
    inbound.direction = Direction::Inbound;
    let config = ProxyConfig {
        listeners: vec![Arc::new(inbound)].into(),
        clusters: vec![
            static_cluster("own", &[echo("own")]),
            static_cluster(BLACK_HOLE, &[]),
        ]
        .into(),
        ..ProxyConfig::default()
    };
    let proxy = start(address, Capture::Redirect, &config);
    assert!(proxy.get("/").body.starts_with("own\n"));
}

#[test]
fn connections_come_from_the_address_of_the_cluster() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut cluster = (*static_cluster("one", &[upstream.local_addr().unwrap()])).clone();
    cluster.client.source_address = Some([127, 0, 0, 6].into());
    let proxy = http_proxy(vec![to("/", "one")], vec![Arc::new(cluster)]);
    let mut wire = proxy.connect();
    wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let (_, peer) = upstream.accept().unwrap();
    assert_eq!(peer.ip().to_string(), "127.0.0.6");
}

#[test]
fn a_load_balancer_says_who_the_client_is() {
    let address = free();
    let mut manager = manager(vec![to("/", "one")]);
    manager.trust.use_remote_address = true;
    let mut listener = Listener {
        chains: vec![chain(Network::Http(manager))],
        ..Listener::new("test".into(), address, Direction::Outbound)
    };
    listener.inspect.proxy_protocol = true;
    let config = ProxyConfig {
        listeners: vec![Arc::new(listener)].into(),
        clusters: vec![static_cluster("one", &[echo("one")])].into(),
        ..ProxyConfig::default()
    };
    let proxy = start(address, Capture::Redirect, &config);
    for (header, client) in [
        ("PROXY TCP4 192.0.2.7 192.0.2.1 1000 80\r\n", "192.0.2.7"),
        ("PROXY UNKNOWN\r\n", "127.0.0.1"),
    ] {
        let mut wire = proxy.connect();
        wire.send(header);
        for _ in 0..2 {
            wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            let seen = wire.answer().body;
            assert_eq!(field(&seen, "x-forwarded-for"), Some(client), "{seen}");
        }
    }
    // Nobody may leave it out.
    let mut wire = proxy.connect();
    wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(wire.rest(), "");
    assert_eq!(proxy.counted().workers.downstream_protocol_error, 1);
}
