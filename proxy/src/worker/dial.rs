//! New connections to endpoints.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use mesh_ir::{Capture, Direction};
use tokio::net::{TcpSocket, TcpStream};

use super::local::Worker;
use super::upstream::{Connection, LocalCluster, LocalEndpoint};
use crate::runtime::Source;

/// Where connections to the local workload come from, so that the kernel does not redirect them to the proxy again: Istio's rules
/// leave this address alone.
const INBOUND_SOURCE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 6);

/// Why there is no connection.
#[derive(Debug)]
pub enum Failure {
    /// The limit has passed.
    Timeout,
    /// What the kernel says.
    Io(io::Error),
}

/// Connects to an endpoint.
///
/// # Errors
/// When that fails, or takes longer than `limit`.
pub async fn connect(
    worker: &Worker,
    cluster: &LocalCluster,
    endpoint: &Rc<LocalEndpoint>,
    direction: Direction,
    limit: Duration,
) -> Result<Connection, Failure> {
    let options = &worker.shared.options;
    let address = options.at_socket(endpoint.address);
    let original = matches!(cluster.cluster.source, Source::OriginalDestination);
    let redirected =
        original && direction == Direction::Inbound && options.capture == Capture::Redirect;
    let connecting = async {
        if redirected && address.is_ipv4() {
            let socket = TcpSocket::new_v4()?;
            socket.bind(SocketAddr::from((INBOUND_SOURCE, 0)))?;
            socket.connect(address).await
        } else {
            TcpStream::connect(address).await
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
