//! The server under programs that speak no HTTP: accepts on all of their ports, and drains.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Connections served at once on each port; further ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 1024;

/// Pause after a failed accept (out of file descriptors, for one), so that it cannot spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A program: from bytes to bytes.
pub(crate) trait Conversation: Send + Sync + 'static {
    /// Serves one connection until the peer closes it, or an error ends it.
    fn converse(&self, stream: TcpStream) -> BoxFuture<'_, std::io::Result<()>>;
}

/// Serves on all listeners until `shutdown` is ready, and at most `grace` longer.
pub(crate) async fn serve(
    listeners: Vec<TcpListener>,
    program: Arc<dyn Conversation>,
    shutdown: impl Future<Output = ()>,
    grace: Duration,
) {
    let (stop, stopping) = watch::channel(false);
    let mut ports = JoinSet::new();
    for listener in listeners {
        ports.spawn(port(
            listener,
            Arc::clone(&program),
            stopping.clone(),
            grace,
        ));
    }
    shutdown.await;
    stop.send_replace(true);
    while ports.join_next().await.is_some() {}
}

/// Serves one port, and gives its connections `grace` once it is told to stop.
async fn port(
    listener: TcpListener,
    program: Arc<dyn Conversation>,
    mut stopping: watch::Receiver<bool>,
    grace: Duration,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = async { drop(stopping.wait_for(|stopping| *stopping).await) } => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, remote)) => {
                    connections.spawn(connection(stream, remote, Arc::clone(&program)));
                }
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, drained).await.is_err() {
        tracing::warn!(open = connections.len(), "closing busy connections");
    }
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, remote: SocketAddr, program: Arc<dyn Conversation>) {
    // Answers are short; waiting for more would only delay them.
    if stream.set_nodelay(true).is_err() {
        return; // The peer has gone already.
    }
    tracing::info!(%remote, "connection");
    if let Err(error) = program.converse(stream).await {
        tracing::debug!(%remote, %error, "connection ended");
    }
}
