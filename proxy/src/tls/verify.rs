//! Whether a peer's certificate is what a configuration asks for.
//!
//! The signatures up to a trusted certificate, validity and revocation are webpki's to check; which names it must have is the
//! configuration's to say, on both sides alike. So a server is believed by its identity in the mesh, and not by the name it was called.

use std::sync::Arc;

use mesh_ir::{PeerValidation, SubjectAltName};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use webpki::{
    CertRevocationList, EndEntityCert, KeyUsage, OwnedCertRevocationList, RevocationOptionsBuilder,
    UnknownStatusPolicy,
};

use super::certificate::Name;
use super::material::{InvalidTls, Materials};

/// Checks the certificates of peers.
#[derive(Debug)]
pub(super) struct PeerVerifier {
    provider: Arc<CryptoProvider>,
    /// None accepts every certificate.
    trust: Option<Arc<Trust>>,
    names: Vec<Name>,
    /// Whether a client must show one.
    required: bool,
}

/// Whom to believe.
#[derive(Debug)]
pub(super) struct Trust {
    anchors: Vec<TrustAnchor<'static>>,
    subjects: Vec<DistinguishedName>,
    revoked: Vec<CertRevocationList<'static>>,
}

// === impl PeerVerifier ===

impl PeerVerifier {
    /// # Errors
    /// When what is trusted is not known or cannot be read.
    pub(super) fn new(
        validation: &PeerValidation,
        required: bool,
        materials: &Materials<'_>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<Self>, InvalidTls> {
        let PeerValidation {
            trust,
            names,
            revoked,
        } = validation;
        let trust = match trust {
            None => None,
            Some(source) => Some(materials.trust(source, revoked.as_ref())?),
        };
        let names = names.iter().map(Name::new).collect::<Result<_, _>>()?;
        Ok(Arc::new(Self {
            provider,
            trust,
            names,
            required,
        }))
    }

    /// The same for the server of a host. Where no names are expected and certificates are checked at all, it must be for that host.
    pub(super) fn for_host(self: &Arc<Self>, host: &str) -> Option<Arc<Self>> {
        if self.trust.is_none() || !self.names.is_empty() {
            return Some(self.clone());
        }
        let name = SubjectAltName::exact(host);
        Some(Arc::new(Self {
            provider: self.provider.clone(),
            trust: self.trust.clone(),
            names: vec![Name::new(&name).ok()?],
            required: self.required,
        }))
    }

    /// Whether a certificate that has passed tells who the peer is.
    pub(super) fn is_trusting(&self) -> bool {
        self.trust.is_some()
    }

    fn verify(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<(), Error> {
        let certificate = EndEntityCert::try_from(certificate).map_err(to_error)?;
        if let Some(trust) = &self.trust {
            let revoked: Vec<&CertRevocationList<'_>> = trust.revoked.iter().collect();
            let revocation = match RevocationOptionsBuilder::new(&revoked) {
                // A list of one authority says nothing of the certificates of others.
                Ok(builder) => Some(
                    builder
                        .with_status_policy(UnknownStatusPolicy::Allow)
                        .build(),
                ),
                // There are no lists.
                Err(_) => None,
            };
            let algorithms = self.provider.signature_verification_algorithms.all;
            certificate
                .verify_for_usage(
                    algorithms,
                    &trust.anchors,
                    intermediates,
                    now,
                    usage,
                    revocation,
                    None,
                )
                .map_err(to_error)?;
        }
        if self.names.is_empty() || self.names.iter().any(|name| name.is_of(&certificate)) {
            return Ok(());
        }
        Err(CertificateError::NotValidForName.into())
    }
}

// === impl Trust ===

impl Trust {
    /// # Errors
    /// When a certificate or a list cannot be read.
    pub(super) fn new(
        roots: &[CertificateDer<'_>],
        revoked: &[rustls::pki_types::CertificateRevocationListDer<'_>],
    ) -> Result<Self, InvalidTls> {
        let anchor = |root| {
            Ok(webpki::anchor_from_trusted_cert(root)
                .map_err(to_error)?
                .to_owned())
        };
        let anchors = roots
            .iter()
            .map(anchor)
            .collect::<Result<Vec<_>, Error>>()?;
        let subject = |anchor: &TrustAnchor<'_>| DistinguishedName::in_sequence(&anchor.subject);
        let list = |list: &rustls::pki_types::CertificateRevocationListDer<'_>| {
            Ok(OwnedCertRevocationList::from_der(list)
                .map_err(to_error)?
                .into())
        };
        Ok(Self {
            subjects: anchors.iter().map(subject).collect(),
            revoked: revoked.iter().map(list).collect::<Result<_, Error>>()?,
            anchors,
        })
    }
}

/// Errors that other sides understand by an alert of their own; the rest goes by its words.
fn to_error(error: webpki::Error) -> Error {
    use webpki::Error::{CertExpired, CertNotValidYet, CertRevoked, UnknownIssuer};
    let error = match error {
        CertExpired { .. } => CertificateError::Expired,
        CertNotValidYet { .. } => CertificateError::NotValidYet,
        CertRevoked => CertificateError::Revoked,
        UnknownIssuer => CertificateError::UnknownIssuer,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    };
    error.into()
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let usage = KeyUsage::server_auth();
        self.verify(end_entity, intermediates, now, usage)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for PeerVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.trust.as_ref().map_or(&[], |trust| &trust.subjects)
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let usage = KeyUsage::client_auth();
        self.verify(end_entity, intermediates, now, usage)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls12_signature(self, message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls13_signature(self, message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ServerCertVerifier::supported_verify_schemes(self)
    }
}
