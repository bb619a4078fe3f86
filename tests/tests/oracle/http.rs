//! A client that shows everything: one request for each connection, the answer as it came.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// Where the tests' own connections come from; `tests/oracle/run` redirects those and no others, so that what the proxies connect to
/// is what they meant.
const CLIENT: [u8; 4] = [127, 0, 3, 1];

/// Sends bytes and reads until the other side closes. The request may end the connection itself, by its `Connection` header or, in
/// TCP, by its end.
pub fn exchange(address: SocketAddr, request: &str, ends: bool) -> std::io::Result<String> {
    let mut stream = connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(request.as_bytes())?;
    if ends {
        stream.shutdown(Shutdown::Write)?;
    }
    let mut answer = Vec::new();
    // A reset after the answer is an end as well.
    let _ = stream.read_to_end(&mut answer);
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// A connection that is redirected as those of an application are.
pub fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((CLIENT, 0)).into())?;
    socket.connect_timeout(&address.into(), Duration::from_secs(5))?;
    Ok(TcpStream::from(socket))
}

/// GETs a path of an admin interface.
pub fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    exchange(address, &request, false)
}
