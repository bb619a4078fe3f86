//! Certificates of workloads, which a test's own authority issues and which proxies find in files.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, IsCa, Issuer, KeyPair, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::tls_client::Certificate;

/// A certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, pem }
    }

    /// Puts the certificate of a service account where a proxy with this root directory reads it (`FILE_MOUNTED_CERTS`). It trusts the
    /// authorities of `roots`.
    pub fn mount(&self, root: &Path, account: &str, roots: &[&Self]) {
        let directory = root.join("etc/certs");
        std::fs::create_dir_all(&directory).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let name = identity(account).try_into().unwrap();
        params.subject_alt_names.push(SanType::URI(name));
        let roots = roots.iter().map(|root| &*root.pem).collect();
        let chain = params.signed_by(&key, &self.issuer).unwrap().pem();
        let files: [(&str, String); 3] = [
            ("cert-chain.pem", chain),
            ("key.pem", key.serialize_pem()),
            ("root-cert.pem", roots),
        ];
        for (name, text) in files {
            // Written elsewhere first: the proxy must not read half of it.
            let fresh = directory.join("fresh");
            std::fs::write(&fresh, text).unwrap();
            std::fs::rename(fresh, directory.join(name)).unwrap();
        }
    }
}

/// A certificate for a name with its key, both PEM.
pub struct Leaf {
    pub chain: String,
    pub key: String,
}

impl Authority {
    /// Its own certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for a host name.
    pub fn leaf(&self, host: &str) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([host.to_owned()]).unwrap();
        Leaf {
            chain: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

// === impl Authority ===

impl Authority {
    /// A certificate of a service account.
    pub fn issue(&self, account: &str) -> Certificate {
        self.issue_with(account, |_| {})
    }

    /// A certificate for a key.
    pub fn sign(&self, params: &CertificateParams, key: &KeyPair) -> CertificateDer<'static> {
        let signed = params.signed_by(key, &self.issuer).unwrap();
        signed.der().clone()
    }

    /// The same, changed before it is signed.
    pub fn issue_with(
        &self,
        account: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let name = identity(account).try_into().unwrap();
        params.subject_alt_names.push(SanType::URI(name));
        change(&mut params);
        Certificate {
            chain: vec![self.sign(&params, &key)],
            key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        }
    }
}

/// The identity of a service account of the namespace `default`.
pub fn identity(account: &str) -> String {
    format!("spiffe://cluster.local/ns/default/sa/{account}")
}
