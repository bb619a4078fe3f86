//! The server's side.

use std::sync::Arc;

use mesh_ir::{ClientCertificate, ServerTls};
use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello as RustlsHello, NoClientAuth, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CommonState, ServerConfig};
use webpki::EndEntityCert;

use super::certificate;
use super::facts::{OwnCertificate, TlsFacts};
use super::hello::ClientHello;
use super::material::{InvalidTls, Materials};
use super::parameters;
use super::verify::PeerVerifier;

/// How a chain speaks TLS with its clients.
#[derive(Debug)]
pub struct ServerSide {
    config: Arc<ServerConfig>,
    /// The same without protocols, for clients that offer none of ours: Envoy goes on without one, and so do we.
    without_protocols: Arc<ServerConfig>,
    /// Whether the certificates of clients were checked against something that is trusted.
    trusts: bool,
    /// The certificate that is shown, or the first of several.
    own: Option<Arc<OwnCertificate>>,
}

/// The certificates of a chain.
#[derive(Debug)]
struct Certificates(Vec<Arc<CertifiedKey>>);

// === impl ServerSide ===

impl ServerSide {
    /// # Errors
    /// When a key or a certificate is missing or means nothing, or something is asked for that this proxy does not do.
    pub(super) fn new(tls: &ServerTls, materials: &Materials<'_>) -> Result<Self, InvalidTls> {
        let ServerTls {
            certificates,
            client,
            alpn,
            parameters,
        } = tls;
        let provider = materials.provider(parameters)?;
        let certificates: Vec<Arc<CertifiedKey>> = certificates
            .iter()
            .map(|source| materials.certificate(source, &provider))
            .collect::<Result<_, _>>()?;
        let own = certificates.first().and_then(|first| own(first));
        let (verifier, trusts) = client_verifier(client, materials, &provider)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&parameters::versions(parameters)?)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(Certificates(certificates)));
        // Two tickets for each handshake are one more than clients use.
        config.send_tls13_tickets = 1;
        let without_protocols = Arc::new(config.clone());
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Ok(Self {
            config: Arc::new(config),
            without_protocols,
            trusts,
            own,
        })
    }

    /// The settings for a client; none if its hello was not looked at.
    pub fn config(&self, hello: Option<&ClientHello>) -> &Arc<ServerConfig> {
        let common = |hello: &ClientHello| {
            let ours = &self.config.alpn_protocols;
            let mut offered = hello.protocols.iter();
            offered.any(|name| ours.iter().any(|own| **own == *name.as_bytes()))
        };
        match hello {
            Some(hello) if !hello.protocols.is_empty() && !common(hello) => &self.without_protocols,
            Some(_) => &self.config,
            None => &self.without_protocols,
        }
    }

    /// What is known of a client after its handshake.
    pub fn facts(&self, session: Option<&CommonState>, hello: Option<&ClientHello>) -> TlsFacts {
        TlsFacts::new(session, hello, self.own.clone(), self.trusts)
    }
}

/// What is told of a certificate of ours.
pub(super) fn own(certified: &CertifiedKey) -> Option<Arc<OwnCertificate>> {
    let leaf = certified.end_entity_cert().ok()?;
    Some(Arc::new(OwnCertificate::new(leaf.clone().into_owned())))
}

fn client_verifier(
    client: &ClientCertificate,
    materials: &Materials<'_>,
    provider: &Arc<CryptoProvider>,
) -> Result<(Arc<dyn ClientCertVerifier>, bool), InvalidTls> {
    let (validation, required) = match client {
        ClientCertificate::NotRequested => return Ok((Arc::new(NoClientAuth), false)),
        ClientCertificate::Optional(validation) => (validation, false),
        ClientCertificate::Required(validation) => (validation, true),
    };
    let verifier = PeerVerifier::new(validation, required, materials, provider.clone())?;
    let trusts = verifier.is_trusting();
    Ok((verifier, trusts))
}

impl ResolvesServerCert for Certificates {
    /// The first certificate that is for the name that the client asks for; else the first of all.
    fn resolve(&self, hello: RustlsHello<'_>) -> Option<Arc<CertifiedKey>> {
        let for_name = |name: &str| {
            self.0.iter().find(|certified| {
                let leaf = certified.end_entity_cert().ok();
                let leaf = leaf.and_then(|leaf| EndEntityCert::try_from(leaf).ok());
                leaf.is_some_and(|leaf| certificate::is_valid_for(&leaf, name))
            })
        };
        let named = hello.server_name().filter(|_| self.0.len() > 1);
        named.and_then(for_name).or(self.0.first()).cloned()
    }
}
