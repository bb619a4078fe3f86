//! What a certificate says about whom it is for.

use std::fmt::Write as _;
use std::net::IpAddr;

use mesh_ir::matching::StringMatcher;
use mesh_ir::policy::{InvalidIdentity, PeerIdentity};
use mesh_ir::{NameKind, StringMatch};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CipherSuite, ProtocolVersion};
use sha2::{Digest as _, Sha256};
use webpki::EndEntityCert;
use x509_parser::certificate::X509Certificate;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::X509Name;

use super::parameters;

/// What identities of SPIFFE begin with.
const SPIFFE: &str = "spiffe://";

/// A name that a certificate may have.
#[derive(Debug)]
pub(super) struct Name {
    kind: NameKind,
    matcher: StringMatcher,
    /// What a certificate must be beside having it.
    svid: Svid,
}

/// Whether a certificate must be a SPIFFE identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Svid {
    /// No.
    Any,
    /// It has no other URI.
    OneUri,
    /// Its one URI is a workload's of a mesh.
    Workload,
}

// === impl Name ===

impl Name {
    /// # Errors
    /// When the name is an expression that means nothing.
    pub(super) fn new(
        name: &mesh_ir::SubjectAltName,
    ) -> Result<Self, mesh_ir::matching::InvalidRegex> {
        let mesh_ir::SubjectAltName { kind, name } = name;
        let svid = match name {
            StringMatch::Exact(uri) if uri.starts_with(SPIFFE) => Svid::OneUri,
            StringMatch::Prefix(start) if start.starts_with(SPIFFE) => Svid::Workload,
            _ => Svid::Any,
        };
        Ok(Self {
            kind: *kind,
            matcher: StringMatcher::new(name)?,
            svid: if *kind == NameKind::Uri {
                svid
            } else {
                Svid::Any
            },
        })
    }

    /// Whether a certificate has it. A host name also by a wildcard of the certificate. One with several URIs is nobody's identity.
    pub(super) fn is_of(&self, certificate: &EndEntityCert<'_>) -> bool {
        let is_svid = match self.svid {
            Svid::Any => true,
            Svid::OneUri => certificate.valid_uri_names().count() == 1,
            Svid::Workload => workload(certificate).is_ok(),
        };
        is_svid && self.has(certificate)
    }

    fn has(&self, certificate: &EndEntityCert<'_>) -> bool {
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
    workload(&certificate).ok()
}

/// The workload that a certificate is for: the one URI of its certificate (SPIFFE X509-SVID).
///
/// # Errors
/// When it has none or more, or one that is no workload's.
pub(super) fn workload(certificate: &EndEntityCert<'_>) -> Result<PeerIdentity, InvalidIdentity> {
    let mut names = certificate.valid_uri_names();
    let (first, more) = (names.next(), names.count());
    match first {
        Some(uri) if more == 0 => PeerIdentity::parse(uri),
        _ => Err(InvalidIdentity::NotOneUri(
            usize::from(first.is_some()) + more,
        )),
    }
}

/// The URIs of a certificate.
pub(crate) fn uris(der: &[u8]) -> Vec<String> {
    let der = CertificateDer::from(der);
    let certificate = EndEntityCert::try_from(&der);
    certificate.map_or_else(
        |_| Vec::new(),
        |certificate| certificate.valid_uri_names().map(str::to_owned).collect(),
    )
}

/// The host names of a certificate.
pub(crate) fn dns_names(der: &[u8]) -> Vec<String> {
    let der = CertificateDer::from(der);
    let certificate = EndEntityCert::try_from(&der);
    certificate.map_or_else(
        |_| Vec::new(),
        |certificate| certificate.valid_dns_names().map(str::to_owned).collect(),
    )
}

/// The SHA-256 of a certificate, in hexadecimal digits.
pub(crate) fn fingerprint(der: &[u8]) -> String {
    hexadecimal(&Sha256::digest(der))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        // Writing to a text does not fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// A version as Envoy writes it.
pub(super) fn version(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_2 => "TLSv1.2",
        ProtocolVersion::TLSv1_3 => "TLSv1.3",
        _ => "",
    }
}

/// A cipher suite as OpenSSL names it.
pub(super) fn suite(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        other => parameters::suite_name(other),
    }
}

/// A certificate whose parts are looked at.
pub(crate) struct Certificate<'a>(X509Certificate<'a>);

// === impl Certificate ===

impl<'a> Certificate<'a> {
    /// None if it cannot be read.
    pub(crate) fn parse(der: &'a [u8]) -> Option<Self> {
        X509Certificate::from_der(der)
            .ok()
            .map(|(_, certificate)| Self(certificate))
    }

    /// Subject, in the form of RFC 2253.
    pub(crate) fn subject(&self) -> String {
        distinguished_name(self.0.subject())
    }

    /// Issuer, in the same form.
    pub(crate) fn issuer(&self) -> String {
        distinguished_name(self.0.issuer())
    }

    /// Serial number, in hexadecimal digits.
    pub(crate) fn serial(&self) -> String {
        hexadecimal(self.0.raw_serial())
    }

    /// From when to when it is valid, in seconds since 1970.
    pub(crate) fn validity(&self) -> (i64, i64) {
        let validity = self.0.validity();
        (
            validity.not_before.timestamp(),
            validity.not_after.timestamp(),
        )
    }
}

/// The last part of a name first, with what would mean something else escaped (RFC 2253).
fn distinguished_name(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = name
        .iter()
        .map(|part| {
            let attributes = part.iter().map(|attribute| {
                let kind = oid2abbrev(attribute.attr_type(), oid_registry());
                let kind =
                    kind.map_or_else(|_| attribute.attr_type().to_id_string(), str::to_owned);
                let value = attribute.as_str().map_or_else(
                    |_| ["#", &hexadecimal(attribute.as_slice())].concat(),
                    escaped,
                );
                [&*kind, "=", &value].concat()
            });
            attributes.collect::<Vec<_>>().join("+")
        })
        .collect();
    parts.reverse();
    parts.join(",")
}

fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (at, char) in value.chars().enumerate() {
        let edge = char == ' ' && (at == 0 || at == last) || char == '#' && at == 0;
        match char {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => out.extend(['\\', char]),
            _ if edge => out.extend(['\\', char]),
            // Nothing may break a header or a line of the log.
            _ if char.is_control() => {
                let _ = write!(out, "\\{:02X}", u32::from(char));
            }
            _ => out.push(char),
        }
    }
    out
}
