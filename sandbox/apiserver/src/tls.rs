//! Who the API server is: a certificate authority made for one sandbox, and a certificate under it.
//!
//! Both live as long as the process and no longer. Their keys are never written anywhere, so that a kubeconfig that was
//! left behind cannot be used to pretend to be a later sandbox. Clients get the authority's certificate by the
//! kubeconfig and, in pods, by `ca.crt` beside their token.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context, bail};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The names under which programs in pods know the API server.
const NAMES: [&str; 5] = [
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "localhost",
];

/// What a server proves itself with.
pub struct Identity {
    /// The authority's certificate, in PEM.
    pub ca: String,
    /// The server's side of TLS, for HTTP/2 and HTTP/1.1.
    pub server: Arc<rustls::ServerConfig>,
}

// === impl Identity ===

impl Identity {
    /// A new authority, and a certificate for a server at these addresses.
    pub fn generate(addresses: &[IpAddr]) -> anyhow::Result<Self> {
        let (ca, issuer) = authority().context("failed to make a certificate authority")?;
        let server =
            server(&issuer, addresses).context("failed to make the API server's certificate")?;
        Ok(Self {
            ca,
            server: Arc::new(server),
        })
    }
}

/// The client's side of TLS to a webhook: it trusts the authorities of a bundle in PEM, or of this machine without one.
///
/// # Errors
/// When the bundle holds no certificate.
pub fn client_config(bundle: Option<&[u8]>) -> anyhow::Result<rustls::ClientConfig> {
    let mut roots = RootCertStore::empty();
    match bundle.filter(|bundle| !bundle.is_empty()) {
        Some(bundle) => {
            for certificate in CertificateDer::pem_slice_iter(bundle) {
                roots.add(certificate.context("unable to load root certificates")?)?;
            }
            if roots.is_empty() {
                bail!("unable to load root certificates: unable to parse bytes as PEM block");
            }
        }
        // Those that cannot be read are missed when a server turns up that needs them.
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn authority() -> anyhow::Result<(String, Issuer<'static, KeyPair>)> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(DnType::CommonName, "meshctl sandbox");
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), Issuer::new(params, key)))
}

fn server(
    issuer: &Issuer<'static, KeyPair>,
    addresses: &[IpAddr],
) -> anyhow::Result<rustls::ServerConfig> {
    let key = KeyPair::generate()?;
    let names = NAMES.map(str::to_owned);
    let mut params = CertificateParams::new(names)?;
    params
        .subject_alt_names
        .extend(addresses.iter().copied().map(SanType::IpAddress));
    params
        .distinguished_name
        .push(DnType::CommonName, "kube-apiserver");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.signed_by(&key, issuer)?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::ServerName;

    use super::*;

    #[tokio::test]
    async fn a_client_that_knows_the_authority_trusts_the_server_at_its_address() {
        let address = IpAddr::from([127, 42, 0, 1]);
        let identity = Identity::generate(&[address]).unwrap();
        let client = client_config(Some(identity.ca.as_bytes())).unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
        for (name, good) in [
            (ServerName::from(address), true),
            (
                ServerName::try_from("kubernetes.default.svc").unwrap(),
                true,
            ),
            (ServerName::from(IpAddr::from([127, 42, 0, 2])), false),
        ] {
            let (near, far) = tokio::io::duplex(1 << 14);
            let acceptor = tokio_rustls::TlsAcceptor::from(identity.server.clone());
            let (accepted, connected) =
                tokio::join!(acceptor.accept(far), connector.connect(name.clone(), near));
            assert_eq!(connected.is_ok(), good, "{name:?}");
            assert_eq!(accepted.is_ok(), good, "{name:?}");
        }
    }
}
