//! The mesh's mutual TLS: which certificates are believed, and what is told of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mesh_ir::*;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, date_time_ymd};

use super::certificates::*;
use super::harness::*;

/// What a chain of the mesh asks of its clients: to be of one of these trust domains.
fn of_domains(domains: &[&str]) -> PeerValidation {
    PeerValidation {
        names: domains
            .iter()
            .map(|domain| SubjectAltName {
                kind: NameKind::Uri,
                name: StringMatch::Prefix(format!("spiffe://{domain}/").into()),
            })
            .collect(),
        ..trust(&[])
    }
}

/// A proxy that takes mutual TLS alone, and sends requests on to an echo.
fn server(authority: &Authority, change: impl FnOnce(&mut HttpConnectionManager)) -> Proxy {
    let address = free();
    let mut manager = manager(vec![to("/", "one")]);
    manager.direction = Direction::Inbound;
    change(&mut manager);
    let asks = ClientCertificate::Required(of_domains(&["cluster.local", "old.example"]));
    let chain = FilterChain {
        tls: server_tls("default", asks),
        ..chain(Network::Http(manager))
    };
    let config = ProxyConfig {
        listeners: vec![Arc::new(Listener {
            direction: Direction::Inbound,
            ..(*listener("test", address, true, vec![chain])).clone()
        })]
        .into(),
        clusters: vec![static_cluster("one", &[echo("one")])].into(),
        secrets: vec![
            authority.secret(),
            authority
                .certify(&["server.test", SERVER])
                .secret("default"),
        ]
        .into(),
        ..ProxyConfig::default()
    };
    start(address, Capture::Redirect, &config)
}

#[test]
fn only_certificates_of_workloads_of_the_mesh_are_believed() {
    let authority = Authority::new();
    let proxy = server(&authority, |_| {});
    let ask = |shows: &Certified| {
        get(
            proxy.address,
            &client(&authority, Some(shows)),
            "server.test",
        )
        .is_ok()
    };
    assert!(ask(&authority.certify(&[CLIENT])));
    assert!(ask(&authority.certify(&["spiffe://old.example/ns/a/sa/b"])));
    // Host names beside the identity make nobody another.
    assert!(ask(&authority.certify(&["client.test", CLIENT])));
    for (why, names) in [
        (
            "another trust domain",
            &["spiffe://other.example/ns/a/sa/b"][..],
        ),
        (
            "a trust domain that begins alike",
            &["spiffe://cluster.local.example/ns/a/sa/b"],
        ),
        ("no URI", &["client.test"]),
        ("a host name that looks like one", &["cluster.local"]),
        ("two URIs", &[CLIENT, SERVER]),
        ("no workload", &["spiffe://cluster.local/admin"]),
        ("a longer path", &["spiffe://cluster.local/ns/a/sa/b/c"]),
        ("another scheme", &["https://cluster.local/ns/a/sa/b"]),
        (
            "an embedded NUL",
            &["spiffe://cluster.local/ns/a/sa/b\0.example"],
        ),
    ] {
        assert!(!ask(&authority.certify(names)), "{why}");
    }
    type Change = fn(&mut CertificateParams);
    let changes: [(&str, Change); 3] = [
        ("expired", |params| {
            params.not_after = date_time_ymd(2020, 1, 1)
        }),
        ("not valid yet", |params| {
            params.not_before = date_time_ymd(4000, 1, 1)
        }),
        ("for servers only", |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        }),
    ];
    for (why, change) in changes {
        assert!(!ask(&authority.certify_with(&[CLIENT], change)), "{why}");
    }
    assert!(
        !ask(&Authority::new().certify(&[CLIENT])),
        "an unknown root"
    );
    // Who was refused has asked for nothing.
    assert_eq!(proxy.settled().workers.downstream_rq_total, 3);
}

/// The right identity beside another one is no proof.
#[test]
fn a_server_with_two_identities_is_nobody() {
    let authority = Authority::new();
    for (names, code) in [(&[SERVER][..], 200), (&[SERVER, CLIENT], 503)] {
        let upstream = tls_backend("tls", &authority.certify(names), Some(&authority));
        let address = free();
        let tls = UpstreamTls::Always(client_tls(&[SERVER]));
        let cluster = tls_cluster(tls, upstream, false);
        let mut config = http_config(address, vec![to("/", "tls")], vec![cluster]);
        config.secrets = vec![
            authority.secret(),
            authority.certify(&[CLIENT]).secret("default"),
        ]
        .into();
        let proxy = start(address, Capture::Redirect, &config);
        assert_eq!(proxy.get("/").code, code, "{names:?}");
    }
}

#[test]
fn servers_are_told_of_their_clients_certificates() {
    let authority = Authority::new();
    let shown = authority.certify(&[CLIENT]);
    let details = CertificateDetails {
        subject: true,
        uri: true,
        ..CertificateDetails::default()
    };
    use ForwardClientCertificate::{AppendForward, Forward, Sanitize, SanitizeSet};
    for how in [Sanitize, Forward, SanitizeSet, AppendForward] {
        let proxy = server(&authority, |manager| {
            manager.trust.client_certificate = how;
            manager.trust.certificate_details = details;
        });
        let session = rustls::ClientConnection::new(
            client(&authority, Some(&shown)),
            "server.test".try_into().unwrap(),
        )
        .unwrap();
        let socket = std::net::TcpStream::connect(proxy.address).unwrap();
        let mut stream = rustls::StreamOwned::new(session, socket);
        // The second one finds what the first has made.
        for _ in 0..2 {
            let request =
                "GET / HTTP/1.1\r\nHost: test\r\nX-Forwarded-Client-Cert: By=gateway\r\n\r\n";
            std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
            let head = read_head(&mut stream).unwrap();
            let length = field(&head, "content-length").unwrap().parse().unwrap();
            let mut body = vec![0; length];
            std::io::Read::read_exact(&mut stream, &mut body).unwrap();
            let seen = String::from_utf8(body).unwrap();
            let told = field(&seen, "x-forwarded-client-cert");
            let subject = "Subject=\"CN=rcgen self signed cert\"";
            let is_own = |text: &str| {
                text.starts_with(&format!("By={SERVER};Hash="))
                    && text.ends_with(&format!(";{subject};URI={CLIENT}"))
            };
            match how {
                Sanitize => assert_eq!(told, None),
                Forward => assert_eq!(told, Some("By=gateway")),
                SanitizeSet => assert!(is_own(told.unwrap()), "{told:?}"),
                AppendForward => {
                    let own = told.unwrap().strip_prefix("By=gateway,");
                    assert!(own.is_some_and(is_own), "{told:?}");
                }
                ForwardClientCertificate::AlwaysForward => {}
            }
        }
        let labels = [
            "connection_security_policy=\"mutual_tls\"",
            &format!("source_principal=\"{CLIENT}\""),
            &format!("destination_principal=\"{SERVER}\""),
        ];
        assert_eq!(proxy.metric("istio_requests_total", &labels), 2);
    }
}

#[test]
fn logs_say_who_spoke_to_whom() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let authority = Authority::new();
    let proxy = server(&authority, |manager| {
        manager.telemetry = logged(&path, Some(
                "%DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_LOCAL_URI_SAN% %DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_TLS_CIPHER% \
                 %DOWNSTREAM_PEER_SUBJECT% %DOWNSTREAM_PEER_CERT_V_END% %UPSTREAM_PEER_URI_SAN% %REQUESTED_SERVER_NAME%"
                    .into(),
            ));
    });
    let shown = authority.certify_with(&[CLIENT], |params| {
        params.not_after = date_time_ymd(3000, 1, 2)
    });
    get(
        proxy.address,
        &client(&authority, Some(&shown)),
        "server.test",
    )
    .unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let line = loop {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        if text.ends_with('\n') {
            break text;
        }
        assert!(Instant::now() < deadline, "no line");
        std::thread::yield_now();
    };
    assert_eq!(
        line.trim_end(),
        format!(
            "{CLIENT} {SERVER} TLSv1.3 TLS_AES_256_GCM_SHA384 CN=rcgen self signed cert 3000-01-02T00:00:00.000Z - server.test"
        )
    );
}
