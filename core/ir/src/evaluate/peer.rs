//! What `PeerAuthentication` makes of a connection, by its first bytes.

use super::ConnectionFacts;
use crate::Transport;
use crate::policy::PeerAuthenticationMode;

/// How the server side of a proxy takes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerTransport {
    /// As the mesh's mutual TLS: the proxy ends it, and asks for a certificate.
    MutualTls,
    /// As it is: in plaintext, or as TLS that the application ends itself.
    AsItIs,
    /// Not at all: it is closed.
    Refused,
}

impl PeerAuthenticationMode {
    /// How a connection is taken.
    ///
    /// STRICT refuses plaintext and takes all TLS for the mesh's. PERMISSIVE tells the mesh's TLS from an application's own by the
    /// protocols that the client offers, which begin with `istio` in the mesh. DISABLE takes everything as it is.
    pub fn transport(self, connection: &ConnectionFacts<'_>) -> PeerTransport {
        let of_mesh = || {
            let mut offered = connection.application_protocols.iter();
            offered.any(|protocol| protocol.starts_with("istio"))
        };
        match (self, connection.transport) {
            (Self::Strict, Transport::Plaintext) => PeerTransport::Refused,
            (Self::Strict, Transport::Tls) => PeerTransport::MutualTls,
            (Self::Permissive, Transport::Tls) if of_mesh() => PeerTransport::MutualTls,
            (Self::Permissive | Self::Disable, _) => PeerTransport::AsItIs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_tell_plaintext_the_meshs_tls_and_an_applications_own_apart() {
        use PeerAuthenticationMode::{Disable, Permissive, Strict};
        use PeerTransport::{AsItIs, MutualTls, Refused};
        let plaintext = ConnectionFacts::plaintext(
            "10.0.0.1:1".parse().unwrap(),
            "10.0.0.2:80".parse().unwrap(),
        );
        let tls = |application_protocols| ConnectionFacts {
            transport: Transport::Tls,
            application_protocols,
            ..plaintext
        };
        let mesh = tls(&["istio-peer-exchange", "istio"]);
        let own = tls(&["h2", "http/1.1"]);
        for (mode, expect) in [
            (Strict, [Refused, MutualTls, MutualTls]),
            (Permissive, [AsItIs, MutualTls, AsItIs]),
            (Disable, [AsItIs, AsItIs, AsItIs]),
        ] {
            let found = [plaintext, mesh, own].map(|connection| mode.transport(&connection));
            assert_eq!(
                found, expect,
                "{mode:?}: plaintext, the mesh's TLS, another TLS"
            );
        }
    }
}
