//! What a certificate says about whom it is for.

use std::net::IpAddr;

use mesh_ir::NameKind;
use mesh_ir::matching::StringMatcher;
use mesh_ir::policy::PeerIdentity;
use rustls::pki_types::{CertificateDer, ServerName};
use webpki::EndEntityCert;

/// A name that a certificate may have.
#[derive(Debug)]
pub(super) struct Name {
    kind: NameKind,
    matcher: StringMatcher,
}

// === impl Name ===

impl Name {
    /// # Errors
    /// When the name is an expression that means nothing.
    pub(super) fn new(
        name: &mesh_ir::SubjectAltName,
    ) -> Result<Self, mesh_ir::matching::InvalidRegex> {
        let mesh_ir::SubjectAltName { kind, name } = name;
        Ok(Self {
            kind: *kind,
            matcher: StringMatcher::new(name)?,
        })
    }

    /// Whether a certificate has it. A host name also by a wildcard of the certificate.
    pub(super) fn is_of(&self, certificate: &EndEntityCert<'_>) -> bool {
        let matches = |name: &str| self.matcher.is_match(name.as_bytes());
        match self.kind {
            NameKind::Uri => certificate.valid_uri_names().any(matches),
            NameKind::Dns => {
                certificate.valid_dns_names().any(matches)
                    || self
                        .exactly()
                        .is_some_and(|name| is_valid_for(certificate, name))
            }
            NameKind::Address => self.exactly().is_some_and(|name| {
                name.parse::<IpAddr>().is_ok() && is_valid_for(certificate, name)
            }),
        }
    }

    fn exactly(&self) -> Option<&str> {
        self.matcher.exact()
    }
}

/// Whether a certificate is for a host name or an address.
pub(super) fn is_valid_for(certificate: &EndEntityCert<'_>, name: &str) -> bool {
    let name = ServerName::try_from(name);
    name.is_ok_and(|name| certificate.verify_is_valid_for_subject_name(&name).is_ok())
}

/// Who a peer is by its verified certificate: a workload of the mesh, or nobody that policies know.
pub(super) fn identity(certificate: &CertificateDer<'_>) -> Option<PeerIdentity> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    // An identity is the one URI of its certificate (SPIFFE X509-SVID).
    let mut names = certificate.valid_uri_names();
    let first = names.next()?;
    if names.next().is_some() {
        return None;
    }
    PeerIdentity::parse(first).ok()
}
