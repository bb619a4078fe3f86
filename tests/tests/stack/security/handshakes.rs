//! Handshakes that must fail, each with a certificate that was made for it.

use std::io::{Read as _, Write as _};
use std::time::{Duration, SystemTime};

use mesh_tests::eventually;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::PrivateKeyDer;

use super::connect;
use crate::certificates::{Authority, identity};
use crate::mesh::{LIMIT, Mesh};
use crate::tls_client::{Certificate, TlsClient};
use crate::yaml::PodSpec;

const PODS: [PodSpec; 2] = [
    PodSpec::CLIENT,
    PodSpec {
        account: Some("echo"),
        ..PodSpec::serving("echo", "echo", "v1", "echo", 8080)
    },
];

const STRICT: &str = "apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: default}
spec: {mtls: {mode: STRICT}}
";

/// The status of a request with a certificate, or none if there is no answer.
fn status(mesh: &mut Mesh, certificate: Option<Certificate>) -> Option<u16> {
    let client = TlsClient::new(certificate, &["istio-http/1.1", "istio"]);
    let mut stream = connect(&client, mesh.pod("echo").at(8080)).ok()?;
    let request = b"GET /status/200 HTTP/1.1\r\nhost: echo\r\nconnection: close\r\n\r\n";
    stream.write_all(request).ok()?;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer);
    text.split(' ').nth(1)?.parse().ok()
}

fn names(params: &mut CertificateParams, names: Vec<SanType>) {
    params.subject_alt_names = names;
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

/// The same certificate.
fn again(certificate: &Certificate) -> Certificate {
    Certificate {
        chain: certificate.chain.clone(),
        key: certificate.key.clone_key(),
    }
}

/// A certificate of `admin` that a certificate of `client` has signed.
fn signed_by_a_leaf(authority: &Authority) -> Certificate {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::ExplicitNoCa;
    names(&mut params, vec![uri(&identity("client"))]);
    let leaf = authority.sign(&params, &key);
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    names(&mut params, vec![uri(&identity("admin"))]);
    let forged = params.signed_by(&key, &issuer).unwrap();
    Certificate {
        chain: vec![forged.der().clone(), leaf],
        key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
    }
}

#[test]
fn only_the_mesh_s_own_certificates_are_taken() {
    let mut mesh = Mesh::start(&PODS, STRICT);
    let good = |mesh: &Mesh| mesh.authority.issue("client");
    let certificate = good(&mesh);
    assert_eq!(status(&mut mesh, Some(certificate)), Some(200));

    type Change = fn(&mut CertificateParams);
    let cases: [(&str, Change); 11] = [
        ("another trust domain", |params| {
            names(params, vec![uri("spiffe://elsewhere/ns/default/sa/client")]);
        }),
        ("two URIs", |params| {
            let both = [identity("client"), identity("admin")];
            names(params, both.iter().map(|name| uri(name)).collect());
        }),
        ("no URI", |params| names(params, Vec::new())),
        ("a DNS name only", |params| {
            let name = "client.default.svc.cluster.local".try_into().unwrap();
            names(params, vec![SanType::DnsName(name)]);
        }),
        ("a URI that is no identity", |params| {
            names(
                params,
                vec![uri("https://cluster.local/ns/default/sa/client")],
            );
        }),
        ("no service account", |params| {
            names(params, vec![uri("spiffe://cluster.local/ns/default")]);
        }),
        ("an identity with an escaped NUL", |params| {
            let name = "spiffe://cluster.local/ns/default/sa/client%00x";
            names(params, vec![uri(name)]);
        }),
        ("expired", |params| {
            let now = SystemTime::now();
            params.not_before = (now - Duration::from_secs(7_200)).into();
            params.not_after = (now - Duration::from_secs(3_600)).into();
        }),
        ("not valid yet", |params| {
            let now = SystemTime::now();
            params.not_before = (now + Duration::from_secs(3_600)).into();
            params.not_after = (now + Duration::from_secs(7_200)).into();
        }),
        ("for servers only", |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        }),
        ("for signing code", |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        }),
    ];
    for (name, change) in cases {
        let certificate = mesh.authority.issue_with("client", change);
        assert_eq!(status(&mut mesh, Some(certificate)), None, "{name}");
    }
    assert_eq!(status(&mut mesh, None), None, "no certificate");
    let stranger = Authority::new().issue("client");
    assert_eq!(status(&mut mesh, Some(stranger)), None, "unknown root");
    // Whoever has a certificate of the mesh cannot make others with it.
    let forged = signed_by_a_leaf(&mesh.authority);
    assert_eq!(status(&mut mesh, Some(forged)), None, "signed by a leaf");

    // It still takes the right one.
    let certificate = good(&mesh);
    assert_eq!(status(&mut mesh, Some(certificate)), Some(200));
}

#[test]
fn a_root_is_replaced_while_both_are_trusted() {
    let mut mesh = Mesh::start(&PODS, STRICT);
    let old = mesh.authority.issue("client");
    let next = Authority::new();
    let new = next.issue("client");
    assert_eq!(status(&mut mesh, Some(again(&old))), Some(200));
    assert_eq!(status(&mut mesh, Some(again(&new))), None);
    // Both are trusted, and the server's certificate is from the new one.
    mesh.certify(&next, &[&mesh.authority, &next]);
    eventually("both roots are trusted", LIMIT, || {
        (status(&mut mesh, Some(again(&new))) == Some(200)).then_some(())
    });
    assert_eq!(status(&mut mesh, Some(again(&old))), Some(200));
    // The old one has gone.
    mesh.certify(&next, &[&next]);
    eventually("the old root is trusted no more", LIMIT, || {
        status(&mut mesh, Some(again(&old))).is_none().then_some(())
    });
    assert_eq!(status(&mut mesh, Some(new)), Some(200));
}
