//! New connections to endpoints.

use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mesh_ir::TcpKeepalive;
use socket2::SockRef;
use tokio::net::TcpStream;

use super::endpoint::{Connection, LocalEndpoint, Slot};
use super::local::Worker;
use super::upstream::LocalCluster;
use crate::outgoing;
use crate::runtime::Transport;
use crate::tls::Offer;

/// Why there is no connection.
#[derive(Debug)]
pub enum Failure {
    /// The limit has passed.
    Timeout,
    /// What the kernel says.
    Io(io::Error),
    /// What TLS says, or the check of the server's certificate.
    Tls(io::Error),
    /// What has come of the connection that another request was making.
    Shared(String),
    /// TLS cannot be spoken as it is configured.
    NotReady(Arc<str>),
}

/// Connects to an endpoint, from the cluster's source address where it has one of the same family, and greets it by TLS where that is
/// configured.
///
/// # Errors
/// When that fails, or takes longer than `limit`.
pub async fn connect(
    worker: &Worker,
    cluster: &LocalCluster,
    endpoint: &Rc<LocalEndpoint>,
    (slot, offer): (Slot, Offer),
    limit: Duration,
) -> Result<Connection, Failure> {
    if let Transport::NotReady(reason) = &endpoint.transport {
        endpoint.cells.cx_connect_fail.inc();
        return Err(Failure::NotReady(reason.clone()));
    }
    if let Transport::Tls(tls) = &endpoint.transport
        && tls.is_of_request()
    {
        let reason = "no host is known that the server could be asked for".into();
        return Err(Failure::NotReady(reason));
    }
    let options = &worker.shared.options;
    let source = cluster.cluster.config.client.source_address;
    let open = || outgoing::connect(endpoint.address, source, &options.view);
    let connecting = async {
        let stream = match open().await {
            // Idle connections are worth less than this one.
            Err(error) if is_out_of_files(&error) && worker.close_idle() => open().await?,
            opened => opened?,
        };
        if let Some(keepalive) = &cluster.cluster.config.client.keepalive {
            keep_alive(&stream, keepalive)?;
        }
        let mut connection = endpoint.established(stream, slot)?;
        if let Transport::Tls(tls) = &endpoint.transport {
            let io = std::mem::take(&mut connection.io);
            connection.io = io.connect(tls, offer).await.map_err(Failure::Tls)?;
            endpoint.greeted(tls.facts(connection.io.session()));
        }
        Ok(connection)
    };
    let failure = match tokio::time::timeout(limit, connecting).await {
        Ok(Ok(connection)) => return Ok(connection),
        Ok(Err(failure)) => failure,
        Err(_) => Failure::Timeout,
    };
    endpoint.cells.cx_connect_fail.inc();
    Err(failure)
}

/// Whether the process, or the system, may open no more files.
fn is_out_of_files(error: &io::Error) -> bool {
    use nix::errno::Errno;
    let number = error.raw_os_error();
    number.is_some_and(|number| [Errno::EMFILE, Errno::ENFILE].contains(&Errno::from_raw(number)))
}

/// Lets the kernel probe an idle connection.
fn keep_alive(stream: &TcpStream, keepalive: &TcpKeepalive) -> io::Result<()> {
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    let mut settings = socket2::TcpKeepalive::new();
    if let Some(time) = keepalive.time {
        settings = settings.with_time(seconds(time));
    }
    if let Some(interval) = keepalive.interval {
        settings = settings.with_interval(seconds(interval));
    }
    if let Some(probes) = keepalive.probes {
        settings = settings.with_retries(probes);
    }
    SockRef::from(stream).set_tcp_keepalive(&settings)
}

// === impl Failure ===

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("connection timeout"),
            Self::Tls(error) => write!(f, "TLS_error: {error}"),
            Self::Shared(text) => f.write_str(text),
            Self::NotReady(reason) => write!(f, "TLS_error: {reason}"),
            Self::Io(error) => {
                let text = error.to_string();
                let text = text.split(" (os error").next().unwrap_or_default();
                write!(f, "delayed connect error: {text}")
            }
        }
    }
}
