//! The HTTP/1.1 server under every program: accepts, serves with keep-alive, and drains.
//!
//! When told to stop it accepts nothing more, lets open requests end, and cuts what is still open
//! after the grace period.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::handler::{Call, Handler, Reply};

/// Connections served at once; further ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 4096;

/// How long a connection may wait for the head of its next request. Long, since proxies keep idle
/// connections in their pools, and each close of ours would race with a request of theirs.
const HEAD_TIMEOUT: Duration = Duration::from_secs(600);

/// Pause after a failed accept (out of file descriptors, for one), so that it cannot spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `shutdown` is ready, and at most `grace` longer.
pub(crate) async fn serve(
    listener: TcpListener,
    handler: Arc<dyn Handler>,
    shutdown: impl Future<Output = ()>,
    grace: Duration,
) {
    let (drain, draining) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, remote)) => {
                    let handler = Arc::clone(&handler);
                    connections.spawn(connection(stream, remote, handler, draining.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    drain.send_replace(true);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, drained).await.is_err() {
        tracing::warn!(open = connections.len(), "closing busy connections");
    }
    connections.shutdown().await;
}

async fn connection(
    stream: TcpStream,
    remote: SocketAddr,
    handler: Arc<dyn Handler>,
    mut draining: watch::Receiver<bool>,
) {
    // Answers are written in one piece; waiting for more would only delay them.
    let nodelay = stream.set_nodelay(true);
    let (Ok(()), Ok(local)) = (nodelay, stream.local_addr()) else {
        return; // The peer has gone already.
    };
    let service = service_fn(move |request| {
        let handler = Arc::clone(&handler);
        let call = Call {
            request,
            local,
            remote,
        };
        async move { Ok::<_, Infallible>(logged(handler.as_ref(), call).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = async { drop(draining.wait_for(|draining| *draining).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%remote, %error, "connection ended");
    }
}

async fn logged(handler: &dyn Handler, call: Call) -> Reply {
    let started = Instant::now();
    let method = call.request.method().clone();
    let path = call.request.uri().path().to_owned();
    let reply = handler.handle(call).await;
    let status = reply.status().as_u16();
    let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(%method, path, status, millis, "request");
    reply
}
