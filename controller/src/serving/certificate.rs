//! The current certificate, which handshakes read and rotation replaces.

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// A certificate with its key, as the authority has issued it.
#[derive(Clone, Debug)]
pub struct Issued {
    /// Chain and key.
    pub key: Arc<CertifiedKey>,
    /// When it was issued; its validity begins a little earlier.
    pub issued: SystemTime,
    /// When it expires.
    pub expires: SystemTime,
}

/// The certificate that is shown now.
#[derive(Debug)]
pub struct ServingCertificate {
    current: ArcSwap<Issued>,
}

// === impl ServingCertificate ===

impl ServingCertificate {
    /// Begins with a certificate.
    pub fn new(issued: Issued) -> Arc<Self> {
        Arc::new(Self {
            current: ArcSwap::from_pointee(issued),
        })
    }

    /// The certificate that is shown now.
    pub fn current(&self) -> Arc<Issued> {
        self.current.load_full()
    }

    /// Shows another one from the next handshake on.
    pub fn replace(&self, issued: Issued) {
        self.current.store(Arc::new(issued));
    }

    /// A TLS configuration that shows it, without asking for the client's.
    pub fn server_config(self: &Arc<Self>, protocols: &[&[u8]]) -> rustls::ServerConfig {
        let resolver: Arc<dyn ResolvesServerCert> = self.clone();
        let mut config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        config
    }
}

impl ResolvesServerCert for ServingCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.load().key))
    }
}
