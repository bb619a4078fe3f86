//! TLS with clients and with upstreams, against rustls on the other side.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use mesh_ir::*;
use rustls::{ClientConnection, ServerConfig, ServerConnection};

use super::certificates::*;
use super::harness::*;

#[test]
fn the_server_name_leads_to_the_chain_that_ends_tls_or_passes_it_through() {
    let authority = Authority::new();
    let address = free();
    let to_cluster = |name: &str, cluster: &str| FilterChain {
        tls: server_tls(name, ClientCertificate::NotRequested),
        ..FilterChain::new(
            name,
            ChainMatch {
                server_names: [name.into()].into(),
                ..ChainMatch::default()
            },
            Network::Http(manager(vec![to("/", cluster)])),
        )
    };
    let passed = FilterChain::new(
        "passed",
        ChainMatch {
            server_names: ["*.passed.test".into()].into(),
            ..ChainMatch::default()
        },
        tcp_to("own"),
    );
    let mut config = ProxyConfig {
        listeners: vec![listener(
            "test",
            address,
            true,
            vec![
                to_cluster("a.test", "one"),
                to_cluster("b.test", "two"),
                passed,
            ],
        )]
        .into(),
        clusters: vec![
            static_cluster("one", &[echo("one")]),
            static_cluster(
                "own",
                &[tls_backend(
                    "own",
                    &authority.certify(&["x.passed.test"]),
                    None,
                )],
            ),
            static_cluster("two", &[echo("two")]),
        ]
        .into(),
        secrets: vec![
            authority.certify(&["a.test"]).secret("a.test"),
            authority.certify(&["b.test"]).secret("b.test"),
        ]
        .into(),
        ..ProxyConfig::default()
    };
    let proxy = start(address, Capture::Redirect, &config);
    let mut trusting = (*client(&authority, None)).clone();
    trusting.alpn_protocols = vec![b"http/1.1".to_vec()];
    let trusting = Arc::new(trusting);
    for (name, expect) in [
        ("a.test", "\none\n"),
        ("b.test", "\ntwo\n"),
        ("x.passed.test", "\nown 0\n"),
    ] {
        let answer = get(address, &trusting, name).unwrap();
        assert!(answer.contains(expect), "{name}: {answer}");
        // Who ends TLS says so; who passes it through sees nothing of it.
        let says = answer.contains("x-forwarded-proto: https");
        assert_eq!(says, name != "x.passed.test", "{name}: {answer}");
    }
    assert!(
        get(address, &trusting, "c.test").is_err(),
        "no chain is for this name"
    );
    // Without its secret a chain takes no connections, in plaintext least of all; the others go on.
    config.secrets = config.secrets[1..].into();
    let errors = proxy.workers.apply(&config);
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        ["listener test, filter chain a.test: secret a.test is not known yet"]
    );
    assert!(get(address, &trusting, "a.test").is_err());
    assert!(get(address, &trusting, "b.test").is_ok());
}

#[test]
fn two_proxies_agree_on_http2() {
    let authority = Authority::new();
    let (inner, outer) = (free(), free());
    let secrets = vec![
        authority.secret(),
        authority
            .certify(&["backend.test", SERVER])
            .secret("default"),
    ];
    let chain = FilterChain {
        tls: server_tls("default", ClientCertificate::Required(trust(&[SERVER]))),
        ..chain(Network::Http(manager(vec![to("/", "one")])))
    };
    let config = ProxyConfig {
        listeners: vec![listener("test", inner, true, vec![chain])].into(),
        clusters: vec![static_cluster("one", &[echo("one")])].into(),
        secrets: secrets.clone().into(),
        ..ProxyConfig::default()
    };
    let _inner = start(inner, Capture::Redirect, &config);
    let tls = ClientTls {
        alpn: vec!["h2".into()],
        ..(*client_tls(&[SERVER])).clone()
    };
    let cluster = tls_cluster(UpstreamTls::Always(Arc::new(tls)), inner, false);
    let mut cluster = (*cluster).clone();
    cluster.client.protocol = HttpProtocol::Http2;
    let mut config = http_config(outer, vec![to("/", "tls")], vec![Arc::new(cluster)]);
    config.secrets = secrets.into();
    let proxy = start(outer, Capture::Redirect, &config);
    for _ in 0..3 {
        let mut wire = proxy.connect();
        wire.send("POST /x HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nhi");
        let answer = wire.answer();
        assert_eq!(answer.code, 200, "{answer:?}");
        assert!(answer.body.starts_with("one\nPOST /x HTTP/1.1\r\n"));
        assert!(answer.body.ends_with("\r\n\r\nhi"));
    }
    let counted = proxy.settled();
    assert_eq!(counted.clusters["tls"].cx_total, 1);
}

#[test]
fn clients_show_certificates_of_the_names_that_are_asked_for() {
    let authority = Authority::new();
    let address = free();
    let mut config = http_config(
        address,
        vec![to("/", "one")],
        vec![static_cluster("one", &[echo("one")])],
    );
    let asks = ClientCertificate::Required(trust(&[CLIENT]));
    let chain = FilterChain {
        tls: server_tls("default", asks),
        ..chain(Network::Http(manager(vec![to("/", "one")])))
    };
    config.listeners = vec![listener("test", address, true, vec![chain])].into();
    config.secrets = vec![
        authority.secret(),
        authority
            .certify(&["server.test", SERVER])
            .secret("default"),
    ]
    .into();
    let _proxy = start(address, Capture::Redirect, &config);
    let get = |shows: Option<&Certified>| get(address, &client(&authority, shows), "server.test");
    assert!(
        get(Some(&authority.certify(&[CLIENT])))
            .unwrap()
            .contains("\none\n")
    );
    assert!(
        get(Some(&authority.certify(&[SERVER]))).is_err(),
        "another identity"
    );
    assert!(
        get(Some(&Authority::new().certify(&[CLIENT]))).is_err(),
        "another authority"
    );
    assert!(get(None).is_err(), "no certificate");
    // Plaintext is nothing that the chain takes.
    let mut wire = Wire::connect(address);
    wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(wire.try_answer().is_none_or(|answer| answer.code >= 400));
}

#[test]
fn upstreams_are_greeted_by_tls_and_their_connections_are_kept() {
    let authority = Authority::new();
    let upstream = tls_backend("tls", &authority.certify(&[SERVER]), Some(&authority));
    let address = free();
    let config = |expects: &[&str]| {
        let tls = UpstreamTls::Always(client_tls(expects));
        let mut config = http_config(
            address,
            vec![to("/", "tls")],
            vec![tls_cluster(tls, upstream, false)],
        );
        config.secrets = vec![
            authority.secret(),
            authority.certify(&[CLIENT]).secret("default"),
        ]
        .into();
        config
    };
    let right = config(&[SERVER]);
    let proxy = start(address, Capture::Redirect, &right);
    for _ in 0..5 {
        let answer = proxy.get("/");
        assert_eq!(answer.code, 200, "{answer:?}");
        assert!(answer.body.starts_with("tls 1\n"), "{answer:?}");
        // Session tickets come after the answer. They must not end the connection that is kept, nor be taken for one.
        std::thread::yield_now();
        proxy.apply(&right);
    }
    assert_eq!(proxy.settled().clusters["tls"].cx_total, 1);
    // Connections that were made to another expectation are not used again.
    proxy.apply(&config(&["spiffe://cluster.local/ns/default/sa/other"]));
    let answer = proxy.get("/");
    assert_eq!(answer.code, 503);
    assert!(
        answer.body.contains("TLS_error: invalid peer certificate"),
        "{answer:?}"
    );
    // Nothing is sent in plaintext where a key is missing.
    let mut keyless = config(&[SERVER]);
    keyless.secrets = keyless.secrets[..keyless.secrets.len() - 1].into();
    let errors = proxy.workers.apply(&keyless);
    assert_eq!(errors.len(), 1);
    assert_eq!(
        errors[0].to_string(),
        "cluster tls: secret default is not known yet"
    );
    let answer = proxy.get("/");
    assert_eq!(answer.code, 503);
    assert!(
        answer.body.contains("secret default is not known yet"),
        "{answer:?}"
    );
}

#[test]
fn servers_are_asked_for_the_host_of_each_request_and_must_be_that_host() {
    let authority = Authority::new();
    let shown = authority.certify(&["a.test", "b.test"]);
    let upstream = tls_backend("tls", &shown, None);
    let address = free();
    let tls = ClientTls {
        certificate: None,
        server_name: ServerName::OfRequest,
        ..(*client_tls(&[])).clone()
    };
    let cluster = tls_cluster(UpstreamTls::Always(Arc::new(tls)), upstream, false);
    let mut config = http_config(address, vec![to("/", "tls")], vec![cluster]);
    config.secrets = vec![authority.secret()].into();
    let proxy = start(address, Capture::Redirect, &config);
    let get = |host: &str| {
        let mut wire = proxy.connect();
        wire.send(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        wire.answer()
    };
    for (host, asked) in [("a.test", "a.test"), ("B.test:80", "b.test")].repeat(2) {
        let answer = get(host);
        assert_eq!(answer.code, 200, "{answer:?}");
        assert_eq!(answer.field("asked-for"), Some(asked), "{answer:?}");
    }
    // Each host has its own connections, which are kept.
    assert_eq!(proxy.settled().clusters["tls"].cx_total, 2);
    for host in ["c.test", "127.0.0.1", "[::1]:80"] {
        let answer = get(host);
        assert_eq!(answer.code, 503, "{host}: {answer:?}");
        assert!(answer.body.contains("TLS_error"), "{host}: {answer:?}");
    }
}

#[test]
fn the_meshs_own_tls_is_spoken_where_it_is_offered() {
    let authority = Authority::new();
    let server = authority.certify(&[SERVER]);
    for (address, offers, expect) in [
        (
            tls_backend("tls", &server, Some(&authority)),
            true,
            "tls 1\n",
        ),
        (echo("plain"), false, "plain\n"),
    ] {
        let tls = UpstreamTls::WhereOffered(client_tls(&[SERVER]));
        let listens = free();
        let mut config = http_config(
            listens,
            vec![to("/", "tls")],
            vec![tls_cluster(tls, address, offers)],
        );
        config.secrets = vec![
            authority.secret(),
            authority.certify(&[CLIENT]).secret("default"),
        ]
        .into();
        let proxy = start(listens, Capture::Redirect, &config);
        let answer = proxy.get("/");
        assert!(answer.body.starts_with(expect), "{answer:?}");
    }
}

#[test]
fn large_bodies_pass_through_tls_on_both_sides() {
    let authority = Authority::new();
    let upstream = large_backend(&authority.certify(&[SERVER]));
    let address = free();
    let tls = UpstreamTls::Always(client_tls(&[SERVER]));
    let mut config = http_config(address, Vec::new(), vec![tls_cluster(tls, upstream, false)]);
    let chain = FilterChain {
        tls: server_tls("default", ClientCertificate::NotRequested),
        ..chain(Network::Http(manager(vec![to("/", "tls")])))
    };
    config.listeners = vec![listener("test", address, true, vec![chain])].into();
    config.secrets = vec![
        authority.secret(),
        authority
            .certify(&["server.test", CLIENT])
            .secret("default"),
    ]
    .into();
    let _proxy = start(address, Capture::Redirect, &config);
    let session =
        ClientConnection::new(client(&authority, None), "server.test".try_into().unwrap()).unwrap();
    let mut stream = rustls::StreamOwned::new(session, TcpStream::connect(address).unwrap());
    for _ in 0..2 {
        stream
            .write_all(
                format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGE}\r\n\r\n").as_bytes(),
            )
            .unwrap();
        stream.write_all(&vec![b'u'; LARGE]).unwrap();
        let head = read_head(&mut stream).unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let mut body = vec![0; LARGE];
        stream.read_exact(&mut body).unwrap();
        assert!(body.iter().all(|byte| *byte == b'd'));
    }
}

/// More than all buffers on the way hold.
const LARGE: usize = 4 << 20;

/// A backend that takes large bodies and sends others.
fn large_backend(shows: &Certified) -> SocketAddr {
    let (chain, key) = shows.der();
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let session = ServerConnection::new(config).unwrap();
        let mut stream = rustls::StreamOwned::new(session, socket);
        while read_head(&mut stream).is_ok() {
            let mut body = vec![0; LARGE];
            stream.read_exact(&mut body).unwrap();
            assert!(body.iter().all(|byte| *byte == b'u'));
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&vec![b'd'; LARGE]).unwrap();
        }
    });
    address
}
