//! The client's side.

use std::sync::{Arc, OnceLock};

use mesh_ir::{ClientTls, ServerName, alpn};
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName as RustlsName;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, CommonState, SupportedProtocolVersion};

use super::facts::{OwnCertificate, TlsFacts};
use super::material::{InvalidTls, Materials};
use super::parameters;
use super::server::own;
use super::verify::PeerVerifier;

/// What a session is filed under where no server is named; never sent.
const UNNAMED: &str = "unnamed.invalid";

/// Sessions that are kept to be resumed. All are with the one server that is named.
const SESSIONS: usize = 8;

/// How a cluster's endpoints are spoken to. What the library needs for handshakes is made when the first one begins: most of the clusters of
/// a large mesh are never connected to.
#[derive(Debug)]
pub struct ClientSide {
    provider: Arc<CryptoProvider>,
    versions: Vec<&'static SupportedProtocolVersion>,
    verifier: Arc<PeerVerifier>,
    certificate: Option<Arc<CertifiedKey>>,
    own: Option<Arc<OwnCertificate>>,
    protocols: Vec<Arc<str>>,
    server_name: RustlsName<'static>,
    sends_name: bool,
    /// Whether the host of each request is named, and must be named by the certificate where nothing else is expected of that.
    of_request: bool,
    /// By what is spoken inside.
    configs: [OnceLock<Arc<ClientConfig>>; 3],
}

/// What a connection is for. Servers of the mesh are told so by the protocols that are offered, as the ALPN filter of Istio's proxies does;
/// other servers are always offered the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Bytes.
    Tcp,
    /// Requests of HTTP/1.1.
    Http1,
    /// Requests of HTTP/2.
    Http2,
}

// === impl ClientSide ===

impl ClientSide {
    /// # Errors
    /// When a key or a certificate is missing or means nothing, or something is asked for that this proxy does not do.
    pub(super) fn new(tls: &ClientTls, materials: &Materials<'_>) -> Result<Self, InvalidTls> {
        let ClientTls {
            certificate,
            server,
            server_name,
            alpn,
            parameters,
        } = tls;
        let provider = materials.provider(parameters)?;
        let verifier = PeerVerifier::new(server, true, materials, provider.clone())?;
        let certificate = match certificate {
            Some(source) => Some(materials.certificate(source, &provider)?),
            None => None,
        };
        let name = match server_name {
            ServerName::Fixed(name) => name,
            ServerName::None | ServerName::OfRequest => UNNAMED,
        };
        let invalid = |_| InvalidTls::Unsupported(format!("the server name {name:?}"));
        Ok(Self {
            versions: parameters::versions(parameters)?,
            own: certificate.as_deref().and_then(own),
            server_name: RustlsName::try_from(name.to_owned()).map_err(invalid)?,
            sends_name: matches!(server_name, ServerName::Fixed(_)),
            of_request: *server_name == ServerName::OfRequest,
            protocols: alpn.clone(),
            provider,
            verifier,
            certificate,
            configs: Default::default(),
        })
    }

    /// Whether a connection is for requests to one host only, and cannot be made without knowing it.
    pub fn is_of_request(&self) -> bool {
        self.of_request
    }

    /// The same for the server of a host, without its port: it is asked for that name, or for none if the host is an address, as in Envoy
    /// (`auto_sni`); and where no other names are expected its certificate must be for that host (`auto_san_validation`). None if the
    /// host is neither a name nor an address.
    pub fn for_host(&self, host: &str) -> Option<Self> {
        let server_name = RustlsName::try_from(host.to_owned()).ok()?;
        Some(Self {
            provider: self.provider.clone(),
            versions: self.versions.clone(),
            verifier: self.verifier.for_host(host)?,
            certificate: self.certificate.clone(),
            own: self.own.clone(),
            protocols: self.protocols.clone(),
            sends_name: matches!(server_name, RustlsName::DnsName(_)),
            server_name,
            of_request: false,
            configs: Default::default(),
        })
    }

    /// The settings of the library for a connection.
    ///
    /// # Errors
    /// When the library does not take them.
    pub fn config(&self, offer: Offer) -> Result<Arc<ClientConfig>, rustls::Error> {
        let [tcp, http1, http2] = &self.configs;
        let of_mesh = alpn::is_mesh(&self.protocols);
        let cell = match offer {
            Offer::Http1 if of_mesh => http1,
            Offer::Http2 if of_mesh => http2,
            Offer::Tcp | Offer::Http1 | Offer::Http2 => tcp,
        };
        if let Some(config) = cell.get() {
            return Ok(config.clone());
        }
        let bytes = |names: &[&str]| -> Vec<Vec<u8>> {
            names.iter().map(|name| name.as_bytes().to_vec()).collect()
        };
        let made = self.make(match offer {
            Offer::Http1 if of_mesh => bytes(&alpn::MESH_CLIENT_HTTP1),
            Offer::Http2 if of_mesh => bytes(&alpn::MESH_CLIENT_HTTP2),
            Offer::Tcp | Offer::Http1 | Offer::Http2 => {
                let names = self.protocols.iter();
                names.map(|name| name.as_bytes().to_vec()).collect()
            }
        })?;
        Ok(cell.get_or_init(|| Arc::new(made)).clone())
    }

    fn make(&self, protocols: Vec<Vec<u8>>) -> Result<ClientConfig, rustls::Error> {
        let builder = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&self.versions)?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier.clone());
        let mut config = match &self.certificate {
            Some(certified) => {
                let single = SingleCertAndKey::from(certified.clone());
                builder.with_client_cert_resolver(Arc::new(single))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = protocols;
        config.enable_sni = self.sends_name;
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        Ok(config)
    }

    /// The name that the server is asked for.
    pub fn server_name(&self) -> &RustlsName<'static> {
        &self.server_name
    }

    /// What is known of a server after the handshake.
    pub fn facts(&self, session: Option<&CommonState>) -> TlsFacts {
        TlsFacts::new(session, None, self.own.clone(), self.verifier.is_trusting())
    }
}
