//! What is known of the two sides of a connection whose TLS ends or begins here, for policies, metrics, logs and
//! `x-forwarded-client-cert`.

use std::cell::OnceCell;
use std::sync::Arc;

use mesh_ir::CertificateDetails;
use mesh_ir::policy::PeerIdentity;
use rustls::CommonState;
use rustls::pki_types::CertificateDer;

use super::certificate;
use super::forwarded;
use super::hello::ClientHello;

/// What TLS tells of a connection.
#[derive(Debug, Default)]
pub struct TlsFacts {
    /// The server that the client asked for.
    pub server_name: Option<Box<str>>,
    /// Who the peer is, by its verified certificate.
    pub identity: Option<PeerIdentity>,
    /// Version as Envoy writes it, `TLSv1.3`; empty if there was no handshake.
    pub version: &'static str,
    /// Cipher suite as OpenSSL names it; empty if there was no handshake.
    pub cipher: &'static str,
    /// The peer's verified certificate.
    peer: Option<CertificateDer<'static>>,
    /// Our own.
    own: Option<Arc<OwnCertificate>>,
    /// What of the peer's certificate is passed on, once that was asked for.
    forwarded: OnceCell<Box<str>>,
}

/// What is told of our own certificate.
#[derive(Debug)]
pub struct OwnCertificate {
    der: CertificateDer<'static>,
    /// The first of its URIs, which is its identity in a mesh.
    pub uri: Option<Arc<str>>,
}

// === impl OwnCertificate ===

impl OwnCertificate {
    pub(super) fn new(der: CertificateDer<'static>) -> Self {
        let uri = certificate::uris(&der).into_iter().next();
        Self {
            uri: uri.map(Arc::from),
            der,
        }
    }
}

// === impl TlsFacts ===

impl TlsFacts {
    /// After a handshake. `trusts` tells whether the peer's certificate was checked against something that is trusted: if not, it proves
    /// nothing.
    pub(super) fn new(
        session: Option<&CommonState>,
        hello: Option<&ClientHello>,
        own: Option<Arc<OwnCertificate>>,
        trusts: bool,
    ) -> Self {
        let certificates = session.and_then(CommonState::peer_certificates);
        let peer = certificates.filter(|_| trusts).and_then(<[_]>::first);
        let suite = session.and_then(CommonState::negotiated_cipher_suite);
        let version = session.and_then(CommonState::protocol_version);
        Self {
            server_name: hello.and_then(|hello| hello.server_name.clone()),
            identity: peer.and_then(certificate::identity),
            version: version.map_or("", certificate::version),
            cipher: suite.map_or("", |suite| certificate::suite(suite.suite())),
            peer: peer.map(|peer| peer.clone().into_owned()),
            own,
            forwarded: OnceCell::new(),
        }
    }

    /// Whether both sides have proven who they are.
    pub fn is_mutual(&self) -> bool {
        self.peer.is_some() && self.own.is_some()
    }

    /// The peer's verified certificate, DER.
    pub fn peer(&self) -> Option<&[u8]> {
        self.peer.as_deref()
    }

    /// Our own certificate, DER.
    pub fn own(&self) -> Option<&[u8]> {
        Some(&*self.own.as_ref()?.der)
    }

    /// The first URI of our own certificate.
    pub fn own_uri(&self) -> Option<&Arc<str>> {
        self.own.as_ref()?.uri.as_ref()
    }

    /// The element of `x-forwarded-client-cert` that speaks of the peer; none without a verified certificate. It is made once for a
    /// connection, whose chain always asks for the same details.
    pub fn forwarded(&self, details: CertificateDetails) -> Option<&str> {
        let peer = self.peer.as_ref()?;
        let by = self.own_uri().map(|uri| &**uri);
        let made = || forwarded::element(by, peer, details).into();
        Some(self.forwarded.get_or_init(made))
    }
}
