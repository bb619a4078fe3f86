//! What a client says before anything is encrypted.

use rustls::server::Acceptor;

/// Most bytes in which a client hello is looked for.
const MAX_HELLO: usize = 32 << 10;

/// What the first bytes of a connection are.
#[derive(Debug, PartialEq, Eq)]
pub enum Hello {
    /// Too few to tell.
    More,
    /// Anything but TLS.
    Other,
    /// The beginning of TLS.
    Tls(ClientHello),
}

/// What a TLS client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// The name of the server that it wants (SNI), in lower case.
    pub server_name: Option<Box<str>>,
    /// The protocols that it speaks (ALPN), the preferred one first.
    pub protocols: Vec<Box<str>>,
}

// === impl Hello ===

impl Hello {
    /// Looks at the first bytes of a connection. TLS whose hello cannot be understood asks for nothing: whoever it is passed on to may
    /// understand it.
    pub fn of(bytes: &[u8]) -> Self {
        match bytes {
            [] | [0x16] => return Self::More,
            // A record of the handshake, of any version since SSL 3.0.
            [0x16, 3, ..] => {}
            _ => return Self::Other,
        }
        let mut acceptor = Acceptor::default();
        let mut rest = bytes;
        loop {
            match acceptor.read_tls(&mut rest) {
                Ok(count) if count > 0 => {}
                Ok(_) if bytes.len() < MAX_HELLO => return Self::More,
                Ok(_) | Err(_) => return Self::Tls(ClientHello::default()),
            }
            match acceptor.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => return Self::Tls(ClientHello::of(&accepted.client_hello())),
                Err(_) => return Self::Tls(ClientHello::default()),
            }
        }
    }
}

// === impl ClientHello ===

impl ClientHello {
    fn of(hello: &rustls::server::ClientHello<'_>) -> Self {
        let server_name = hello.server_name().map(|name| name.to_ascii_lowercase());
        let protocols = hello.alpn().into_iter().flatten();
        let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned().into();
        Self {
            server_name: server_name.map(Into::into),
            protocols: protocols.map(text).collect(),
        }
    }
}
