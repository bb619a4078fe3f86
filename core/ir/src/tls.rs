//! TLS as a server and as a client: certificates, whom to believe, and which identities are expected.

use std::sync::Arc;

use crate::StringMatch;

/// How a listener's chain speaks TLS. Its modes: a certificate alone is Istio's SIMPLE; with a client certificate that is required
/// MUTUAL or ISTIO_MUTUAL, with an optional one OPTIONAL_MUTUAL. PASSTHROUGH and AUTO_PASSTHROUGH are chains without it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerTls {
    /// Certificates, of which the one for the client's server name is used.
    pub certificates: Vec<CertificateSource>,
    /// Whether clients must show a certificate.
    pub client: ClientCertificate,
    /// Application protocols that are offered, the preferred one first.
    pub alpn: Vec<Arc<str>>,
    /// Versions and algorithms.
    pub parameters: TlsParameters,
}

/// Whether clients must show a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClientCertificate {
    /// They are not asked for one.
    NotRequested,
    /// They may show one, which must be valid.
    Optional(PeerValidation),
    /// They must show a valid one.
    Required(PeerValidation),
}

/// How a cluster's endpoints are spoken to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum UpstreamTls {
    /// Without TLS.
    #[default]
    Plaintext,
    /// With TLS.
    Always(Arc<ClientTls>),
    /// With TLS to the endpoints that offer the mesh's own ([`crate::Endpoint::offers_mtls`]), without to all others.
    WhereOffered(Arc<ClientTls>),
}

/// TLS as a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientTls {
    /// The certificate that is shown.
    pub certificate: Option<CertificateSource>,
    /// What the server's certificate must be.
    pub server: PeerValidation,
    /// The name that the server is asked for (SNI).
    pub server_name: ServerName,
    /// Application protocols that are offered, the preferred one first.
    pub alpn: Vec<Arc<str>>,
    /// Versions and algorithms.
    pub parameters: TlsParameters,
}

/// The name that a server is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum ServerName {
    /// None.
    #[default]
    None,
    /// This one.
    Fixed(Arc<str>),
    /// The host of each request, which the certificate must name unless [`PeerValidation::names`] lists others or nothing is verified.
    OfRequest,
}

/// Where a certificate with its private key comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CertificateSource {
    /// A secret that is discovered by name.
    Discovered(Arc<str>),
    /// Files beside the proxy, PEM.
    Files {
        /// Certificate chain, leaf first.
        chain: Arc<str>,
        /// Private key.
        key: Arc<str>,
    },
}

/// Where the certificates come from that are trusted to have signed others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TrustSource {
    /// A secret that is discovered by name.
    Discovered(Arc<str>),
    /// A file beside the proxy, PEM.
    File(Arc<str>),
}

/// What a peer's certificate must be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PeerValidation {
    /// Whom it must be signed by; none accepts every certificate (`insecureSkipVerify`).
    pub trust: Option<TrustSource>,
    /// Names of which it must have one; empty accepts any.
    pub names: Vec<SubjectAltName>,
    /// A file of revoked certificates beside the proxy, PEM.
    pub revoked: Option<Arc<str>>,
}

/// A name that a certificate may have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SubjectAltName {
    /// Kind.
    pub kind: NameKind,
    /// The name.
    pub name: StringMatch,
}

/// Kinds of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NameKind {
    /// Host name.
    Dns,
    /// URI, such as a SPIFFE identity.
    Uri,
    /// IP address.
    Address,
}

/// Versions and algorithms; what is not said is the default of the implementation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsParameters {
    /// Oldest version.
    pub minimum: Option<TlsVersion>,
    /// Newest version.
    pub maximum: Option<TlsVersion>,
    /// Cipher suites for versions up to 1.2, in the order of preference.
    pub cipher_suites: Vec<Arc<str>>,
    /// Curves for the key exchange, in the order of preference.
    pub curves: Vec<Arc<str>>,
}

/// Versions of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TlsVersion {
    /// 1.0
    V1_0,
    /// 1.1
    V1_1,
    /// 1.2
    V1_2,
    /// 1.3
    V1_3,
}

/// Where the keys and certificates of some TLS come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSources<'a> {
    /// Names of secrets that are discovered.
    pub secrets: Vec<&'a Arc<str>>,
    /// Files beside the proxy.
    pub files: Vec<&'a str>,
}

// === impl ServerTls ===

impl ServerTls {
    /// Where its keys and certificates come from.
    pub fn sources(&self) -> TlsSources<'_> {
        let mut sources = TlsSources::default();
        for certificate in &self.certificates {
            sources.certificate(certificate);
        }
        match &self.client {
            ClientCertificate::NotRequested => {}
            ClientCertificate::Optional(peer) | ClientCertificate::Required(peer) => {
                sources.validation(peer);
            }
        }
        sources
    }
}

// === impl UpstreamTls ===

impl UpstreamTls {
    /// The TLS that is spoken, if any is.
    pub fn client(&self) -> Option<&Arc<ClientTls>> {
        match self {
            Self::Plaintext => None,
            Self::Always(client) | Self::WhereOffered(client) => Some(client),
        }
    }
}

// === impl ClientTls ===

impl ClientTls {
    /// Where its keys and certificates come from.
    pub fn sources(&self) -> TlsSources<'_> {
        let mut sources = TlsSources::default();
        if let Some(certificate) = &self.certificate {
            sources.certificate(certificate);
        }
        sources.validation(&self.server);
        sources
    }
}

// === impl TlsSources ===

impl<'a> TlsSources<'a> {
    fn certificate(&mut self, source: &'a CertificateSource) {
        match source {
            CertificateSource::Discovered(name) => self.secrets.push(name),
            CertificateSource::Files { chain, key } => self.files.extend([&**chain, &**key]),
        }
    }

    fn validation(&mut self, validation: &'a PeerValidation) {
        match &validation.trust {
            Some(TrustSource::Discovered(name)) => self.secrets.push(name),
            Some(TrustSource::File(path)) => self.files.push(path),
            None => {}
        }
        self.files.extend(validation.revoked.as_deref());
    }
}

// === impl SubjectAltName ===

impl SubjectAltName {
    /// Exactly this name, of the kind that it looks like.
    pub fn exact(name: &str) -> Self {
        let kind = if name.contains("://") {
            NameKind::Uri
        } else if name.parse::<std::net::IpAddr>().is_ok() {
            NameKind::Address
        } else {
            NameKind::Dns
        };
        Self {
            kind,
            name: StringMatch::Exact(name.into()),
        }
    }
}
