//! Mutual TLS of a port.

/// What `PeerAuthentication` asks of connections to a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PeerAuthenticationMode {
    /// Plaintext only.
    Disable,
    /// Plaintext and mutual TLS. Istio's default.
    #[default]
    Permissive,
    /// Mutual TLS only; plaintext is closed.
    Strict,
}
