//! Keys and certificates: from the secrets of a configuration and from files beside the proxy.

use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::sync::Arc;

use mesh_ir::matching::InvalidRegex;
use mesh_ir::{CertificateSource, Secret, SecretKind, TlsParameters, TlsSources, TrustSource};
use rustc_hash::FxHashMap;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::parameters;
use super::verify::Trust;

/// Why TLS cannot be spoken as a configuration asks.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTls {
    /// The control plane has not told a secret.
    #[error("secret {0} is not known yet")]
    NoSecret(Arc<str>),
    /// A secret is of another kind.
    #[error("secret {name} holds no {wanted}")]
    WrongSecret {
        /// Name of the secret.
        name: Arc<str>,
        /// What it should hold.
        wanted: &'static str,
    },
    /// A file cannot be read.
    #[error("failed to read {path}: {source}")]
    File {
        /// The file.
        path: Arc<str>,
        /// Why.
        source: io::Error,
    },
    /// A secret or a file is no PEM, or holds nothing.
    #[error("{origin} holds no {wanted} that can be read: {reason}")]
    Pem {
        /// Name of the secret, or path of the file.
        origin: Arc<str>,
        /// What it should hold.
        wanted: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Certificate and key do not go together, or a certificate means nothing.
    #[error("{origin}: {source}")]
    Certificate {
        /// Name of the secret, or path of the file.
        origin: Arc<str>,
        /// What is wrong.
        source: rustls::Error,
    },
    /// A name that certificates must have is an expression that means nothing.
    #[error("subject alternative name: {0}")]
    Name(#[from] InvalidRegex),
    /// Something that this proxy does not do.
    #[error("{0} is not supported by this proxy")]
    Unsupported(String),
    /// What the TLS library says.
    #[error(transparent)]
    Library(#[from] rustls::Error),
}

/// Where keys and certificates are found.
pub struct Materials<'a> {
    secrets: FxHashMap<&'a str, &'a Secret>,
    read: &'a dyn Fn(&str) -> io::Result<Vec<u8>>,
    /// What was made of them already: the clusters of a mesh have them alike.
    providers: Made<TlsParameters, CryptoProvider>,
    certificates: Made<CertificateSource, CertifiedKey>,
    trusts: Made<(TrustSource, Option<Arc<str>>), Trust>,
    fingerprints: RefCell<FxHashMap<Arc<str>, u64>>,
}

/// Values by what they were made from.
type Made<K, T> = RefCell<FxHashMap<K, Arc<T>>>;

// === impl Materials ===

impl<'a> Materials<'a> {
    pub(super) fn new(
        secrets: &'a [Arc<Secret>],
        read: &'a dyn Fn(&str) -> io::Result<Vec<u8>>,
    ) -> Self {
        let secrets = secrets.iter().map(|secret| (&*secret.name, &**secret));
        Self {
            secrets: secrets.collect(),
            read,
            providers: Made::default(),
            certificates: Made::default(),
            trusts: Made::default(),
            fingerprints: RefCell::default(),
        }
    }

    /// Versions and algorithms.
    pub(super) fn provider(
        &self,
        parameters: &TlsParameters,
    ) -> Result<Arc<CryptoProvider>, InvalidTls> {
        once(&self.providers, parameters.clone(), || {
            parameters::provider(parameters)
        })
    }

    /// A number that changes when the contents of a source do.
    pub(super) fn fingerprint(&self, sources: &TlsSources<'_>) -> u64 {
        let TlsSources { secrets, files } = sources;
        let mut hasher = DefaultHasher::new();
        let mut known = self.fingerprints.borrow_mut();
        for name in secrets {
            let made = known.entry(Arc::clone(name)).or_insert_with(|| {
                let mut hasher = DefaultHasher::new();
                self.secrets.get(&***name).hash(&mut hasher);
                hasher.finish()
            });
            made.hash(&mut hasher);
        }
        for path in files {
            (self.read)(path).ok().hash(&mut hasher);
        }
        hasher.finish()
    }

    /// A certificate with its key.
    pub(super) fn certificate(
        &self,
        source: &CertificateSource,
        provider: &CryptoProvider,
    ) -> Result<Arc<CertifiedKey>, InvalidTls> {
        once(&self.certificates, source.clone(), || {
            self.read_certificate(source, provider)
        })
    }

    /// Whom to believe, without those whose certificates are revoked.
    pub(super) fn trust(
        &self,
        source: &TrustSource,
        revoked: Option<&Arc<str>>,
    ) -> Result<Arc<Trust>, InvalidTls> {
        once(&self.trusts, (source.clone(), revoked.cloned()), || {
            let revoked = match revoked {
                Some(path) => self.revoked(path)?,
                None => Vec::new(),
            };
            Trust::new(&self.roots(source)?, &revoked).map(Arc::new)
        })
    }

    fn read_certificate(
        &self,
        source: &CertificateSource,
        provider: &CryptoProvider,
    ) -> Result<Arc<CertifiedKey>, InvalidTls> {
        let (origin, chain, key) = match source {
            CertificateSource::Discovered(name) => match &self.secret(name)?.kind {
                SecretKind::Certificate { chain, key } => {
                    (name, chain.as_bytes().to_vec(), key.0.as_bytes().to_vec())
                }
                SecretKind::Trust { .. } => {
                    let name = name.clone();
                    let wanted = "certificate with a key";
                    return Err(InvalidTls::WrongSecret { name, wanted });
                }
            },
            CertificateSource::Files { chain, key } => (chain, self.file(chain)?, self.file(key)?),
        };
        let chain = certificates(origin, &chain)?;
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| InvalidTls::Pem {
            origin: origin.clone(),
            wanted: "private key",
            reason: error.to_string(),
        })?;
        let certified = CertifiedKey::from_der(chain, key, provider);
        let invalid = |source| InvalidTls::Certificate {
            origin: origin.clone(),
            source,
        };
        certified.map(Arc::new).map_err(invalid)
    }

    /// The certificates that are trusted.
    fn roots(&self, source: &TrustSource) -> Result<Vec<CertificateDer<'static>>, InvalidTls> {
        match source {
            TrustSource::Discovered(name) => match &self.secret(name)?.kind {
                SecretKind::Trust { roots } => certificates(name, roots.as_bytes()),
                SecretKind::Certificate { .. } => Err(InvalidTls::WrongSecret {
                    name: name.clone(),
                    wanted: "certificates to trust",
                }),
            },
            TrustSource::File(path) => certificates(path, &self.file(path)?),
        }
    }

    /// The certificates of a file that are revoked.
    fn revoked(
        &self,
        path: &Arc<str>,
    ) -> Result<Vec<CertificateRevocationListDer<'static>>, InvalidTls> {
        let bytes = self.file(path)?;
        let lists = CertificateRevocationListDer::pem_slice_iter(&bytes);
        let lists = lists.collect::<Result<Vec<_>, _>>();
        lists.map_err(|error| InvalidTls::Pem {
            origin: path.clone(),
            wanted: "revoked certificates",
            reason: error.to_string(),
        })
    }

    fn secret(&self, name: &Arc<str>) -> Result<&'a Secret, InvalidTls> {
        let found = self.secrets.get(&**name).copied();
        found.ok_or_else(|| InvalidTls::NoSecret(name.clone()))
    }

    fn file(&self, path: &Arc<str>) -> Result<Vec<u8>, InvalidTls> {
        (self.read)(path).map_err(|source| InvalidTls::File {
            path: path.clone(),
            source,
        })
    }
}

/// The value that was made already, or a new one.
fn once<K: std::hash::Hash + Eq, T>(
    made: &Made<K, T>,
    key: K,
    make: impl FnOnce() -> Result<Arc<T>, InvalidTls>,
) -> Result<Arc<T>, InvalidTls> {
    let known = made.borrow().get(&key).cloned();
    if let Some(known) = known {
        return Ok(known);
    }
    let value = make()?;
    made.borrow_mut().insert(key, value.clone());
    Ok(value)
}

fn certificates(origin: &Arc<str>, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, InvalidTls> {
    let invalid = |reason: String| InvalidTls::Pem {
        origin: origin.clone(),
        wanted: "certificates",
        reason,
    };
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|error| invalid(error.to_string()))?;
    if found.is_empty() {
        return Err(invalid("there are none".to_owned()));
    }
    Ok(found)
}
