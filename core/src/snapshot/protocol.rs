//! Which protocol a port speaks: `appProtocol`, then the port's name up to its first `-`, then well-known TCP ports;
//! otherwise the first bytes of each connection decide.

use super::Protocol;
use crate::model::PortProtocol;

/// Ports whose servers speak first, so that waiting for the client's first bytes would hang.
const SERVER_FIRST_PORTS: [u16; 4] = [25, 53, 3306, 27017];

/// The protocol of a Kubernetes Service port.
pub fn select_protocol(app_protocol: Option<&str>, name: &str, port: u16) -> Protocol {
    app_protocol
        .and_then(from_app_protocol)
        .or_else(|| from_port_name(name))
        .unwrap_or(if SERVER_FIRST_PORTS.contains(&port) {
            Protocol::Tcp
        } else {
            Protocol::Detect
        })
}

/// The protocol that a name such as `HTTP2`, of a Gateway or ServiceEntry, stands for; none for UDP, which no proxy takes.
pub fn protocol_from_name(name: &str) -> Option<Protocol> {
    Some(match PortProtocol::parse(name)? {
        PortProtocol::Http | PortProtocol::HttpProxy => Protocol::Http,
        PortProtocol::Http2 => Protocol::Http2,
        PortProtocol::Grpc => Protocol::Grpc,
        PortProtocol::GrpcWeb => Protocol::GrpcWeb,
        PortProtocol::Https => Protocol::Https,
        PortProtocol::Tls => Protocol::Tls,
        PortProtocol::Tcp | PortProtocol::Mongo | PortProtocol::Mysql | PortProtocol::Redis => {
            Protocol::Tcp
        }
        PortProtocol::Udp => return None,
    })
}

fn from_app_protocol(text: &str) -> Option<Protocol> {
    match text.to_ascii_lowercase().as_str() {
        "kubernetes.io/h2c" => Some(Protocol::Http2),
        "kubernetes.io/ws" | "ws" => Some(Protocol::Http),
        "kubernetes.io/wss" | "wss" => Some(Protocol::Https),
        text => from_port_name(text),
    }
}

fn from_port_name(name: &str) -> Option<Protocol> {
    let name = name.to_ascii_lowercase();
    if name == "grpc-web" || name.starts_with("grpc-web-") {
        return Some(Protocol::GrpcWeb);
    }
    protocol_from_name(name.split('-').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_says_what_it_speaks() {
        for (app_protocol, name, port, expected) in [
            (None, "http", 9080, Protocol::Http),
            (None, "http-web", 9080, Protocol::Http),
            (None, "httpx", 9080, Protocol::Detect),
            (None, "HTTP2-x", 9080, Protocol::Http2),
            (None, "grpc-web-x", 9080, Protocol::GrpcWeb),
            (None, "grpc-x", 9080, Protocol::Grpc),
            (None, "mysql", 9080, Protocol::Tcp),
            (None, "", 3306, Protocol::Tcp),
            (None, "", 80, Protocol::Detect),
            (Some("kubernetes.io/h2c"), "tcp", 80, Protocol::Http2),
            (Some("wss"), "", 80, Protocol::Https),
            (Some("unheard.of/it"), "http", 80, Protocol::Http),
        ] {
            assert_eq!(
                select_protocol(app_protocol, name, port),
                expected,
                "{app_protocol:?} {name} {port}"
            );
        }
    }
}
