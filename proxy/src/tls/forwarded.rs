//! `x-forwarded-client-cert`: what is told to others of a client's certificate, as Envoy writes it.

use std::fmt::Write as _;

use mesh_ir::CertificateDetails;
use pem::{EncodeConfig, LineEnding, Pem};
use rustls::pki_types::CertificateDer;

use super::certificate::{self, Certificate};

/// The element of one client: `By=...;Hash=...;Cert="...";Subject="...";URI=...;DNS=...`. `by` is the URI of our own certificate.
pub(super) fn element(
    by: Option<&str>,
    peer: &CertificateDer<'_>,
    details: CertificateDetails,
) -> String {
    let CertificateDetails {
        subject,
        issuer,
        certificate: whole,
        chain: _,
        dns,
        uri,
    } = details;
    let mut parts = Vec::new();
    if let Some(by) = by {
        parts.push(format!("By={by}"));
    }
    parts.push(format!("Hash={}", certificate::fingerprint(peer)));
    if whole {
        parts.push(format!("Cert=\"{}\"", escaped(&pem(peer))));
    }
    let certificate = Certificate::parse(peer);
    if subject {
        let subject = certificate.as_ref().map(Certificate::subject);
        parts.push(format!("Subject=\"{}\"", subject.unwrap_or_default()));
    }
    if issuer {
        let issuer = certificate.as_ref().map(Certificate::issuer);
        parts.push(format!("Issuer=\"{}\"", issuer.unwrap_or_default()));
    }
    if uri {
        let uris = certificate::uris(peer);
        match uris.is_empty() {
            true => parts.push("URI=".to_owned()),
            false => parts.extend(uris.iter().map(|uri| format!("URI={uri}"))),
        }
    }
    if dns {
        let names = certificate::dns_names(peer);
        parts.extend(names.iter().map(|name| format!("DNS={name}")));
    }
    parts.join(";")
}

/// A certificate as PEM.
fn pem(der: &[u8]) -> String {
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    pem::encode_config(&Pem::new("CERTIFICATE", der), config)
}

/// A text in the encoding of URLs.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            // Writing to a text does not fail.
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn certificate(uri: bool) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["web.example.com".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if uri {
            let name = "spiffe://cluster.local/ns/a/sa/b".try_into().unwrap();
            params.subject_alt_names.push(SanType::URI(name));
            params
                .distinguished_name
                .push(DnType::OrganizationName, "Acme, Inc.");
            params.distinguished_name.push(DnType::CommonName, "web");
        }
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().clone()
    }

    const ISTIO: CertificateDetails = CertificateDetails {
        subject: true,
        issuer: false,
        certificate: false,
        chain: false,
        dns: true,
        uri: true,
    };

    #[test]
    fn an_element_is_written_as_envoy_does() {
        let peer = certificate(true);
        let hash = certificate::fingerprint(&peer);
        assert_eq!(hash.len(), 64);
        assert_eq!(
            element(Some("spiffe://cluster.local/ns/c/sa/d"), &peer, ISTIO),
            format!(
                "By=spiffe://cluster.local/ns/c/sa/d;Hash={hash};Subject=\"CN=web,O=Acme\\, Inc.\";\
                 URI=spiffe://cluster.local/ns/a/sa/b;DNS=web.example.com"
            )
        );
    }

    #[test]
    fn what_a_certificate_does_not_have_is_empty() {
        let peer = certificate(false);
        let hash = certificate::fingerprint(&peer);
        assert_eq!(
            element(None, &peer, ISTIO),
            format!("Hash={hash};Subject=\"\";URI=;DNS=web.example.com")
        );
    }

    #[test]
    fn a_whole_certificate_can_be_read_again() {
        use rustls::pki_types::pem::PemObject as _;
        let peer = certificate(true);
        let again = CertificateDer::from_pem_slice(pem(&peer).as_bytes()).unwrap();
        assert_eq!(again, peer);
        let details = CertificateDetails {
            certificate: true,
            ..CertificateDetails::default()
        };
        let text = element(None, &peer, details);
        assert!(
            text.contains(";Cert=\"-----BEGIN%20CERTIFICATE-----%0A"),
            "{text}"
        );
        assert!(!text.contains('\n') && !text.contains('+'), "{text}");
    }
}
