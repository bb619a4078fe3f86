//! An authority that somebody else has made, by the Secret `cacerts` with Istio's keys.

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::Secret;
use pem::{EncodeConfig, LineEnding, Pem};
use rcgen::{Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use webpki::{EndEntityCert, KeyUsage};

use super::{Authority, CERTIFICATE, KEY, text};

/// Name of the Secret.
pub(super) const SECRET: &str = "cacerts";
/// The roots.
const ROOTS: &str = "root-cert.pem";
/// The certificates from the authority's own to the one that a root has signed.
const CHAIN: &str = "cert-chain.pem";

/// The authority of a Secret.
///
/// # Errors
/// When something is missing, or does not belong together. The error names the Secret, and never shows the key.
pub(super) fn authority(secret: &Secret) -> anyhow::Result<Authority> {
    let text = |key| text(secret, SECRET, key);
    let (certificate, key, roots) = (text(CERTIFICATE)?, text(KEY)?, text(ROOTS)?);
    let chain = text(CHAIN).unwrap_or_default();
    read(&certificate, &key, &roots, &chain)
        .with_context(|| format!("the Secret {SECRET} does not hold a usable authority"))
}

fn read(certificate: &str, key: &str, roots: &str, chain: &str) -> anyhow::Result<Authority> {
    let own = ders(certificate, CERTIFICATE)?;
    let own = own
        .first()
        .with_context(|| format!("{CERTIFICATE} is empty"))?;
    let root_ders = ders(roots, ROOTS)?;
    ensure!(!root_ders.is_empty(), "{ROOTS} is empty");
    let private = PrivateKeyDer::from_pem_slice(key.as_bytes());
    let private = private.with_context(|| format!("{KEY} cannot be read"))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    CertifiedKey::from_der(vec![own.clone()], private, &provider)
        .with_context(|| format!("{KEY} is not the key of {CERTIFICATE}"))?;
    let mut between = vec![own.clone()];
    between.extend(ders(chain, CHAIN)?.into_iter().filter(|der| der != own));
    between.retain(|der| !root_ders.contains(der));
    let authority = Authority {
        issuer: Issuer::from_ca_cert_pem(certificate, KeyPair::from_pem(key)?)
            .with_context(|| format!("{CERTIFICATE} is not an authority's"))?,
        intermediates: between.iter().map(|der| pem(der)).collect(),
        root_pem: roots.into(),
    };
    leads_to_a_root(&authority, &between, &root_ders)?;
    Ok(authority)
}

/// Checks a certificate of the authority as a client would.
fn leads_to_a_root(
    authority: &Authority,
    intermediates: &[CertificateDer<'_>],
    roots: &[CertificateDer<'_>],
) -> anyhow::Result<()> {
    let key = KeyPair::generate()?;
    let params = rcgen::CertificateParams::new(vec!["probe.invalid".to_owned()])?;
    let probe = params.signed_by(&key, &authority.issuer)?;
    let anchors = roots.iter().map(webpki::anchor_from_trusted_cert);
    let anchors = anchors.collect::<Result<Vec<_>, _>>();
    let anchors =
        anchors.with_context(|| format!("{ROOTS} holds something that is no certificate"))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    EndEntityCert::try_from(probe.der())?
        .verify_for_usage(
            provider.signature_verification_algorithms.all,
            &anchors,
            intermediates,
            UnixTime::now(),
            KeyUsage::server_auth(),
            None,
            None,
        )
        .with_context(|| format!("{CERTIFICATE} does not lead to {ROOTS} by {CHAIN} now"))?;
    Ok(())
}

fn ders(pem: &str, key: &str) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    all.with_context(|| format!("{key} is not PEM"))
}

fn pem(der: &CertificateDer<'_>) -> String {
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    pem::encode_config(&Pem::new("CERTIFICATE", der.to_vec()), config)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Duration, SystemTime};

    use k8s_openapi::ByteString;
    use rcgen::{
        BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa,
    };

    use super::*;

    /// A certificate of an authority with its key, and what signs with it.
    struct Made {
        pem: String,
        key: String,
        issuer: Issuer<'static, KeyPair>,
    }

    fn make(name: &str, by: Option<&Made>) -> Made {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = match by {
            Some(by) => params.signed_by(&key, &by.issuer),
            None => params.self_signed(&key),
        };
        Made {
            pem: certificate.unwrap().pem(),
            key: key.serialize_pem(),
            issuer: Issuer::new(params, key),
        }
    }

    fn secret(texts: &[(&str, &str)]) -> Secret {
        let data = texts.iter().map(|(key, text)| {
            let bytes = ByteString(text.as_bytes().to_vec());
            ((*key).to_owned(), bytes)
        });
        Secret {
            data: Some(data.collect::<BTreeMap<_, _>>()),
            ..Secret::default()
        }
    }

    #[test]
    fn certificates_lead_over_all_intermediates_to_the_root() {
        let root = make("root", None);
        let (upper, lower) = {
            let upper = make("upper", Some(&root));
            let lower = make("lower", Some(&upper));
            (upper, lower)
        };
        let chain = [&*lower.pem, &*upper.pem, &*root.pem].concat();
        let authority = authority(&secret(&[
            (CERTIFICATE, &lower.pem),
            (KEY, &lower.key),
            (ROOTS, &root.pem),
            (CHAIN, &chain),
        ]));
        let authority = authority.unwrap();
        let same = |text: &str| ders(text, "").unwrap();
        let intermediates: Vec<_> = authority
            .intermediates
            .iter()
            .map(|pem| same(pem))
            .collect();
        assert_eq!(intermediates, [same(&lower.pem), same(&upper.pem)]);
        assert_eq!(*authority.root_pem, *root.pem);
        let key = KeyPair::generate().unwrap();
        let csr = CertificateParams::default()
            .serialize_request(&key)
            .unwrap();
        let csr = csr.pem().unwrap();
        assert!(CertificateSigningRequestParams::from_pem(&csr).is_ok());
        let identity = "spiffe://cluster.local/ns/a/sa/b";
        let (life, now) = (Duration::from_secs(3600), SystemTime::now());
        let leaf = authority.issue_workload(&csr, identity, life, now).unwrap();
        let anchors = same(&root.pem);
        let anchor = webpki::anchor_from_trusted_cert(&anchors[0]).unwrap();
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let verified = |intermediates: &[CertificateDer<'_>]| {
            let leaf = same(&leaf.pem);
            let algorithms = provider.signature_verification_algorithms.all;
            EndEntityCert::try_from(&leaf[0])
                .unwrap()
                .verify_for_usage(
                    algorithms,
                    std::slice::from_ref(&anchor),
                    intermediates,
                    UnixTime::now(),
                    KeyUsage::client_auth(),
                    None,
                    None,
                )
                .is_ok()
        };
        assert!(verified(&intermediates.concat()));
        assert!(
            !verified(&intermediates[..1].concat()),
            "without one of them"
        );
    }

    #[test]
    fn a_root_that_signs_itself_has_no_intermediates() {
        let root = make("root", None);
        let texts = [
            (CERTIFICATE, &*root.pem),
            (KEY, &*root.key),
            (ROOTS, &*root.pem),
            (CHAIN, ""),
        ];
        assert_eq!(authority(&secret(&texts)).unwrap().intermediates, [""; 0]);
    }

    #[test]
    fn what_does_not_belong_together_is_refused_by_name() {
        let (root, other) = (make("root", None), make("other", None));
        let lower = make("lower", Some(&root));
        let refusal = |certificate: &str, key: &str, roots: &str| {
            let texts = [(CERTIFICATE, certificate), (KEY, key), (ROOTS, roots)];
            format!("{:#}", authority(&secret(&texts)).err().unwrap())
        };
        for (found, words) in [
            (
                refusal(&lower.pem, &other.key, &root.pem),
                "ca-key.pem is not the key of ca-cert.pem",
            ),
            (
                refusal(&lower.pem, &lower.key, &other.pem),
                "ca-cert.pem does not lead to root-cert.pem by cert-chain.pem now",
            ),
            (
                refusal(&lower.pem, "x", &root.pem),
                "ca-key.pem cannot be read",
            ),
            (
                refusal(&lower.pem, &lower.key, ""),
                "root-cert.pem is empty",
            ),
        ] {
            assert!(found.contains(words), "{found}");
            assert!(found.contains("the Secret cacerts"), "{found}");
        }
        let error = authority(&secret(&[(CERTIFICATE, &lower.pem)]))
            .err()
            .unwrap();
        assert!(
            error.to_string().contains("the Secret cacerts has no key"),
            "{error}"
        );
    }
}
