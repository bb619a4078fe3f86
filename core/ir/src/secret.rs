//! Keys and certificates. Their text never appears in debug output.

use std::fmt;
use std::sync::Arc;

/// A named key pair or trust bundle.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Secret {
    /// Name that TLS settings refer to: `default`, `ROOTCA`, `kubernetes://credential`.
    pub name: Arc<str>,
    /// What it holds.
    pub kind: SecretKind,
}

/// What a secret holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecretKind {
    /// A certificate chain and its private key, both PEM.
    Certificate {
        /// Leaf first.
        chain: Arc<str>,
        /// Private key.
        key: SecretText,
    },
    /// Certificates to trust, PEM.
    Trust {
        /// Roots.
        roots: Arc<str>,
    },
}

/// Text that must not be shown.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SecretText(pub Arc<str>);

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
