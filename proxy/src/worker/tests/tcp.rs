//! Connections that are passed through, and telling them from HTTP.

use std::net::Shutdown;
use std::sync::Arc;

use mesh_ir::*;

use super::harness::*;

/// Answers each connection with what it sent, once that has ended.
fn mirror() -> std::net::SocketAddr {
    backend(|_, mut wire| {
        let all = wire.rest();
        wire.send(&format!("<{all}>"));
    })
}

fn tcp_proxy(network: Network, clusters: Vec<Arc<Cluster>>) -> Proxy {
    let address = free();
    let config = ProxyConfig {
        listeners: vec![listener("tcp", address, true, vec![chain(network)])].into(),
        clusters: clusters.into(),
        ..ProxyConfig::default()
    };
    start(address, Capture::Redirect, &config)
}

#[test]
fn bytes_pass_both_ways_and_ends_one_by_one() {
    let proxy = tcp_proxy(tcp_to("one"), vec![static_cluster("one", &[mirror()])]);
    let mut wire = proxy.connect();
    let large = "x".repeat(300_000);
    wire.send(&large);
    wire.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(wire.rest(), format!("<{large}>"));
    while proxy.counted().clusters["one"].rq_active > 0 {
        std::thread::yield_now();
    }
    assert_eq!(proxy.metric("istio_tcp_received_bytes_total", &[]), 300_000);
    assert_eq!(proxy.metric("istio_tcp_sent_bytes_total", &[]), 300_002);
    assert_eq!(proxy.metric("istio_tcp_connections_opened_total", &[]), 1);
}

#[test]
fn connections_are_spread_by_weight() {
    let mut network = tcp_to("one");
    if let Network::Tcp(tcp) = &mut network {
        tcp.clusters = vec![("one".into(), 1), ("two".into(), 3)];
    }
    let name = |name: &'static str| backend(move |_, mut wire| wire.send(name));
    let proxy = tcp_proxy(
        network,
        vec![
            static_cluster("one", &[name("1")]),
            static_cluster("two", &[name("2")]),
        ],
    );
    let two = (0..400).filter(|_| proxy.connect().rest() == "2").count();
    // 300 are expected; 5.2 standard deviations (8.7) are left less than once in five million runs.
    assert!((255..=345).contains(&two), "{two}");
}

#[test]
fn without_an_upstream_the_connection_ends() {
    let proxy = tcp_proxy(tcp_to("one"), vec![static_cluster("one", &[free()])]);
    assert_eq!(proxy.connect().rest(), "");
    let proxy = tcp_proxy(tcp_to("missing"), Vec::new());
    assert_eq!(proxy.connect().rest(), "");
}

#[test]
fn http_is_told_from_other_bytes() {
    let address = free();
    let mut http = chain(Network::Http(manager(vec![to("/", "http")])));
    http.matcher.application_protocols = ["http/1.1".into(), "h2c".into()].into();
    let mut detecting =
        (*listener("detect", address, true, vec![http, chain(tcp_to("tcp"))])).clone();
    detecting.inspect.http = true;
    let config = ProxyConfig {
        listeners: vec![Arc::new(detecting)].into(),
        clusters: vec![
            static_cluster("http", &[echo("http")]),
            static_cluster("tcp", &[mirror()]),
        ]
        .into(),
        ..ProxyConfig::default()
    };
    let proxy = start(address, Capture::Redirect, &config);
    let mut wire = proxy.connect();
    wire.send("GE");
    wire.send("T / HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = wire.answer();
    assert!(answer.body.starts_with("http\n"));
    assert_eq!(answer.field("server"), Some("envoy"));
    let mut wire = proxy.connect();
    wire.send("GEHEIM");
    wire.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(wire.rest(), "<GEHEIM>");
}

#[test]
fn where_the_server_speaks_first_the_connection_is_passed_through() {
    let address = free();
    let mut http = chain(Network::Http(manager(vec![to("/", "tcp")])));
    http.matcher.application_protocols = ["http/1.1".into()].into();
    let mut detecting =
        (*listener("detect", address, true, vec![http, chain(tcp_to("tcp"))])).clone();
    detecting.inspect.http = true;
    let greeting = backend(|_, mut wire| wire.send("220 ready"));
    let config = ProxyConfig {
        listeners: vec![Arc::new(detecting)].into(),
        clusters: vec![static_cluster("tcp", &[greeting])].into(),
        ..ProxyConfig::default()
    };
    let proxy = start(address, Capture::Redirect, &config);
    assert_eq!(proxy.connect().rest(), "220 ready");
}
