//! Protocols of ports as Gateways, ServiceEntries and Sidecars name them.

/// What a port speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are the protocols' own names")]
pub enum PortProtocol {
    Http,
    Https,
    Http2,
    Grpc,
    GrpcWeb,
    HttpProxy,
    Tls,
    Tcp,
    Mongo,
    Mysql,
    Redis,
    Udp,
}

/// Every protocol with its name.
const NAMES: [(PortProtocol, &str); 12] = [
    (PortProtocol::Http, "HTTP"),
    (PortProtocol::Https, "HTTPS"),
    (PortProtocol::Http2, "HTTP2"),
    (PortProtocol::Grpc, "GRPC"),
    (PortProtocol::GrpcWeb, "GRPC-WEB"),
    (PortProtocol::HttpProxy, "HTTP_PROXY"),
    (PortProtocol::Tls, "TLS"),
    (PortProtocol::Tcp, "TCP"),
    (PortProtocol::Mongo, "MONGO"),
    (PortProtocol::Mysql, "MYSQL"),
    (PortProtocol::Redis, "REDIS"),
    (PortProtocol::Udp, "UDP"),
];

// === impl PortProtocol ===

impl PortProtocol {
    /// The protocol of a name, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        NAMES
            .iter()
            .find(|(_, known)| known.eq_ignore_ascii_case(name))
            .map(|(protocol, _)| *protocol)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        NAMES
            .iter()
            .find(|(known, _)| *known == self)
            .map_or("", |(_, name)| name)
    }

    /// All names.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(_, name)| *name)
    }

    /// Whether requests can be told apart without decrypting anything.
    pub fn is_http(self) -> bool {
        matches!(
            self,
            Self::Http | Self::Http2 | Self::Grpc | Self::GrpcWeb | Self::HttpProxy
        )
    }

    /// Whether connections are encrypted, so that a server name tells them apart.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Tls)
    }
}
