//! Connections that the proxy opens.

use std::io;
use std::net::{IpAddr, SocketAddr};

use mesh_ir::HostView;
use tokio::net::{TcpSocket, TcpStream};

/// Connects to an address of the mesh, from a source address where one is given and of the same family.
///
/// # Errors
/// When there is no connection.
pub async fn connect(
    address: SocketAddr,
    source: Option<IpAddr>,
    view: &HostView,
) -> io::Result<TcpStream> {
    let address = view.at_socket(address);
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // Where the proxy has a user of its own, its packets are known by that.
    #[cfg(target_os = "linux")]
    if let Some(mark) = view.proxy_mark {
        socket2::SockRef::from(&socket).set_mark(mark)?;
    }
    if let Some(source) = source.filter(|source| source.is_ipv4() == address.is_ipv4()) {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    socket.connect(address).await
}
