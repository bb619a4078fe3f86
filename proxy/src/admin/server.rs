//! Sockets and HTTP for the pages.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::guard::{self, Caller};
use super::page::{Ask, Page, Query};
use super::{AdminPort, State};
use crate::lifecycle::Stage;

/// Most connections of a port; more wait in the kernel.
const MAX_CONNECTIONS: usize = 256;

/// How long a client may take for a request's head.
const HEAD_LIMIT: Duration = Duration::from_secs(30);

/// Longest a connection may live: nobody needs it for longer, and idle ones are not forgotten.
const CONNECTION_LIMIT: Duration = Duration::from_secs(600);

/// Pause after an error of accept, which mostly means that there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound port.
#[derive(Debug)]
pub struct Server {
    port: AdminPort,
    listener: TcpListener,
}

/// The connections of all ports.
#[derive(Debug, Default)]
pub struct Open {
    count: watch::Sender<usize>,
}

/// One of them, as long as it is open.
struct OpenOne<'a>(&'a Open);

/// Why a port cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen on {address} for {name}: {error}")]
pub struct BindError {
    address: SocketAddr,
    name: &'static str,
    error: io::Error,
}

// === impl Server ===

impl Server {
    /// Binds a port.
    ///
    /// # Errors
    /// When it is taken, or may not be bound.
    pub async fn bind(port: AdminPort, address: SocketAddr) -> Result<Self, BindError> {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| BindError {
                address,
                name: port.name(),
                error,
            })?;
        Ok(Self { port, listener })
    }

    /// Where it is bound.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the runtime ends.
    pub async fn run(self, state: Arc<State>) {
        let Self { port, listener } = self;
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            // The semaphore is never closed.
            let Ok(permit) = room.clone().acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, remote)) => {
                    let state = state.clone();
                    tokio::spawn(async move {
                        let serving = connection(port, stream, remote, state);
                        let _ = tokio::time::timeout(CONNECTION_LIMIT, serving).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection for {}", port.name());
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

// === impl Open ===

impl Open {
    fn enter(&self) -> OpenOne<'_> {
        self.count.send_modify(|count| *count += 1);
        OpenOne(self)
    }

    /// Waits until there is none.
    pub async fn all_closed(&self) {
        let mut changes = self.count.subscribe();
        // The sender lives as long as we do.
        let _ = changes.wait_for(|count| *count == 0).await;
    }
}

impl Drop for OpenOne<'_> {
    fn drop(&mut self) {
        self.0.count.send_modify(|count| *count -= 1);
    }
}

/// One connection. When the proxy ends, the answer that is on its way still gets out.
async fn connection(port: AdminPort, stream: TcpStream, remote: SocketAddr, state: Arc<State>) {
    let _open = state.open.enter();
    let service = service_fn(|request: Request<Incoming>| {
        let state = state.clone();
        async move { Ok::<_, Infallible>(answer(port, &state, remote, &request).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    let served = tokio::select! {
        served = &mut serving => served,
        () = state.lifecycle.reached(Stage::Quitting) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to {} ended", port.name());
    }
}

async fn answer(
    port: AdminPort,
    state: &Arc<State>,
    remote: SocketAddr,
    request: &Request<Incoming>,
) -> Response<Full<Bytes>> {
    let caller = Caller {
        address: remote.ip(),
        uri: request.uri(),
        headers: request.headers(),
    };
    let ask = Ask {
        method: request.method().clone(),
        path: request.uri().path().to_owned(),
        query: Query::parse(request.uri().query().unwrap_or_default()),
    };
    let Page {
        status,
        content_type,
        body,
    } = match guard::check(port, caller) {
        Ok(()) => port.answer(state, ask).await,
        Err(reason) => Page::error(StatusCode::FORBIDDEN, reason),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static(content_type),
    );
    headers.insert(
        header::CACHE_CONTROL,
        header::HeaderValue::from_static("no-cache, max-age=0"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        header::HeaderValue::from_static("nosniff"),
    );
    response
}
