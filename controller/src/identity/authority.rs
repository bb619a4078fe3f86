//! The certificate authority of the mesh: one of its own, kept in the Secret `istio-ca-secret` so that a restart changes nothing for
//! proxies, or one that is plugged in by the Secret `cacerts`.

mod plugged;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::workload::{InvalidRequest, Leaf};
use crate::serving::Issued;

/// Name of the Secret, as Istio's.
const SECRET: &str = "istio-ca-secret";
const CERTIFICATE: &str = "ca-cert.pem";
const KEY: &str = "ca-key.pem";

/// Life of the root.
const ROOT_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// Life of a serving certificate.
const SERVING_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// By how much the clocks of clients may be behind ours.
pub(super) const CLOCK_SKEW: Duration = Duration::from_secs(2 * 60);

/// The authority of the mesh.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// The certificates that lead from the authority to a root, its own first, PEM; none if it is the root.
    intermediates: Vec<String>,
    /// The roots, PEM.
    root_pem: Arc<str>,
}

// === impl Authority ===

impl Authority {
    /// The authority of a cluster: the one that is plugged in, else its own, which is made and stored if there is none yet.
    ///
    /// # Errors
    /// When the Secret can neither be read nor created, or does not hold a certificate and its key.
    pub async fn of_cluster(client: &Client, namespace: &str) -> anyhow::Result<Self> {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
        if let Some(secret) = secrets.get_opt(plugged::SECRET).await? {
            // Nobody who has said whom to trust is given another root instead.
            return plugged::authority(&secret);
        }
        if let Some(secret) = secrets.get_opt(SECRET).await? {
            return Self::from_secret(&secret);
        }
        let (certificate, key) = generate(SystemTime::now())?;
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(SECRET.to_owned()),
                ..ObjectMeta::default()
            },
            type_: Some("istio.io/ca-root".to_owned()),
            data: Some(BTreeMap::from([
                (CERTIFICATE.to_owned(), ByteString(certificate.into_bytes())),
                (KEY.to_owned(), ByteString(key.into_bytes())),
            ])),
            ..Secret::default()
        };
        match secrets.create(&PostParams::default(), &secret).await {
            Ok(secret) => Self::from_secret(&secret),
            // Another replica was quicker; its root counts.
            Err(kube::Error::Api(status)) if status.code == 409 => {
                Self::from_secret(&secrets.get(SECRET).await?)
            }
            Err(error) => Err(error)
                .with_context(|| format!("failed to store the Secret {namespace}/{SECRET}")),
        }
    }

    fn from_secret(secret: &Secret) -> anyhow::Result<Self> {
        let text = |key| text(secret, SECRET, key);
        Self::from_pem(&text(CERTIFICATE)?, &text(KEY)?)
            .with_context(|| format!("the Secret {SECRET} does not hold a usable authority"))
    }

    fn from_pem(certificate: &str, key: &str) -> anyhow::Result<Self> {
        let issuer = Issuer::from_ca_cert_pem(certificate, KeyPair::from_pem(key)?)?;
        Ok(Self {
            issuer,
            intermediates: Vec::new(),
            root_pem: certificate.into(),
        })
    }

    /// The certificates between a leaf and a root, PEM.
    pub(super) fn intermediates(&self) -> &[String] {
        &self.intermediates
    }

    /// The root certificates, PEM.
    pub fn root_pem(&self) -> &Arc<str> {
        &self.root_pem
    }

    /// An authority that nobody else knows.
    #[cfg(test)]
    pub fn generated() -> anyhow::Result<Self> {
        let (certificate, key) = generate(SystemTime::now())?;
        Self::from_pem(&certificate, &key)
    }

    /// A workload's certificate under a SPIFFE identity, for the key of a certificate signing request.
    ///
    /// # Errors
    /// When the request or its key is not acceptable.
    pub(super) fn issue_workload(
        &self,
        csr: &str,
        identity: &str,
        life: Duration,
        now: SystemTime,
    ) -> Result<Leaf, InvalidRequest> {
        Leaf::sign(csr, identity, life, now, &self.issuer)
    }

    /// A certificate for serving under these names, valid for a day.
    ///
    /// # Errors
    /// When the certificate cannot be made.
    pub fn issue_serving(&self, names: &[String], now: SystemTime) -> anyhow::Result<Issued> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let expires = now + SERVING_LIFE;
        params.not_before = (now - CLOCK_SKEW).into();
        params.not_after = expires.into();
        let certificate = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key)?;
        let mut chain = vec![certificate.der().clone()];
        for pem in self
            .intermediates
            .iter()
            .map(String::as_str)
            .chain([&*self.root_pem])
        {
            chain.push(CertificateDer::from_pem_slice(pem.as_bytes())?);
        }
        Ok(Issued {
            key: Arc::new(CertifiedKey::new(chain, key)),
            issued: now,
            expires,
        })
    }
}

/// A text of a Secret.
fn text(secret: &Secret, name: &str, key: &str) -> anyhow::Result<String> {
    let data = secret.data.as_ref().and_then(|data| data.get(key));
    let bytes = data.with_context(|| format!("the Secret {name} has no key {key}"))?;
    String::from_utf8(bytes.0.clone())
        .with_context(|| format!("{key} of the Secret {name} is not text"))
}

fn generate(now: SystemTime) -> anyhow::Result<(String, String)> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.not_before = (now - CLOCK_SKEW).into();
    params.not_after = (now + ROOT_LIFE).into();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(DnType::OrganizationName, "cluster.local");
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_survives_its_secret() {
        let (certificate, key) = generate(SystemTime::now()).unwrap();
        let authority = Authority::from_pem(&certificate, &key).unwrap();
        assert_eq!(&**authority.root_pem(), certificate);
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let names = ["istiod.istio-system.svc".to_owned()];
        authority.issue_serving(&names, SystemTime::now()).unwrap();
    }

    #[test]
    fn a_broken_secret_is_named() {
        let error = Authority::from_secret(&Secret::default()).err().unwrap();
        assert!(
            error.to_string().contains("has no key ca-cert.pem"),
            "{error}"
        );
    }
}
