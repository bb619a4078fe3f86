//! What a mesh reads of a `Secret`: a certificate with its private key, and certificates to trust.

use std::sync::Arc;

use mesh_ir::SecretText;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate with its private key, certificates to trust, or both; PEM. A Secret has them by Istio's names (`cert`, `key`, `cacert`) or by those of
/// the type `kubernetes.io/tls` (`tls.crt`, `tls.key`, `ca.crt`); the first ones count where it has both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credential {
    /// Certificate chain, the leaf first.
    pub chain: Option<Arc<str>>,
    /// Private key of the leaf.
    pub key: Option<SecretText>,
    /// Certificates to trust.
    pub roots: Option<Arc<str>>,
}

// === impl Credential ===

impl Credential {
    /// The chain and its key.
    ///
    /// # Errors
    /// What is missing, or is no PEM. The key is never quoted.
    pub fn certificate(&self) -> Result<(&Arc<str>, &SecretText), &'static str> {
        let chain = self
            .chain
            .as_ref()
            .ok_or("it has no certificate (tls.crt, or cert)")?;
        let key = self
            .key
            .as_ref()
            .ok_or("it has no private key (tls.key, or key)")?;
        if !holds_certificates(chain) {
            return Err("its certificate cannot be read as PEM");
        }
        if PrivateKeyDer::from_pem_slice(key.0.as_bytes()).is_err() {
            return Err("its private key cannot be read as PEM");
        }
        Ok((chain, key))
    }

    /// The certificates to trust.
    ///
    /// # Errors
    /// When there are none, or they are no PEM.
    pub fn trusted(&self) -> Result<&Arc<str>, &'static str> {
        let roots = self
            .roots
            .as_ref()
            .ok_or("it has no certificates to trust (ca.crt, or cacert)")?;
        if !holds_certificates(roots) {
            return Err("its certificates to trust cannot be read as PEM");
        }
        Ok(roots)
    }
}

/// Whether a text is one certificate or several.
fn holds_certificates(pem: &str) -> bool {
    let mut found = CertificateDer::pem_slice_iter(pem.as_bytes()).peekable();
    found.peek().is_some() && found.all(|one| one.is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_without_the_key() {
        let pem = |label: &str| {
            let text = format!("-----BEGIN {label}-----\nMAA=\n-----END {label}-----\n");
            Some(Arc::<str>::from(text))
        };
        let credential = |chain: Option<Arc<str>>, key: Option<Arc<str>>| Credential {
            chain,
            key: key.map(SecretText),
            roots: None,
        };
        let (certificate, key) = (pem("CERTIFICATE"), pem("PRIVATE KEY"));
        let good = credential(certificate.clone(), key.clone());
        assert!(good.certificate().is_ok());
        assert!(!format!("{good:?}").contains("PRIVATE KEY"));
        let error = |chain, key| credential(chain, key).certificate().unwrap_err();
        assert!(error(None, key.clone()).contains("no certificate"));
        assert!(error(certificate.clone(), None).contains("no private key"));
        assert!(error(Some("x".into()), key).contains("certificate cannot"));
        assert!(error(certificate, Some("x".into())).contains("private key cannot"));
        assert!(good.trusted().is_err());
    }
}
