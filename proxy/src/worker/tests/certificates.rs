//! Certificates for tests, and both sides of TLS with rustls.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use mesh_ir::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

use super::harness::*;

/// A certificate authority.
pub struct Authority {
    pub issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

/// A certificate with its key, PEM.
pub struct Certified {
    pub chain: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, pem }
    }

    /// A certificate of host names and URIs.
    pub fn certify(&self, names: &[&str]) -> Certified {
        self.certify_with(names, |_| {})
    }

    /// The same, with other changes.
    pub fn certify_with(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Certified {
        let key = KeyPair::generate().unwrap();
        let (uris, hosts): (Vec<&str>, Vec<&str>) =
            names.iter().partition(|name| name.contains("://"));
        let hosts: Vec<String> = hosts.into_iter().map(str::to_owned).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        for uri in uris {
            let name = SanType::URI(uri.try_into().unwrap());
            params.subject_alt_names.push(name);
        }
        change(&mut params);
        Certified {
            chain: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    pub fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap();
        roots.add(root).unwrap();
        Arc::new(roots)
    }

    pub fn secret(&self) -> Arc<Secret> {
        Arc::new(Secret {
            name: "ROOTCA".into(),
            kind: SecretKind::Trust {
                roots: (*self.pem).into(),
            },
        })
    }
}

impl Certified {
    pub fn secret(&self, name: &str) -> Arc<Secret> {
        Arc::new(Secret {
            name: name.into(),
            kind: SecretKind::Certificate {
                chain: (*self.chain).into(),
                key: SecretText((*self.key).into()),
            },
        })
    }

    pub fn der(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let chain = CertificateDer::from_pem_slice(self.chain.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        (vec![chain], key)
    }
}

pub fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// A client of the proxy.
pub fn client(trusts: &Authority, shows: Option<&Certified>) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(trusts.roots());
    Arc::new(match shows {
        Some(certified) => {
            let (chain, key) = certified.der();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
        None => builder.with_no_client_auth(),
    })
}

/// Sends one request and reads its answer, whose body has a length.
pub fn ask(stream: &mut (impl Read + Write), path: &str) -> io::Result<String> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes())?;
    let mut text = read_head(stream)?;
    let length = field(&text, "content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    text.push_str(&String::from_utf8(body).unwrap());
    Ok(text)
}

pub fn read_head(stream: &mut impl Read) -> io::Result<String> {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        text.push(byte[0]);
    }
    Ok(String::from_utf8(text).unwrap())
}

/// One request by TLS to a server's name.
pub fn get(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
    name: &'static str,
) -> io::Result<String> {
    let session = ClientConnection::new(config.clone(), name.try_into().unwrap()).unwrap();
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    ask(&mut rustls::StreamOwned::new(session, socket), "/")
}

/// A backend that answers by TLS with its name, what it saw, and how many certificates the client showed.
pub fn tls_backend(name: &'static str, shows: &Certified, asks: Option<&Authority>) -> SocketAddr {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match asks {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(authority.roots(), provider());
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let (chain, key) = shows.der();
    let config = Arc::new(builder.with_single_cert(chain, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let session = ServerConnection::new(config.clone()).unwrap();
            let mut stream = rustls::StreamOwned::new(session, socket.unwrap());
            std::thread::spawn(move || {
                while let Ok(head) = read_head(&mut stream) {
                    let shown = stream.conn.peer_certificates().map_or(0, <[_]>::len);
                    let asked = stream.conn.server_name().unwrap_or("nobody");
                    let text = format!("{name} {shown}\n{head}");
                    let length = text.len();
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\nAsked-For: {asked}\r\nContent-Length: {length}\r\n\r\n{text}"
                    );
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

pub fn server_tls(certificate: &str, client: ClientCertificate) -> Option<Arc<ServerTls>> {
    Some(Arc::new(ServerTls {
        certificates: vec![CertificateSource::Discovered(certificate.into())],
        client,
        alpn: vec!["h2".into(), "http/1.1".into()],
        parameters: TlsParameters::default(),
    }))
}

pub fn trust(names: &[&str]) -> PeerValidation {
    PeerValidation {
        trust: Some(TrustSource::Discovered("ROOTCA".into())),
        names: names
            .iter()
            .map(|name| SubjectAltName::exact(name))
            .collect(),
        revoked: None,
    }
}

pub fn client_tls(names: &[&str]) -> Arc<ClientTls> {
    Arc::new(ClientTls {
        certificate: Some(CertificateSource::Discovered("default".into())),
        server: trust(names),
        server_name: ServerName::Fixed("backend.test".into()),
        alpn: Vec::new(),
        parameters: TlsParameters::default(),
    })
}

/// A cluster of one endpoint that is spoken to by TLS.
pub fn tls_cluster(tls: UpstreamTls, address: SocketAddr, offers_mtls: bool) -> Arc<Cluster> {
    let mut endpoint = Endpoint::new(address);
    endpoint.offers_mtls = offers_mtls;
    let endpoints = Endpoints {
        cluster: "tls".into(),
        localities: vec![LocalityEndpoints::new(Locality::default(), vec![endpoint])],
    };
    let mut cluster = Cluster::new("tls", ClusterKind::Static(Arc::new(endpoints)));
    cluster.client.connect_timeout = Duration::from_secs(5);
    cluster.client.tls = tls;
    Arc::new(cluster)
}

pub const SERVER: &str = "spiffe://cluster.local/ns/default/sa/server";
pub const CLIENT: &str = "spiffe://cluster.local/ns/default/sa/client";
