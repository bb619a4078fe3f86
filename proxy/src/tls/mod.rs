//! TLS on both sides: what a configuration says of it, compiled for rustls.
//!
//! ```text
//! ServerTls, ClientTls --TlsCompiler: secrets, files--> ServerSide, ClientSide --> handshakes
//!                            |
//!                            +-- the same ones as before, as long as nothing that they were made from has changed
//! ```
//!
//! Compiled settings are kept from one configuration to the next, since sessions are resumed by them and pooled connections belong to
//! them. Nothing here reads sockets.

mod certificate;
mod client;
mod compile;
mod facts;
mod forwarded;
mod hello;
mod material;
mod parameters;
mod server;
mod verify;

pub(crate) use certificate::{Certificate, dns_names, fingerprint, uris};
pub use client::{ClientSide, Offer};
pub use compile::{TlsCompiler, TlsConfigs};
pub use facts::{OwnCertificate, TlsFacts};
pub use hello::{ClientHello, Hello};
pub use material::InvalidTls;
pub use server::ServerSide;
