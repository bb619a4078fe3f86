//! A key, the request for its certificate, and what is made of the answer.

use std::sync::Arc;
use std::time::SystemTime;

use mesh_ir::names::{ROOT_CERTIFICATES, WORKLOAD_CERTIFICATE};
use mesh_ir::{List, Secret, SecretKind, SecretText};
use mesh_xds::certificates::{CertificateRequest, CertificateResponse};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::validity::Validity;

/// A key without a certificate.
pub(super) struct Key(KeyPair);

/// A key with its certificate.
pub(super) struct Leaf {
    /// What workers go by.
    pub(super) secrets: List<Secret>,
    /// From when to when it is valid.
    pub(super) validity: Validity,
}

/// Why an answer is of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum InvalidLeaf {
    /// No key could be made, or no request for it.
    #[error("failed to make a key: {0}")]
    Key(#[from] rcgen::Error),
    /// It holds less than a certificate and a root.
    #[error(
        "the control plane's answer holds {0} certificates, expected the workload's and a root"
    )]
    Short(usize),
    /// A certificate cannot be read.
    #[error("something that should be a certificate is none")]
    Certificate,
    /// There is no key, or one that cannot be read.
    #[error("the private key cannot be read")]
    PrivateKey,
    /// The certificate is for another key.
    #[error("the certificate does not belong to the key: {0}")]
    OtherKey(rustls::Error),
    /// The certificate is over, by this machine's clock.
    #[error("the certificate is not valid now; compare the clocks of the machines")]
    NotValid,
}

// === impl Key ===

impl Key {
    /// A new key, ECDSA on P-256.
    pub(super) fn generate() -> Result<Self, InvalidLeaf> {
        Ok(Self(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?))
    }

    /// What to ask for. Who asks is said by the token, so the request names nobody; how long it is valid is up to the control plane.
    pub(super) fn request(&self) -> Result<CertificateRequest, InvalidLeaf> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        Ok(CertificateRequest {
            csr: params.serialize_request(&self.0)?.pem()?,
            validity_duration: 0,
        })
    }

    /// Takes the answer.
    pub(super) fn certified(
        &self,
        response: CertificateResponse,
        now: SystemTime,
    ) -> Result<Leaf, InvalidLeaf> {
        let mut chain = response.cert_chain;
        let count = chain.len();
        // The root comes last, and is not shown to peers, who must know it already.
        let root = chain.pop().filter(|_| count > 1);
        let root = root.ok_or(InvalidLeaf::Short(count))?;
        Leaf::new(&chain.join("\n"), &self.0.serialize_pem(), &root, now)
    }
}

// === impl Leaf ===

impl Leaf {
    /// A certificate with those that lead from it to a root, its key, and whom to trust; all PEM.
    pub(super) fn new(
        chain: &str,
        key: &str,
        roots: &str,
        now: SystemTime,
    ) -> Result<Self, InvalidLeaf> {
        let ders = certificates(chain)?;
        certificates(roots)?;
        let leaf = ders.first().ok_or(InvalidLeaf::Certificate)?;
        let validity = Validity::of(leaf).ok_or(InvalidLeaf::Certificate)?;
        if !validity.holds(now) {
            return Err(InvalidLeaf::NotValid);
        }
        let private = PrivateKeyDer::from_pem_slice(key.as_bytes());
        let private = private.map_err(|_| InvalidLeaf::PrivateKey)?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        CertifiedKey::from_der(ders, private, &provider).map_err(InvalidLeaf::OtherKey)?;
        let secret = |name: &str, kind| {
            let name = name.into();
            Arc::new(Secret { name, kind })
        };
        let certificate = SecretKind::Certificate {
            chain: chain.into(),
            key: SecretText(key.into()),
        };
        let trust = SecretKind::Trust {
            roots: roots.into(),
        };
        // In the order of their names.
        let secrets = [
            secret(ROOT_CERTIFICATES, trust),
            secret(WORKLOAD_CERTIFICATE, certificate),
        ];
        Ok(Self {
            secrets: secrets.into(),
            validity,
        })
    }
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, InvalidLeaf> {
    let all = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|_| InvalidLeaf::Certificate)?;
    if all.is_empty() {
        return Err(InvalidLeaf::Certificate);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateSigningRequestParams, IsCa, Issuer};

    use super::*;

    /// What an authority answers: a leaf that is valid for an hour from a time on, and a root.
    fn answer(request: &CertificateRequest, from: SystemTime) -> CertificateResponse {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let mut request = CertificateSigningRequestParams::from_pem(&request.csr).unwrap();
        assert_eq!(request.params.subject_alt_names, []);
        request.params.not_before = from.into();
        request.params.not_after = (from + Duration::from_secs(3600)).into();
        let leaf = request.signed_by(&issuer).unwrap().pem();
        CertificateResponse {
            cert_chain: vec![leaf, root],
        }
    }

    #[test]
    fn an_answer_becomes_the_two_secrets() {
        let (key, now) = (Key::generate().unwrap(), SystemTime::now());
        let answer = answer(&key.request().unwrap(), now);
        let Leaf { secrets, .. } = key.certified(answer.clone(), now).unwrap();
        let [roots, certificate] = &*secrets else {
            panic!("{secrets:?}");
        };
        assert_eq!(
            (&*roots.name, &*certificate.name),
            (ROOT_CERTIFICATES, WORKLOAD_CERTIFICATE)
        );
        let trust = SecretKind::Trust {
            roots: answer.cert_chain[1].as_str().into(),
        };
        assert_eq!(roots.kind, trust);
        let SecretKind::Certificate { chain, key: text } = &certificate.kind else {
            panic!("{certificate:?}");
        };
        // The root is not shown to peers.
        assert_eq!(**chain, answer.cert_chain[0]);
        assert_eq!(*text.0, key.0.serialize_pem());
        assert!(!format!("{secrets:?}").contains("PRIVATE"));
    }

    #[test]
    fn answers_of_no_use_are_refused() {
        let (key, now) = (Key::generate().unwrap(), SystemTime::now());
        let good = answer(&key.request().unwrap(), now);
        let refusal = |cert_chain: &[&str]| {
            let cert_chain = cert_chain.iter().map(ToString::to_string).collect();
            let answer = CertificateResponse { cert_chain };
            key.certified(answer, now).err().unwrap().to_string()
        };
        let [leaf, root] = [0, 1].map(|index: usize| good.cert_chain[index].as_str());
        assert!(refusal(&[]).contains("holds 0 certificates"));
        assert!(refusal(&[leaf]).contains("holds 1 certificates"));
        assert!(refusal(&[leaf, "x"]).contains("should be a certificate"));
        assert!(refusal(&["x", root]).contains("should be a certificate"));
        assert!(refusal(&[root, root]).contains("does not belong to the key"));
        for before in [3601, 0] {
            let from = now + Duration::from_secs(1800) - Duration::from_secs(before * 2);
            let early = answer(&key.request().unwrap(), from);
            let error = key.certified(early, now).err().unwrap().to_string();
            assert!(error.contains("not valid now"), "{error}");
        }
    }
}
