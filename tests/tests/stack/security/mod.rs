//! What must not get past the proxies, case by case: `tests/run security`.

mod garbage;
mod handshakes;
mod modes;
mod tokens;

use std::io;
use std::net::{SocketAddr, TcpStream};

use rustls::{ClientConnection, StreamOwned};

use crate::tls_client::TlsClient;

/// A connection in TLS; the handshake is made with the first bytes.
fn connect(
    client: &TlsClient,
    address: SocketAddr,
) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    client.over(TcpStream::connect(address)?)
}
