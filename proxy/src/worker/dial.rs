//! New connections to endpoints.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};

use super::endpoint::{Connection, LocalEndpoint};
use super::local::Worker;
use super::upstream::LocalCluster;

/// Why there is no connection.
#[derive(Debug)]
pub enum Failure {
    /// The limit has passed.
    Timeout,
    /// What the kernel says.
    Io(io::Error),
}

/// Connects to an endpoint, from the cluster's source address where it has one of the same family.
///
/// # Errors
/// When that fails, or takes longer than `limit`.
pub async fn connect(
    worker: &Worker,
    cluster: &LocalCluster,
    endpoint: &Rc<LocalEndpoint>,
    limit: Duration,
) -> Result<Connection, Failure> {
    let options = &worker.shared.options;
    let address = options.at_socket(endpoint.address);
    let source = cluster.cluster.config.client.source_address;
    let connecting = async {
        match source.filter(|source| source.is_ipv4() == address.is_ipv4()) {
            Some(source) => {
                let socket = if source.is_ipv4() {
                    TcpSocket::new_v4()?
                } else {
                    TcpSocket::new_v6()?
                };
                socket.bind(SocketAddr::new(source, 0))?;
                socket.connect(address).await
            }
            None => TcpStream::connect(address).await,
        }
    };
    let failure = match tokio::time::timeout(limit, connecting).await {
        Ok(Ok(stream)) => match endpoint.established(stream) {
            Ok(connection) => return Ok(connection),
            Err(error) => Failure::Io(error),
        },
        Ok(Err(error)) => Failure::Io(error),
        Err(_) => Failure::Timeout,
    };
    endpoint.cells.cx_connect_fail.inc();
    Err(failure)
}

// === impl Failure ===

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("connection timeout"),
            Self::Io(error) => {
                let text = error.to_string();
                let text = text.split(" (os error").next().unwrap_or_default();
                write!(f, "delayed connect error: {text}")
            }
        }
    }
}
