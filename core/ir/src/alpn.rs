//! Application protocols: what clients offer in TLS (ALPN), and what is detected without it.

/// HTTP, as everybody names it; what servers choose from.
pub const HTTP: [&str; 2] = ["h2", "http/1.1"];

/// What plain HTTP is detected as.
pub const DETECTED_HTTP: [&str; 2] = ["http/1.1", "h2c"];

/// What clients of the mesh offer for bytes, so that servers tell the mesh's TLS from an application's own.
pub const MESH_TCP: [&str; 2] = ["istio-peer-exchange", "istio"];

/// The same where HTTP/2 may be spoken.
pub const MESH_TCP_OR_HTTP2: [&str; 3] = ["istio-peer-exchange", "istio", "h2"];

/// What clients of the mesh offer for requests.
pub const MESH_HTTP: [&str; 3] = ["istio-http/1.0", "istio-http/1.1", "istio-h2"];

/// All that clients of the mesh offer and nobody else.
pub const MESH: [&str; 5] = [
    "istio-peer-exchange",
    "istio",
    "istio-http/1.0",
    "istio-http/1.1",
    "istio-h2",
];

/// What a client of the mesh offers for requests of HTTP/1.1.
pub const MESH_CLIENT_HTTP1: [&str; 3] = ["istio-http/1.1", "istio", "http/1.1"];

/// What a client of the mesh offers for requests of HTTP/2.
pub const MESH_CLIENT_HTTP2: [&str; 3] = ["istio-h2", "istio", "h2"];

/// Whether these are offers of a client of the mesh.
pub fn is_mesh(offered: &[impl AsRef<str>]) -> bool {
    offered.iter().any(|name| MESH.contains(&name.as_ref()))
}
