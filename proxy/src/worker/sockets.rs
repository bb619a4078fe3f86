//! The sockets of listeners: one for each worker, all on the same address, so that the kernel spreads connections over them.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that the kernel holds for each worker until it accepts them.
const BACKLOG: i32 = 4096;

/// Opens `count` sockets on an address.
///
/// # Errors
/// When the address is taken or must not be bound.
pub fn open(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    // Sockets that share an address would also share it with another process's, unnoticed. One that does not share finds out.
    let mut address = address;
    let probe = socket(address)?;
    probe.bind(&address.into())?;
    if address.port() == 0
        && let Some(bound) = probe.local_addr()?.as_socket()
    {
        address = bound;
    }
    drop(probe);
    (0..count)
        .map(|_| {
            let socket = socket(address)?;
            socket.set_reuse_port(true)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        })
        .collect()
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_taken_is_refused() {
        let first = open("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let address = first[0].local_addr().unwrap();
        assert_eq!(first[1].local_addr().unwrap(), address);
        let error = open(address, 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(first);
        open(address, 1).unwrap();
    }
}
